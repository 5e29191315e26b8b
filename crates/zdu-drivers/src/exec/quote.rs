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

    const SHELLS: [&[&str]; 3] = [&["/bin/sh"], &["bash"], &["busybox", "sh"]];

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
        for shell in SHELLS {
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

    /// How `shell` takes the quoted words: how many there are, then each of them.
    fn taken_by(shell: &[&str], words: &[String]) -> String {
        // Should quoting be wrong, what comes out of it finds no program and writes nowhere else.
        let directory = tempfile::tempdir().expect("a directory can be made");
        let quoted = quote_all(words);
        let script = format!("PATH=\nset -- {quoted}\nprintf '%s\\0' \"$#\" \"$@\"\n");
        // A file, as a channel sends scripts by a pipe: an argument has a largest length.
        std::fs::write(directory.path().join("script"), script).expect("written");
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("script").current_dir(directory.path());
        let output = command.output();
        String::from_utf8(output.expect("the shell starts").stdout).expect("text stays text")
    }

    /// Anything a shell may give a meaning to, in any order, beside text of any kind.
    fn word() -> impl Strategy<Value = String> {
        let signs = prop::sample::select(vec![
            "'", "''", "'\\''", "\"", "\\", "\\\n", "\n", "\r\n", "\t", " ", "$", "$(", ")", "`",
            "${x}", "$'", "!", "#", "~", "*", "?", "[", "]", "{a,b}", ";", "&", "|", "<", ">",
            "<<E", "=", "-", "--", "-n", "%s", "a", "é", "\u{7f}", "\u{1b}", "\u{1}", "\u{feff}",
            "if", "done",
        ]);
        prop_oneof![
            4 => "[^\u{0}]{0,60}",
            4 => prop::collection::vec(signs, 0..12).prop_map(|signs| signs.concat()),
            1 => "-{1,2}[^\u{0}]{0,20}",
            // Longer than one argument of a program can be.
            1 => ("[^\u{0}]{1,8}", 1_usize..40_000).prop_map(|(part, times)| part.repeat(times)),
        ]
    }

    proptest! {
        // Each case is one process for each shell, however many words it has.
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn any_words_without_nul_come_through_every_shell_as_as_many_words(
            words in prop::collection::vec(word(), 1..120),
        ) {
            let mut expected = format!("{}\0", words.len());
            words.iter().for_each(|word| {
                expected.push_str(word);
                expected.push('\0');
            });
            for shell in SHELLS {
                if Command::new(shell[0]).arg("--help").output().is_ok() {
                    let taken = taken_by(shell, &words);
                    prop_assert!(taken == expected, "{:?} with {:?}", shell, words);
                }
            }
        }
    }
}
