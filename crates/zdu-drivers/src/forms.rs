//! The forms a secret is met in: base64, hexadecimal, URL, JSON and shell encodings, each as the
//! common tools write it, URL and JSON also one within another of its kind. Pure.
//!
//! A form must be found inside a longer text of the same encoding, so none has its outer quotes,
//! and in base64 only what the value alone decides is looked for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The value as it is and in every encoding; forms that are alike are there once.
pub(crate) fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    for once in in_urls(value) {
        forms.extend(in_urls(&once));
        forms.push(once);
    }
    for once in in_json(value) {
        forms.extend(in_json(&once));
        forms.push(once);
    }
    forms.extend(in_hex(value.as_bytes()));
    forms.extend(in_shells(value));
    forms.extend(in_markup(value));
    forms.extend(in_base64(value.as_bytes()));
    forms.extend(in_lines_of_base64(value.as_bytes()));
    forms.sort();
    forms.dedup();
    forms
}

/// What stays as it is in a URL besides letters and digits, as different tools have it: RFC 3986
/// (curl, most libraries), `encodeURIComponent`, `encodeURI`, Python's `quote`, Java's `URLEncoder`
/// and browsers' forms, and nothing at all.
const KEPT_IN_URLS: [&[u8]; 6] =
    [b"-._~", b"-._~!'()*", b"-._~!'()*;,/?:@&=+$#", b"-._~/", b"-._*", b""];

fn in_urls(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for kept in KEPT_IN_URLS {
        for upper in [true, false] {
            let form =
                percent(value, upper, |byte| byte.is_ascii_alphanumeric() || kept.contains(&byte));
            forms.push(form.replace("%20", "+"));
            forms.push(form);
        }
    }
    forms
}

fn percent(text: &str, upper: bool, keep: impl Fn(u8) -> bool) -> String {
    let one = |byte: u8| match (keep(byte), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    text.bytes().map(one).collect()
}

/// JSON strings: what must be escaped, and what some escape besides: nothing, what is not ASCII
/// (Python), what HTML could read (Go), both, and all that .NET does; with and without `\/` (PHP).
fn in_json(value: &str) -> Vec<String> {
    let ascii = |c: char| !c.is_ascii();
    let html = |c: char| "<>&\u{2028}\u{2029}".contains(c);
    let dotnet = move |c: char| ascii(c) || "<>&'\"+`\u{7f}".contains(c);
    let sets: [&dyn Fn(char) -> bool; 5] =
        [&|_| false, &ascii, &html, &move |c| ascii(c) || html(c), &dotnet];
    let mut forms = Vec::new();
    for set in sets {
        for slash in [false, true] {
            for upper in [false, true] {
                forms.push(value.chars().map(|c| escaped(c, set, slash, upper)).collect());
            }
        }
    }
    forms
}

fn escaped(c: char, by_number: &dyn Fn(char) -> bool, slash: bool, upper: bool) -> String {
    let numbered = || {
        let mut units = [0; 2];
        let one = |unit: &u16| match upper {
            true => format!("\\u{unit:04X}"),
            false => format!("\\u{unit:04x}"),
        };
        c.encode_utf16(&mut units).iter().map(one).collect()
    };
    match c {
        c if by_number(c) => numbered(),
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        '\u{8}' => "\\b".into(),
        '\u{c}' => "\\f".into(),
        '/' if slash => "\\/".into(),
        c if c < ' ' => numbered(),
        c => c.into(),
    }
}

/// As `xxd -p`, `od -An -tx1`, Python's `bytes.hex` and debuggers print bytes.
fn in_hex(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for between in ["", " ", ":", "\\x", "0x", " 0x", ", 0x"] {
        let lower: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let upper: Vec<String> = value.iter().map(|byte| format!("{byte:02X}")).collect();
        forms.extend([lower.join(between), upper.join(between)]);
    }
    forms
}

/// Words of a shell without their outer quotes: quoted as zdu and bash's `set -x` do, as dash's
/// `set -x` and Python do, in double quotes, by `printf %q`, and as `$'…'`.
fn in_shells(value: &str) -> Vec<String> {
    let backslashed = |special: &dyn Fn(char) -> bool| -> String {
        let one = |c: char| if special(c) { format!("\\{c}") } else { c.into() };
        value.chars().map(one).collect()
    };
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_./:=@%+".contains(c);
    let ansi = |c: char, octal: bool| match c {
        '\'' | '\\' => format!("\\{c}"),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        c if c.is_ascii_control() || (octal && !c.is_ascii()) => {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:03o}")).collect()
        }
        c => c.into(),
    };
    vec![
        value.replace('\'', r"'\''"),
        value.replace('\'', r#"'"'"'"#),
        backslashed(&|c| "\\\"$`".contains(c)),
        backslashed(&|c| "\\\"$`!".contains(c)),
        backslashed(&|c| !plain(c)),
        backslashed(&|c| !plain(c) && c != ','),
        value.chars().map(|c| ansi(c, false)).collect(),
        value.chars().map(|c| ansi(c, true)).collect(),
    ]
}

/// XML and HTML, with the two ways to write a `'`, and a doubled quote as in SQL and YAML.
fn in_markup(value: &str) -> Vec<String> {
    let escaped = |apostrophe: &str| {
        let text = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\'', apostrophe)
    };
    vec![escaped("'"), escaped("&#39;"), escaped("&apos;"), value.replace('\'', "''")]
}

/// A value that is longer than a line of `base64` (76 characters) or `openssl` (64), alone or with
/// its newline: sinks are masked line by line.
fn in_lines_of_base64(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for end in ["", "\n"] {
        let text = STANDARD.encode([value, end.as_bytes()].concat());
        for width in [64, 76] {
            // A short last line could be anything.
            let told = |line: &&[u8]| text.len() > width && line.len() >= 8;
            let lines = text.as_bytes().chunks(width).filter(told);
            forms.extend(lines.filter_map(|line| String::from_utf8(line.to_vec()).ok()));
        }
    }
    forms
}

/// A value inside a longer text (`user:password`) begins at one of three places in a group of four
/// characters. A character that also holds bits of a neighbour is left out: there are at most two,
/// and each tells less than a byte of the value.
fn in_base64(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for lead in 0..3 {
            let mut bytes = vec![0; lead];
            bytes.extend(value);
            let text = engine.encode(&bytes);
            let (begin, end) = ((lead * 8).div_ceil(6), bytes.len() * 8 / 6);
            forms.extend(text.get(begin..end).map(str::to_owned));
        }
        // At the end of a text its last character is the value's alone.
        forms.push(engine.encode(value));
    }
    let in_url: Vec<String> = forms
        .iter()
        .flat_map(|form| {
            [true, false].map(|upper| percent(form, upper, |byte| !b"+/".contains(&byte)))
        })
        .collect();
    forms.extend(in_url);
    forms
}

#[cfg(test)]
mod tests {
    use crate::secret::{MASK, Redactor};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const SECRET: &str = "pa ss'wo\"rd/+ü&9,<$`\\(~*!";

    fn masked(secret: &str, text: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.add(secret);
        redactor.mask(text)
    }

    #[test]
    fn an_encoded_secret_is_masked_as_each_tool_writes_it() {
        for text in [
            // curl, encodeURIComponent, encodeURI, Python's quote_plus and quote, Java, lower case.
            "pa%20ss%27wo%22rd%2F%2B%C3%BC%269%2C%3C%24%60%5C%28~%2A%21",
            "pa%20ss'wo%22rd%2F%2B%C3%BC%269%2C%3C%24%60%5C(~*!",
            "pa%20ss'wo%22rd/+%C3%BC&9,%3C$%60%5C(~*!",
            "pa+ss%27wo%22rd%2F%2B%C3%BC%269%2C%3C%24%60%5C%28~%2A%21",
            "pa%20ss%27wo%22rd/%2B%C3%BC%269%2C%3C%24%60%5C%28~%2A%21",
            "pa+ss%27wo%22rd%2F%2B%C3%BC%269%2C%3C%24%60%5C%28%7E*%21",
            "pa%20ss%27wo%22rd%2f%2b%c3%bc%269%2c%3c%24%60%5c%28~%2a%21",
            "pa+ss%27wo%22rd%2f%2b%c3%bc%269%2c%3c%24%60%5c%28~%2a%21",
            // JSON by serde, Python, Go, PHP, .NET.
            r#"pa ss'wo\"rd/+ü&9,<$`\\(~*!"#,
            r#"pa ss'wo\"rd/+\u00fc&9,<$`\\(~*!"#,
            r#"pa ss'wo\"rd/+ü\u00269,\u003c$`\\(~*!"#,
            r#"pa ss'wo\"rd\/+\u00fc&9,<$`\\(~*!"#,
            r"pa ss\u0027wo\u0022rd/\u002B\u00FC\u00269,\u003C$\u0060\\(~*!",
            // Shells: zdu and bash -x, dash -x and Python, double quotes, printf %q, $'…'.
            r#"pa ss'\''wo"rd/+ü&9,<$`\(~*!"#,
            r#"pa ss'"'"'wo"rd/+ü&9,<$`\(~*!"#,
            r#"pa ss'wo\"rd/+ü&9,<\$\`\\(~*!"#,
            r#"pa\ ss\'wo\"rd/+ü\&9\,\<\$\`\\\(\~\*\!"#,
            r#"pa ss\'wo"rd/+\303\274&9,<$`\\(~*!"#,
        ] {
            assert_eq!(masked(SECRET, &format!("<{text}>")), format!("<{MASK}>"), "{text}");
        }
    }

    #[test]
    fn a_secret_is_masked_in_markup_and_in_every_line_of_wrapped_base64() {
        let markup = "pa ss&#39;wo&quot;rd/+ü&amp;9,&lt;$`\\(~*!";
        assert_eq!(masked(SECRET, &format!("<p>{markup}</p>")), format!("<p>{MASK}</p>"));
        let long = "0123456789abcdefghij".repeat(9);
        let text = STANDARD.encode(format!("{long}\n"));
        for line in text.as_bytes().chunks(76).map(String::from_utf8_lossy) {
            assert_eq!(masked(&long, &line), MASK, "{line}");
        }
    }

    #[test]
    fn a_secret_is_masked_in_hexadecimal_and_when_it_was_encoded_twice() {
        for text in [
            "70c3a4737377c3b67264",
            "70C3A4737377C3B67264",
            "70 c3 a4 73 73 77 c3 b6 72 64",
            "70:C3:A4:73:73:77:C3:B6:72:64",
            r"\x70\xc3\xa4\x73\x73\x77\xc3\xb6\x72\x64",
            "0x70, 0xc3, 0xa4, 0x73, 0x73, 0x77, 0xc3, 0xb6, 0x72, 0x64",
        ] {
            assert!(masked("pässwörd", text).contains(MASK), "{text}");
        }
        for text in [
            r#"pa ss'wo\\\"rd/+ü&9,<$`\\\\(~*!"#,
            "pa%2520ss%2527wo%2522rd%252F%252B%25C3%25BC%25269%252C%253C%2524%2560%255C%2528~%252A\
             %2521",
        ] {
            assert_eq!(masked(SECRET, &format!("<{text}>")), format!("<{MASK}>"), "{text}");
        }
    }

    #[test]
    fn a_secret_that_ends_in_a_quote_is_masked_whole_in_json() {
        assert_eq!(masked("pass\"", r#"{"p":"pass\""}"#), format!(r#"{{"p":"{MASK}"}}"#));
    }

    #[test]
    fn the_password_of_a_basic_authentication_is_masked_also_in_a_url() {
        let header = STANDARD.encode("ab:??>>??>>");
        assert!(header.contains('/') && header.contains('+'), "{header}");
        for (plus, slash) in [("%2B", "%2F"), ("%2b", "%2f")] {
            let text = header.replace('+', plus).replace('/', slash);
            assert!(masked("??>>??>>", &text).contains(MASK), "{text}");
        }
    }

    proptest! {
        /// Of the base64 of a longer text nothing of the secret is left but the characters that
        /// hold bits of its neighbours too.
        #[test]
        fn in_base64_a_secret_is_masked_wherever_it_stands(
            secret in "[ -~äö]{4,40}", before in "[a-z:]{0,9}", after in "[a-z:]{0,9}",
        ) {
            let whole = format!("{before}{secret}{after}");
            prop_assume!(!before.contains(&secret) && !after.contains(&secret));
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&whole);
                let shown = masked(&secret, &text);
                prop_assert!(shown.contains(MASK), "{text}: {shown}");
                let of_others = (before.len() * 8).div_ceil(6) + text.len()
                    - (before.len() + secret.len()) * 8 / 6;
                prop_assert!(shown.len() - MASK.len() <= of_others, "{text}: {shown}");
            }
        }
    }
}
