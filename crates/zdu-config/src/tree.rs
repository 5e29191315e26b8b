//! YAML (and JSON, which is YAML) to a tree that knows the place of every key and value. Nothing is
//! interpreted here: a scalar keeps its text, so that `7.10` stays `7.10`.

use crate::diagnostic::{Findings, Place};
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// The deepest nesting accepted. The formats need eleven levels; recursion over a tree must not be
/// able to exhaust a stack.
const DEPTH_MAX: usize = 64;

/// The most values accepted, aliases unfolded: a fleet of ten thousand nodes has about 200 000.
const VALUES_MAX: usize = 1_000_000;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as it was meant (escapes resolved), and whether it stood in quotes.
    Scalar { text: String, quoted: bool },
    /// A list.
    List(Vec<Tree>),
    /// A map in the order it was written.
    Map(Vec<(Key, Tree)>),
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Kind {
    /// How messages call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads one document. `None` when nothing usable could be read; why is in `findings`.
pub(crate) fn read(bytes: &[u8], source: usize, findings: &mut Findings) -> Option<Tree> {
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let place = place_at(&good, good.len(), source);
            findings.error_hint(place, "the file is not UTF-8 text", "save it as UTF-8");
            return None;
        }
    };
    if let Some(at) = text.find('\0') {
        let place = place_at(text, at, source);
        findings.error_hint(
            place,
            "the file contains a NUL byte",
            "is this the right file? YAML is plain text",
        );
        return None;
    }
    let composer = Composer::new(text, source);
    match composer.run(findings) {
        Some(Tree { kind: Kind::Null, .. }) => {
            let place = Place { source, line: 1, column: 1, ..Place::default() };
            findings.error_hint(place, "the file is empty", "`zdu init` writes a first one");
            None
        }
        tree => tree,
    }
}

fn place_at(text: &str, byte: usize, source: usize) -> Place {
    let before = &text[..byte];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place {
        source,
        line: number(before.matches('\n').count() + 1),
        column: number(before[line_start..].chars().count() + 1),
        start: byte,
        len: 0,
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A container that is being filled.
struct Open {
    place: Place,
    anchor: usize,
    fill: Fill,
}

enum Fill {
    List(Vec<Tree>),
    Map { entries: Vec<(Key, Tree)>, key: Option<Key> },
}

struct Composer<'a> {
    text: &'a str,
    source: usize,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, Tree>,
    root: Option<Tree>,
    values: usize,
}

impl<'a> Composer<'a> {
    fn new(text: &'a str, source: usize) -> Self {
        Self { text, source, stack: Vec::new(), anchors: BTreeMap::new(), root: None, values: 0 }
    }

    fn run(mut self, findings: &mut Findings) -> Option<Tree> {
        for item in Parser::new_from_str(self.text) {
            let (event, span) = match item {
                Ok(item) => item,
                Err(error) => {
                    self.syntax(error.marker(), &error.info(), findings);
                    return None;
                }
            };
            if !self.event(event, span, findings) {
                return None;
            }
        }
        let nothing = Tree { place: Place::default(), kind: Kind::Null };
        Some(self.root.unwrap_or(nothing))
    }

    /// Takes one event; false when reading must end.
    fn event(&mut self, event: Event<'_>, span: Span, findings: &mut Findings) -> bool {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, _tag) => {
                let kind = scalar(&text, style);
                self.value(Tree { place, kind }, anchor, findings)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(place, anchor, Fill::List(Vec::new()), findings)
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = Vec::new();
                let key = None;
                self.open(place, anchor, Fill::Map { entries, key }, findings)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(findings),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(tree) => {
                    self.values += count(&tree);
                    self.value(tree, 0, findings)
                }
                None => {
                    findings.error(place, "this alias stands inside the value it names");
                    false
                }
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                findings.error_hint(
                    place,
                    "there is a second document in the file",
                    "one file holds one document; use `include` for more files",
                );
                false
            }
            Event::DocumentStart(..)
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | Event::Comment(..) => true,
            // The parser's enum may grow; what it adds is presentation, not data.
            _ => true,
        }
    }

    fn open(&mut self, place: Place, anchor: usize, fill: Fill, findings: &mut Findings) -> bool {
        if self.stack.len() >= DEPTH_MAX {
            findings.error(place, format!("nested deeper than {DEPTH_MAX} levels"));
            return false;
        }
        self.stack.push(Open { place, anchor, fill });
        true
    }

    fn close(&mut self, findings: &mut Findings) -> bool {
        let Some(open) = self.stack.pop() else {
            return true;
        };
        let kind = match open.fill {
            Fill::List(items) => Kind::List(items),
            Fill::Map { entries, key: _ } => Kind::Map(entries),
        };
        let place = open.place;
        self.value(Tree { place, kind }, open.anchor, findings)
    }

    fn value(&mut self, tree: Tree, anchor: usize, findings: &mut Findings) -> bool {
        self.values += 1;
        if self.values > VALUES_MAX || depth(&tree) + self.stack.len() > DEPTH_MAX {
            findings.error(tree.place, "the document is too large once unfolded");
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        match self.stack.last_mut().map(|open| &mut open.fill) {
            None => self.root = Some(tree),
            Some(Fill::List(items)) => items.push(tree),
            Some(Fill::Map { entries, key }) => match key.take() {
                None => match key_of(tree) {
                    Ok(found) => *key = Some(found),
                    Err(place) => {
                        findings.error(place, "a key must be a single value");
                        return false;
                    }
                },
                Some(key) => insert(entries, key, tree, findings),
            },
        }
        true
    }

    fn place(&self, span: Span) -> Place {
        let start = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start);
        let end = end.min(self.text.len());
        let len = self.text.get(start..end).map_or(0, |t| t.trim_end().len());
        Place {
            source: self.source,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            start,
            len,
        }
    }

    fn syntax(&self, mark: &Marker, info: &str, findings: &mut Findings) {
        let start = mark.byte_offset().unwrap_or(0).min(self.text.len());
        let place = Place {
            source: self.source,
            line: number(mark.line()),
            column: number(mark.col() + 1),
            start,
            len: 0,
        };
        match self.tab_near(mark.line()) {
            Some(line) => {
                let place = Place { line: number(line), column: 1, len: 1, ..place };
                let start = line_start(self.text, line);
                let place = Place { start, ..place };
                findings.error_hint(
                    place,
                    "a tab is used for indentation",
                    "YAML wants spaces; two for each level",
                );
            }
            None => findings.error(place, format!("this is not YAML: {info}")),
        }
    }

    /// The line with a tab in its indentation, when it is the one named or a neighbour of it.
    fn tab_near(&self, line: usize) -> Option<usize> {
        let from = line.saturating_sub(2);
        self.text
            .lines()
            .enumerate()
            .skip(from)
            .take(3)
            .find(|(_, text)| {
                let inner = text.trim_start();
                text[..text.len() - inner.len()].contains('\t')
            })
            .map(|(index, _)| index + 1)
    }
}

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line - 1).map(str::len).sum()
}

fn scalar(text: &str, style: ScalarStyle) -> Kind {
    let plain = style == ScalarStyle::Plain;
    match text {
        "" | "~" | "null" | "Null" | "NULL" if plain => Kind::Null,
        text => Kind::Scalar { text: text.to_owned(), quoted: !plain },
    }
}

fn key_of(tree: Tree) -> Result<Key, Place> {
    let place = tree.place;
    match tree.kind {
        Kind::Scalar { text, quoted: _ } => Ok(Key { text, place }),
        Kind::Null => Ok(Key { text: String::new(), place }),
        Kind::List(_) | Kind::Map(_) => Err(place),
    }
}

fn insert(entries: &mut Vec<(Key, Tree)>, key: Key, tree: Tree, findings: &mut Findings) {
    match entries.iter().find(|(known, _)| known.text == key.text) {
        Some((first, _)) => {
            let hint = format!("the first is at {}", findings.at(first.place));
            let message = format!("the key `{}` is given twice", shown(&key.text));
            // The same line may hold a secret's value; the hint says enough without it.
            findings.error_concealed(key.place, message, hint);
        }
        None => entries.push((key, tree)),
    }
}

/// A text of the user as messages show it: one line, not too long.
pub(crate) fn shown(text: &str) -> String {
    const LONG: usize = 60;
    let mut line: String = text.chars().take(LONG).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONG).is_some() {
        line.push('…');
    }
    line
}

fn count(tree: &Tree) -> usize {
    match &tree.kind {
        Kind::Null | Kind::Scalar { .. } => 1,
        Kind::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, tree)| count(tree)).sum::<usize>(),
    }
}

fn depth(tree: &Tree) -> usize {
    let inner = match &tree.kind {
        Kind::Null | Kind::Scalar { .. } => return 0,
        Kind::List(items) => items.iter().map(depth).max(),
        Kind::Map(entries) => entries.iter().map(|(_, tree)| depth(tree)).max(),
    };
    1 + inner.unwrap_or(0)
}
