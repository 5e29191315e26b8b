//! Load that runs while a test does something.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::command::FLOWS;
use super::{LoadReport, LoadSpec};
use crate::{Lab, LabError, program};

/// First successes come within milliseconds; on a loaded machine within a second.
const FLOWS_DEADLINE: Duration = Duration::from_secs(10);

/// A load client in the control namespace. Dropping it kills the client.
#[derive(Debug)]
pub struct RunningLoad {
    child: Child,
    /// The client stops when this closes, also by the end of this process.
    stdin: Option<ChildStdin>,
    report: Receiver<String>,
    /// As long as one request may take.
    request: Duration,
    /// As long as the load lasts by itself.
    duration: Duration,
}

impl Lab {
    /// Starts load and returns once each habit has had its first success (`hold` excepted).
    ///
    /// # Errors
    /// When the client cannot be started or nothing succeeds within 10 seconds.
    pub fn load(&self, spec: &LoadSpec) -> Result<RunningLoad, LabError> {
        let spec = LoadSpec {
            until_stdin_ends: true,
            ..spec.clone()
        };
        let request_ms = spec.timeout_ms + spec.slow_ms.max(spec.hold_ms);
        let json = serde_json::to_string(&spec).map_err(LabError::because("write JSON"))?;
        let mut command = self.command(program("zdu-lab-load")?);
        command
            .arg(json)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(LabError::because("start zdu-lab-load"))?;
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take().expect("stdout was piped above");
        let stderr = child.stderr.take().expect("stderr was piped above");
        let (sender, report) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // What could not be read is missing from the JSON, and that is an error below.
            let _ = stdout.read_to_string(&mut text);
            sender.send(text)
        });
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may have stopped listening; the pipe is emptied all the same.
                let _ = sender.send(line);
            }
        });
        let request = Duration::from_millis(request_ms);
        let duration = Duration::from_millis(spec.duration_ms);
        let load = RunningLoad {
            child,
            stdin,
            report,
            request,
            duration,
        };
        match said.recv_timeout(FLOWS_DEADLINE) {
            Ok(line) if line == FLOWS => Ok(load),
            Ok(line) => Err(LabError::new(format!("make load: {line}"))),
            Err(_) => match load.stop() {
                Ok(report) => Err(LabError::new(format!("make load: no success: {report}"))),
                Err(cause) => Err(cause),
            },
        }
    }
}

impl RunningLoad {
    /// Starts no more requests, lets the running ones end and returns what was seen.
    ///
    /// # Errors
    /// When the client was killed, or does not end in the time a request may take.
    pub fn stop(mut self) -> Result<LoadReport, LabError> {
        drop(self.stdin.take());
        self.read_report(self.request)
    }

    /// Waits until the load has lasted its `duration_ms` and returns what was seen.
    ///
    /// # Errors
    /// When the client was killed, or does not end in time.
    pub fn finish(self) -> Result<LoadReport, LabError> {
        self.read_report(self.duration + self.request)
    }

    fn read_report(&self, longest: Duration) -> Result<LoadReport, LabError> {
        // The load client itself needs a moment to start and to end.
        let text = self.report.recv_timeout(longest + Duration::from_secs(5));
        let text = text.map_err(LabError::because("see the load client end"))?;
        serde_json::from_str(&text).map_err(LabError::because(format!("read report {text:?}")))
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        // Ended already is fine; the wait leaves no zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
