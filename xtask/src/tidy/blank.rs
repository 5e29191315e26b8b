//! Rust source with comments and the contents of literals blanked out, lines kept: what is left
//! can be searched for code without finding text about code.

use std::collections::BTreeSet;

/// Blanks comments, strings and characters; every line keeps its number.
pub(crate) fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let blanked = chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' });
            out.extend(blanked);
            at = end;
        }
    }
    out
}

/// The lines, from 1, that begin inside a string literal.
pub(crate) fn lines_in_strings(source: &str) -> BTreeSet<usize> {
    let chars: Vec<char> = source.chars().collect();
    let mut inside = BTreeSet::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = literal_end(&chars, at).max(at + 1);
        // Of what `literal_end` passes over, only a comment begins with a slash.
        let is_string = chars[at] != '/' && end > at + 1;
        for _ in chars[at..end].iter().filter(|c| **c == '\n') {
            line += 1;
            if is_string {
                inside.insert(line);
            }
        }
        at = end;
    }
    inside
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at),
        'r' if !word_before(chars, at) => raw_string_end(chars, at).unwrap_or(at),
        '\'' => char_end(chars, at),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| wanted(*c)).map_or(chars.len(), |offset| from + offset)
}

/// Block comments nest in Rust.
fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut here) = (0_usize, at);
    while here < chars.len() {
        match (chars[here], chars.get(here + 1)) {
            ('/', Some('*')) => (depth, here) = (depth + 1, here + 2),
            ('*', Some('/')) if depth == 1 => return here + 2,
            ('*', Some('/')) => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut here = at + 1;
    while here < chars.len() {
        match chars[here] {
            '\\' => here += 2,
            '"' => return here + 1,
            _ => here += 1,
        }
    }
    chars.len()
}

/// `r"..."`, `r#"..."#`; a raw identifier such as `r#fn` is none.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let quote = find(chars, at + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - at - 1;
    let closes = |here: &usize| {
        chars[*here] == '"'
            && chars
                .get(here + 1..here + 1 + hashes)
                .is_some_and(|end| end.iter().all(|c| *c == '#'))
    };
    let close = (quote + 1..chars.len()).find(closes);
    Some(close.map_or(chars.len(), |close| close + 1 + hashes))
}

/// `'x'` and `'\n'` are characters; `'a` without an end is a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), Some(_)) => (find(chars, at + 3, |c| c == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Whether a word other than a string prefix (`b`, `c`) ends right before `at`.
fn word_before(chars: &[char], at: usize) -> bool {
    let is_word = |index: usize| chars[index].is_alphanumeric() || chars[index] == '_';
    match at {
        0 => false,
        1 => is_word(0) && !matches!(chars[0], 'b' | 'c'),
        _ => is_word(at - 1) && (is_word(at - 2) || !matches!(chars[at - 1], 'b' | 'c')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        blank(source).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        assert_eq!(words("a // b\nc /* d /* e */ f */ g"), ["a", "c", "g"]);
        assert_eq!(words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(words(r###"a r#"b " c"# d br"\" e"###), ["a", "d", "b", "e"]);
        assert_eq!(words("a '{' '\\'' '\\u{7d}' b"), ["a", "b"]);
        assert_eq!(words("<'a> r#fn for'"), ["<'a>", "r#fn", "for'"]);
    }

    #[test]
    fn lines_in_strings_are_those_that_begin_in_one() {
        let source = "a\n\"b\nc\"\n/* \"\nd */ e\nr#\"f\n\"g\n\"#; '\"'\nh // \"\ni";
        assert_eq!(lines_in_strings(source).into_iter().collect::<Vec<_>>(), [3, 7, 8]);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "a\n\"b\nc\"\n/*\n*/ d";
        assert_eq!(blank(source).lines().count(), source.lines().count());
        assert!(blank(source).lines().nth(4).is_some_and(|line| line.ends_with('d')));
    }
}
