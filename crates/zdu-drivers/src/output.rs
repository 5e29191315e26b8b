//! Where a command's output goes besides the report: the node's log.

use crate::secret::Redactor;
use std::sync::Arc;
use zdu_model::ids::{Attempt, StepNo};
use zdu_model::report::Report;

/// Takes the output of commands, masked, in whole lines.
pub trait OutputSink: Send + Sync {
    /// An attempt begins.
    fn begin(&self, step: StepNo, attempt: Attempt);
    /// A line of output, without its newline.
    fn line(&self, step: StepNo, line: &str);
    /// The attempt ended.
    fn end(&self, step: StepNo, attempt: Attempt, report: &Report);
}

/// Cuts bytes into lines and masks secrets in each, so that a value split over two reads is met
/// whole.
pub(crate) struct Lines {
    step: StepNo,
    sink: Arc<dyn OutputSink>,
    redactor: Redactor,
    rest: Vec<u8>,
    tail: Vec<String>,
    most: usize,
}

/// A line longer than this is cut, so that a program without newlines cannot fill our memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

impl Lines {
    pub(crate) fn new(
        step: StepNo,
        sink: Arc<dyn OutputSink>,
        redactor: Redactor,
        most: usize,
    ) -> Self {
        Self { step, sink, redactor, rest: Vec::new(), tail: Vec::new(), most }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=at).collect();
            self.line(line.get(..at).unwrap_or_default());
        }
        if self.rest.len() > LINE_BYTES_MAX {
            let line = std::mem::take(&mut self.rest);
            self.line(&line);
        }
    }

    fn line(&mut self, bytes: &[u8]) {
        let text = self.redactor.mask(&String::from_utf8_lossy(bytes));
        self.sink.line(self.step, &text);
        if self.tail.len() == self.most {
            self.tail.remove(0);
        }
        self.tail.push(text);
    }

    /// The last lines.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        if !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.line(&line);
        }
        std::mem::take(&mut self.tail)
    }
}
