//! The only place that writes to standard output and standard error. Standard output is data,
//! standard error is for people.
//!
//! A reader that went away (`zdu log | head`) ends nothing: what cannot be written to standard
//! output is dropped, since a rollout must not stop because nobody looks.

use crate::cli::{ColorChoice, Global};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use zdu_view::lines::{Palette, Tone};

/// Writes for people and for programs.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    json: bool,
    quiet: bool,
    color: ColorChoice,
    /// Whether data is left out.
    mute: bool,
}

impl Printer {
    /// As the command line asks.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet, color: global.color, mute: false }
    }

    /// Before the command line is understood.
    #[must_use]
    pub fn early() -> Self {
        Self { json: false, quiet: false, color: ColorChoice::Auto, mute: false }
    }

    /// The same without data: for a part of an answer that is told as a whole.
    #[must_use]
    pub fn without_data(self) -> Self {
        Self { mute: true, ..self }
    }

    /// Whether the answer is JSON.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        self.json
    }

    /// What was asked about colour.
    #[must_use]
    pub fn colour_choice(&self) -> ColorChoice {
        self.color
    }

    /// Whether only failures are said.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Data, as it is.
    pub fn data(&self, text: &str) {
        if !self.mute {
            drop_broken(std::io::stdout().lock(), text.as_bytes());
        }
    }

    /// Data, as one line.
    pub fn line(&self, text: &str) {
        self.data(&format!("{text}\n"));
    }

    /// What a node printed. On a terminal it must not move the cursor or colour the screen.
    pub fn raw(&self, text: &str) {
        if std::io::stdout().is_terminal() {
            let shown =
                |c: char| if c.is_control() && !"\n\t".contains(c) { '\u{fffd}' } else { c };
            self.data(&text.chars().map(shown).collect::<String>());
        } else {
            self.data(text);
        }
    }

    /// Data, as indented JSON.
    pub fn json(&self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(value) {
            self.line(&text);
        }
    }

    /// Data, as JSON on one line: for answers that are a stream.
    pub fn json_line(&self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(value) {
            self.line(&text);
        }
    }

    /// A line for people, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// A warning for people; also with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.err_palette().paint(Tone::Warn, "warning:")));
    }

    /// A line for people that is always said.
    pub fn say(&self, text: &str) {
        drop_broken(std::io::stderr().lock(), format!("{text}\n").as_bytes());
    }

    /// Text for people without a newline of its own: a question, the live view.
    pub fn draw(&self, text: &str) {
        drop_broken(std::io::stderr().lock(), text.as_bytes());
    }

    /// The width of the live view; none where no terminal can show one.
    #[must_use]
    pub fn live_width(&self) -> Option<usize> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if self.quiet || self.json || dumb || !std::io::stderr().is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
        Some(usize::from(size.ws_col).max(40))
    }

    /// How standard output is coloured.
    #[must_use]
    pub fn out_palette(&self) -> Palette {
        self.palette(std::io::stdout().is_terminal())
    }

    /// How standard error is coloured.
    #[must_use]
    pub fn err_palette(&self) -> Palette {
        self.palette(std::io::stderr().is_terminal())
    }

    fn palette(&self, terminal: bool) -> Palette {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        match self.color {
            ColorChoice::Always => Palette::Ansi,
            ColorChoice::Auto if terminal && !plain => Palette::Ansi,
            ColorChoice::Auto | ColorChoice::Never => Palette::Plain,
        }
    }
}

/// Writes, and does not mind a reader that went away or a device that is full: there is nobody
/// left to tell.
fn drop_broken(mut to: impl Write, bytes: &[u8]) {
    let _told = to.write_all(bytes).and_then(|()| to.flush());
}
