//! Inventories in the INI form, line by line. A message never repeats a line: it may hold a secret.

use super::VAULT;
use super::inventory::{Inventory, UNGROUPED, Value, Vars};
use crate::diagnostic::{Findings, Place};
use crate::tree::shown;

/// What the lines of a section are.
enum Section {
    Hosts,
    Children,
    Vars,
}

/// A word of a line, and the byte it begins at.
struct Word {
    text: String,
    at: usize,
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    findings: &'a mut Findings,
    group: String,
    section: Section,
    /// Groups that got variables, which must be declared somewhere.
    owners: Vec<(String, Place)>,
}

/// Reads an inventory; `None` when it has errors, which are in `findings`.
pub(super) fn inventory(
    text: &str,
    source: usize,
    inventory: &mut Inventory,
    findings: &mut Findings,
) -> Option<()> {
    let section = Section::Hosts;
    let (group, owners) = (UNGROUPED.to_owned(), Vec::new());
    let mut reader = Reader { inventory, findings, group, section, owners };
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let place = Place {
            source,
            line: u32::try_from(index + 1).unwrap_or(u32::MAX),
            column: 1,
            start,
            len: 0,
        };
        start += line.len();
        reader.line(line.trim_end(), place);
    }
    reader.finish();
    (!findings.failed()).then_some(())
}

/// The place of a part of a line.
fn part(line: &str, place: Place, at: usize) -> Place {
    let before = line.get(..at).map_or(0, |text| text.chars().count());
    let column = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(place.column);
    Place { column, start: place.start + at, ..place }
}

impl Reader<'_> {
    fn line(&mut self, line: &str, place: Place) {
        let inner = line.trim_start();
        let place = part(line, place, line.len() - inner.len());
        if inner.is_empty() || inner.starts_with(['#', ';']) {
            return;
        }
        // A host may begin with a range, and an address may stand in brackets.
        if inner.starts_with('[')
            && !matches!(inner.split_once(']'), Some((_, rest)) if is_name_part(rest))
        {
            return self.header(inner, place);
        }
        match self.section {
            Section::Hosts => self.hosts(inner, place),
            Section::Children => self.child(inner, place),
            Section::Vars => self.variable(inner, place),
        }
    }

    fn header(&mut self, line: &str, place: Place) {
        let hint = "`[GROUP]`, `[GROUP:vars]` or `[GROUP:children]`";
        let inside = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((inside, rest)) = inside else {
            return self.findings.error_hint(place, "the section has no `]`", hint);
        };
        if !rest.trim_start().is_empty() && !rest.trim_start().starts_with('#') {
            return self.findings.error_hint(place, "something stands behind the section", hint);
        }
        let (name, kind) = match inside.split_once(':') {
            Some((name, kind)) => (name, Some(kind)),
            None => (inside, None),
        };
        if name.is_empty() || name.contains([' ', '\t', '=']) {
            return self.findings.error_hint(place, "the section names no group", hint);
        }
        self.section = match kind {
            None => Section::Hosts,
            Some("children") => Section::Children,
            Some("vars") => Section::Vars,
            Some(kind) => {
                let message = format!("there are no sections of the kind `{}`", shown(kind));
                return self.findings.error_hint(place, message, hint);
            }
        };
        self.group = name.to_owned();
        match self.section {
            Section::Hosts | Section::Children => {
                self.inventory.group(name);
            }
            Section::Vars => self.owners.push((name.to_owned(), place)),
        }
    }

    fn hosts(&mut self, line: &str, place: Place) {
        let words = match words(line) {
            Ok(words) => words,
            Err(at) => {
                let hint = "a quote that is meant stands in quotes of the other kind";
                return self.findings.error_hint(
                    part(line, place, at),
                    "a quote is not closed",
                    hint,
                );
            }
        };
        let Some((pattern, assignments)) = words.split_first() else { return };
        if pattern.text.contains('=') {
            let hint =
                format!("variables of the group stand below `[{}:vars]`", shown(&self.group));
            return self.findings.error_hint(
                place,
                "a variable stands where a host is expected",
                hint,
            );
        }
        let mut vars = Vars::new();
        for Word { text, at } in assignments {
            let Some((name, value)) = text.split_once('=').filter(|(name, _)| is_variable(name))
            else {
                let place = part(line, place, *at);
                let hint =
                    "a host is followed by `NAME=VALUE`; a value with blanks stands in quotes";
                return self.findings.error_hint(place, "this is no `NAME=VALUE`", hint);
            };
            vars.insert(name.to_owned(), value_of(value));
        }
        self.inventory.take(&self.group, &pattern.text, &vars, place, self.findings);
    }

    fn child(&mut self, line: &str, place: Place) {
        let name = line.split('#').next().unwrap_or_default().trim_end();
        if name.contains([' ', '\t', '=', ':', ']']) {
            let hint = "below `[GROUP:children]` each line names one group";
            return self.findings.error_hint(place, "this is no name of a group", hint);
        }
        let child = (name.to_owned(), place);
        self.inventory.group(&self.group).children.push(child);
    }

    fn variable(&mut self, line: &str, place: Place) {
        let assignment = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = assignment.filter(|(name, _)| is_variable(name)) else {
            let hint = format!("below `[{}:vars]` each line is `NAME=VALUE`", shown(&self.group));
            return self.findings.error_hint(place, "this is no `NAME=VALUE`", hint);
        };
        let known = self.inventory.named(&self.group);
        known.vars.insert(name.to_owned(), value_of(value));
    }

    fn finish(&mut self) {
        for (name, place) in &self.owners {
            // `all` and `ungrouped` are there without being declared.
            let implied = matches!(name.as_str(), super::inventory::ALL | UNGROUPED);
            let known = self.inventory.groups.get(name).is_some_and(|group| group.declared);
            if !implied && !known {
                let message = format!("there is no group `{}` for these variables", shown(name));
                let hint = "declare it by `[GROUP]` or `[GROUP:children]`";
                self.findings.error_hint(*place, message, hint);
            }
        }
    }
}

/// Whether what stands behind a bracket goes on as a host: `[1:3].example.com`, `[::1]:22`.
fn is_name_part(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.:[".contains(c))
}

/// What Ansible takes for the name of a variable.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A value: a literal in quotes is what stands in them.
fn value_of(text: &str) -> Value {
    let inner = ['"', '\''].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    });
    let text = inner.unwrap_or(text);
    if text.starts_with(VAULT) { Value::Vault } else { Value::Text(text.to_owned()) }
}

/// Words of a line as a shell would cut them. `#` ends a line, also inside of a word, as it does
/// in Ansible.
///
/// # Errors
/// Where a quote begins that does not end.
fn words(line: &str) -> Result<Vec<Word>, usize> {
    let mut all = Vec::new();
    let mut open: Option<Word> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some((mark, _)), c) if c == mark => quote = None,
            (None, ' ' | '\t' | '\r') => {
                all.extend(open.take());
                continue;
            }
            (None, '#') => break,
            (None, '"' | '\'') => {
                quote = Some((c, at));
                open.get_or_insert(Word { text: String::new(), at });
            }
            (None | Some(('"', _)), '\\') => {
                let next = chars.next_if(|(_, next)| quote.is_none() || "\"\\".contains(*next));
                let c = next.map_or('\\', |(_, next)| next);
                open.get_or_insert(Word { text: String::new(), at }).text.push(c);
            }
            (Some(_) | None, c) => {
                open.get_or_insert(Word { text: String::new(), at }).text.push(c);
            }
        }
    }
    if let Some((_, at)) = quote {
        return Err(at);
    }
    all.extend(open);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Vec<String> {
        words(line).expect("words").into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn a_line_is_cut_as_by_a_shell_and_a_hash_ends_it() {
        assert_eq!(
            cut("web1 a='x y' b=\"p \\\"q\\\"\" c=1\\ 2"),
            ["web1", "a=x y", "b=p \"q\"", "c=1 2"]
        );
        assert_eq!(cut("web1 a='#1' b=2#3 c=4"), ["web1", "a=#1", "b=2"]);
        assert_eq!(words("web1 a='x").err(), Some(7));
        assert_eq!(value_of("\"deploy\""), Value::Text("deploy".to_owned()));
        assert_eq!(value_of("a\"b\""), Value::Text("a\"b\"".to_owned()));
    }
}
