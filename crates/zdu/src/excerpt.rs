//! A finding in a text, with the lines it is about and a caret. Only here is miette used.

use crate::prepare::REFERENCE;
use crate::printer::Printer;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use zdu_config::{Diagnostic, Severity};
use zdu_view::lines::{Palette, Tone};

/// A finding whose text could be read again.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    text: NamedSource<String>,
}

/// The finding for a terminal: what and where, the lines of the text, the hint.
pub(crate) fn render(diagnostic: &Diagnostic, palette: Palette) -> String {
    let Diagnostic { file, line, column, message, hint, severity, .. } = diagnostic;
    let (word, tone) = match severity {
        Severity::Error => ("error:", Tone::Bad),
        Severity::Warning => ("warning:", Tone::Warn),
    };
    let mut lines =
        vec![format!("{file}:{line}:{column}: {} {message}", palette.paint(tone, word))];
    lines.extend(excerpt(diagnostic, palette));
    lines.extend(hint.iter().flat_map(|hint| hint.lines()).map(|hint| {
        let hint = hint.strip_prefix("hint: ").unwrap_or(hint);
        format!("hint: {hint}")
    }));
    lines.join("\n")
}

/// Says the warnings of a configuration, each with its place.
pub(crate) fn warn(warnings: &[Diagnostic], printer: &Printer) {
    for warning in warnings {
        printer.say(&render(warning, printer.err_palette()));
    }
}

/// The lines around the finding; none when they must not be shown or cannot be read again.
fn excerpt(diagnostic: &Diagnostic, palette: Palette) -> Option<String> {
    let text = if diagnostic.conceal { None } else { source(&diagnostic.file) }?;
    // The file may have changed since it was checked.
    if text.get(diagnostic.span.clone()).is_none() || text.trim().is_empty() {
        return None;
    }
    let shown = Shown { diagnostic, text: NamedSource::new(&diagnostic.file, text) };
    let theme = match palette {
        Palette::Plain => GraphicalTheme::unicode_nocolor(),
        Palette::Ansi => GraphicalTheme::unicode(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_context_lines(1);
    let mut out = String::new();
    handler.render_report(&mut out, &shown).ok()?;
    // The first line is the message, which stands above it already.
    let lines: Vec<&str> = out.lines().skip_while(|line| !line.contains('╭')).collect();
    let shown = lines.join("\n").trim_end().to_owned();
    (!shown.is_empty()).then_some(shown)
}

fn source(file: &str) -> Option<String> {
    match file.strip_prefix("builtin:") {
        None => std::fs::read_to_string(file).ok(),
        Some(_) if file == REFERENCE => Some(zdu_config::reference_config().to_owned()),
        Some(name) => {
            let mut builtin = zdu_config::builtin_procedures().iter();
            builtin.find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}
