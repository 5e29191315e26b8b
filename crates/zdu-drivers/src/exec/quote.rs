//! Quoting for POSIX `sh`. This is the only place of the project that turns text into shell words;
//! everything that is sent to a shell as an argument goes through [`quote`].

/// `text` as exactly one word of a POSIX shell, whatever it contains except NUL (which no shell
/// word can hold; callers refuse it before, see [`has_nul`]).
///
/// Plain words stay as they are, so that recorded commands stay readable.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    // `=` would make a leading word an assignment and `-` is harmless: no shell expands it.
    let is_plain = !text.is_empty() && text.bytes().all(plain) && !text.contains('=');
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        if character == '\'' {
            quoted.push_str("'\\''");
        } else {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    quoted
}

/// The words of `argv`, each quoted, with single spaces between.
#[must_use]
pub fn quote_all<I, S>(argv: I) -> String
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let words: Vec<String> = argv.into_iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

/// Whether `text` holds a NUL, which neither an argument nor a script line can carry.
#[must_use]
pub fn has_nul(text: &str) -> bool {
    text.bytes().any(|byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// What `sh` makes of the quoted word, as the single argument of `printf`.
    fn through_sh(shell: &[&str], text: &str) -> String {
        let script = format!("printf '%s|%s' {} \"$#\"", quote(text));
        let output = Command::new(shell[0]).args(&shell[1..]).arg("-c").arg(script).output();
        String::from_utf8(output.expect("the shell starts").stdout).expect("text stays text")
    }

    #[test]
    fn nasty_words_come_through_every_shell_present() {
        let nasty = [
            "",
            " ",
            "'",
            "''",
            "\"",
            "$HOME",
            "$(id)",
            "`id`",
            "\\",
            "a\nb",
            "\n",
            "-n",
            "--",
            "-",
            "é漢😀",
            "*",
            "~",
            "a=b",
            "#x",
            "!x",
            "\t",
            "\r",
            "a;b|c&d",
            "{a,b}",
            "%s",
            "x\\n",
        ];
        let shells: [&[&str]; 3] = [&["/bin/sh"], &["bash"], &["busybox", "sh"]];
        for shell in shells {
            if Command::new(shell[0]).arg("--help").output().is_err() {
                continue;
            }
            for word in nasty {
                assert_eq!(through_sh(shell, word), format!("{word}|0"), "{shell:?} {word:?}");
            }
        }
    }

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(quote_all(["rpm", "-U", "/opt/a.rpm", "a b"]), "rpm -U /opt/a.rpm 'a b'");
        assert_eq!(quote("a=b"), "'a=b'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_string_without_nul_comes_through_sh(text in "[^\u{0}]{0,60}") {
            prop_assert_eq!(through_sh(&["/bin/sh"], &text), format!("{text}|0"));
        }
    }
}
