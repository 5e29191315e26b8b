//! Where a command's output goes besides the report: the node's log.

use crate::exec::Stream;
use crate::secret::{MASK, Redactor};
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
/// whole. Each stream has lines of its own: a word of the other may come between two reads of one.
pub(crate) struct Lines {
    step: StepNo,
    sink: Arc<dyn OutputSink>,
    redactor: Redactor,
    out: Vec<u8>,
    err: Vec<u8>,
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
        let (out, err) = (Vec::new(), Vec::new());
        Self { step, sink, redactor, out, err, tail: Vec::new(), most }
    }

    fn rest(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = std::mem::take(self.rest(stream));
        rest.extend_from_slice(bytes);
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=at).collect();
            self.line(line.get(..at).unwrap_or_default());
        }
        // What is held back may be the begin of a secret whose end is still to come.
        while rest.len() > LINE_BYTES_MAX + self.redactor.longest() {
            let line: Vec<u8> = match self.cut(&rest) {
                // Secrets across each other all the way: there is no place to cut, and nothing in
                // it that may be shown.
                0 => {
                    rest.clear();
                    MASK.into()
                }
                at => rest.drain(..at).collect(),
            };
            self.line(&line);
        }
        *self.rest(stream) = rest;
    }

    /// Where an unfinished line is cut: no secret lies across, neither a whole one nor the begin of
    /// one at the end.
    fn cut(&self, bytes: &[u8]) -> usize {
        let at = bytes.len().saturating_sub(self.redactor.longest());
        self.redactor.before_a_secret(bytes, at)
    }

    fn line(&mut self, bytes: &[u8]) {
        let text = self.redactor.mask(&String::from_utf8_lossy(bytes));
        self.sink.line(self.step, &text);
        if self.tail.len() == self.most {
            self.tail.remove(0);
        }
        self.tail.push(text);
    }

    /// The last lines. `truncated`: the output was longer, so an unfinished line may end within a
    /// secret, and the part that may be one is left out.
    pub(crate) fn finish(&mut self, truncated: bool) -> Vec<String> {
        for stream in [Stream::Out, Stream::Err] {
            let mut rest = std::mem::take(self.rest(stream));
            if truncated {
                rest.truncate(self.cut(&rest));
            }
            if !rest.is_empty() {
                self.line(&rest);
            }
        }
        std::mem::take(&mut self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl OutputSink for Kept {
        fn begin(&self, _: StepNo, _: Attempt) {}
        fn line(&self, _: StepNo, line: &str) {
            self.0.lock().expect("no panic").push(line.to_owned());
        }
        fn end(&self, _: StepNo, _: Attempt, _: &Report) {}
    }

    const SECRET: &str = "pässword-with-some-length";

    fn lines() -> (Arc<Kept>, Lines) {
        let kept = Arc::new(Kept::default());
        let mut redactor = Redactor::default();
        redactor.add(SECRET);
        (kept.clone(), Lines::new(StepNo(0), kept, redactor, 3))
    }

    /// No part of the secret that is long enough to be one stands in a line.
    fn no_part(text: &str) {
        for part in [SECRET.get(..8), SECRET.get(12..20), SECRET.get(SECRET.len() - 8..)] {
            assert!(!text.contains(part.expect("within")), "{part:?} in {}", text.len());
        }
    }

    #[test]
    fn a_secret_across_the_place_where_a_long_line_is_cut_is_masked() {
        let hold = lines().1.redactor.longest();
        for before in LINE_BYTES_MAX - 2..=LINE_BYTES_MAX + hold + 2 {
            let (kept, mut lines) = lines();
            let text = format!("{}{SECRET}{}", "x".repeat(before), "y".repeat(4 * hold));
            // In small reads from where a cut is near, so that it comes at every place.
            let (most, rest) = text.as_bytes().split_at(LINE_BYTES_MAX - 2);
            lines.take(Stream::Out, most);
            for chunk in rest.chunks(16) {
                lines.take(Stream::Out, chunk);
            }
            lines.finish(false);
            let kept = kept.0.lock().expect("no panic");
            assert!(kept.len() > 1, "it was cut");
            no_part(&kept.join("\n"));
            let whole = text.replace(SECRET, MASK);
            assert_eq!(kept.concat(), whole, "with {before} bytes before the secret");
        }
    }

    #[test]
    fn a_secret_in_two_reads_is_masked_though_the_other_stream_speaks_between() {
        let (kept, mut lines) = lines();
        let (first, second) = SECRET.split_at(10);
        lines.take(Stream::Out, first.as_bytes());
        lines.take(Stream::Err, b"a word\n");
        lines.take(Stream::Out, format!("{second}\n").as_bytes());
        assert_eq!(*kept.0.lock().expect("no panic"), ["a word", MASK]);
    }

    #[test]
    fn the_begin_of_a_secret_where_truncated_output_ends_is_left_out() {
        for end in 1..=SECRET.len() {
            let (_, mut lines) = lines();
            let bytes = SECRET.as_bytes().get(..end).expect("within");
            lines.take(Stream::Out, &[&[b'x'; 300], bytes].concat());
            no_part(&lines.finish(true).concat());
        }
    }

    #[test]
    fn a_line_of_nothing_but_secrets_is_cut_all_the_same() {
        let (kept, mut lines) = lines();
        lines.take(Stream::Out, SECRET.repeat(8000).as_bytes());
        lines.finish(false);
        let text = kept.0.lock().expect("no panic").join("\n");
        assert!(!text.contains('p'), "{}", text.len());
    }
}
