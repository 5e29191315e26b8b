//! Lines that fit a terminal.

/// How wide a line of a rehearsal is at most.
pub(super) const WIDTH: usize = 100;

/// A text with a heading in front; further lines stand below the text.
pub(super) fn wrapped(heading: &str, text: &str) -> String {
    hanging(heading, &" ".repeat(heading.chars().count()), text)
}

/// A text with a heading in front; further lines begin so.
pub(super) fn hanging(heading: &str, indent: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = heading.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        let wide = line.chars().count() + 1 + word.chars().count();
        if !empty && wide > WIDTH {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = indent.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_goes_on_below_itself() {
        let text = wrapped("hint: ", &"word ".repeat(30));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert!(lines[0].starts_with("hint: word") && lines[1].starts_with("      word"), "{text}");
    }
}
