//! One line of HAProxy's configuration, cut into words.

/// One word, quotes and escapes taken off.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text. Where an environment variable stands, the variable's name with its `$`.
    pub(super) text: String,
    /// Whether an environment variable stands in it: its text is not what HAProxy reads.
    pub(super) expands: bool,
}

/// What a character is read as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    None,
    /// `"`: escapes and environment variables are read.
    Weak,
    /// `'`: nothing is read.
    Strong,
}

/// The words of a line up to its comment, by HAProxy's configuration manual, 2.2 and 2.3. Total:
/// a quote that is not closed, which HAProxy refuses, ends with the line.
pub(super) fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quoting = Quoting::None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let blank = matches!(c, ' ' | '\t' | '\r' | '\n');
        match (quoting, c) {
            (Quoting::None, '#') => break,
            (Quoting::None, _) if blank => words.extend(word.take()),
            (Quoting::None, '"') => quoting = opened(&mut word, Quoting::Weak),
            (Quoting::None, '\'') => quoting = opened(&mut word, Quoting::Strong),
            (Quoting::Weak, '"') | (Quoting::Strong, '\'') => quoting = Quoting::None,
            (Quoting::None | Quoting::Weak, '\\') => {
                word.get_or_insert_default().text.push(escaped(&mut chars));
            }
            (Quoting::Weak, '$') => {
                let word = word.get_or_insert_default();
                word.text.push('$');
                word.expands = true;
            }
            (Quoting::None | Quoting::Weak | Quoting::Strong, other) => {
                word.get_or_insert_default().text.push(other);
            }
        }
    }
    words.extend(word);
    words
}

/// A quote begins a word, also one with nothing in it.
fn opened(word: &mut Option<Word>, quoting: Quoting) -> Quoting {
    word.get_or_insert_default();
    quoting
}

/// The character that stands behind a backslash.
fn escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> char {
    match chars.next() {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('x') => {
            let mut value = 0;
            for _ in 0..2 {
                let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)) else { break };
                value = value * 16 + digit;
                chars.next();
            }
            char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Some(other) => other,
        None => '\\',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Vec<String> {
        words(line).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn comments_end_a_line_also_within_a_word_and_not_where_they_are_protected() {
        assert_eq!(cut("  global#this is the global section"), ["global"]);
        assert_eq!(cut("\tmode http # or tcp\r"), ["mode", "http"]);
        assert_eq!(cut(r##"a \# "#b" '#c' d\#e #f"##), ["a", "#", "#b", "#c", "d#e"]);
        assert_eq!(cut("# all of it"), [""; 0]);
    }

    #[test]
    fn quotes_and_escapes_say_what_the_manual_says() {
        let line = r#"log-format "%{+Q}o %t"' %s %{-Q}r' x\ y "a'b" 'c\"d' "" \x41\x4 z"#;
        let wanted =
            ["log-format", "%{+Q}o %t %s %{-Q}r", "x y", "a'b", "c\\\"d", "", "A\u{4}", "z"];
        assert_eq!(cut(line), wanted);
        assert_eq!(cut("open \"quote # of a line"), ["open", "quote # of a line"]);
        assert_eq!(cut("\\"), ["\\"]);
    }

    #[test]
    fn variables_are_those_in_weak_quotes() {
        let found: Vec<(String, bool)> = words(r#"$A "$B" '$C' "\$D" "x${E}y""#)
            .into_iter()
            .map(|w| (w.text, w.expands))
            .collect();
        let wanted = [("$A", false), ("$B", true), ("$C", false), ("$D", false), ("x${E}y", true)];
        assert_eq!(found, wanted.map(|(text, expands)| (text.to_owned(), expands)));
    }
}
