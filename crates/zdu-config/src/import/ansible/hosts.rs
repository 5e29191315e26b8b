//! What an inventory calls a host: a name, perhaps with a range and a port.

use std::net::Ipv6Addr;

/// The most hosts of one pattern, and of an inventory. A range with a digit too many must not fill
/// the memory.
pub(super) const HOSTS_MAX: usize = 20_000;

/// A pattern without its port, and the port.
pub(super) fn split_port(pattern: &str) -> (&str, Option<u16>) {
    if pattern.parse::<Ipv6Addr>().is_ok() {
        return (pattern, None);
    }
    if let Some((address, rest)) = pattern.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    // A colon in brackets belongs to a range.
    match pattern.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (pattern, None),
        },
        Some(_) | None => (pattern, None),
    }
}

/// All hosts of a pattern: `web[01:10:2]` and `db-[a:c].example.com`, also several in one.
///
/// # Errors
/// What is wrong, as a sentence without the pattern.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, &'static str> {
    if pattern.parse::<Ipv6Addr>().is_ok() {
        return Ok(vec![pattern.to_owned()]);
    }
    let mut all = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, from)) = rest.split_once('[') {
        let (range, after) = from.split_once(']').ok_or("the range has no `]`")?;
        let words = range_words(range)?;
        if all.len().saturating_mul(words.len()) > HOSTS_MAX {
            return Err("the range has more than 20000 hosts");
        }
        let each = |begin: &String| {
            let joined = words.iter().map(|word| format!("{begin}{before}{word}"));
            joined.collect::<Vec<_>>()
        };
        all = all.iter().flat_map(each).collect();
        rest = after;
    }
    for name in &mut all {
        name.push_str(rest);
    }
    if all.iter().any(|name| !is_name(name)) {
        return Err("this is no host name");
    }
    Ok(all)
}

/// Whether a text can be a host's name or address.
pub(super) fn is_name(text: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !text.is_empty()
        && (text.parse::<Ipv6Addr>().is_ok()
            || (text.chars().all(fine) && !text.starts_with(['-', '.'])))
}

/// The words of `BEGIN:END` or `BEGIN:END:STEP`, both ends included.
fn range_words(range: &str) -> Result<Vec<String>, &'static str> {
    let parts: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match parts[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err("a range is `[BEGIN:END]` or `[BEGIN:END:STEP]`"),
    };
    let step = step.parse::<usize>().ok().filter(|step| *step > 0);
    let step = step.ok_or("the step of a range is a number from 1")?;
    // As in Ansible, a range without a beginning is one of numbers from 0.
    let begin = if begin.is_empty() { "0" } else { begin };
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if digits(begin) && digits(end) {
        return numbers(begin, end, step);
    }
    let letter = |text: &str| match text.as_bytes() {
        [c] if c.is_ascii_alphabetic() => Some(*c),
        _ => None,
    };
    match (letter(begin), letter(end)) {
        (Some(begin), Some(end)) if begin.is_ascii_lowercase() == end.is_ascii_lowercase() => {
            if begin > end {
                return Err("the range ends before it begins");
            }
            Ok((begin..=end).step_by(step).map(|c| char::from(c).to_string()).collect())
        }
        _ => Err("a range has two numbers, or two letters of one case"),
    }
}

fn numbers(begin: &str, end: &str, step: usize) -> Result<Vec<String>, &'static str> {
    let padded = begin.len() > 1 && begin.starts_with('0');
    if padded && begin.len() != end.len() {
        return Err("both ends of a range with leading zeros have the same length");
    }
    let width = if padded { begin.len() } else { 0 };
    let far = "a number of the range is too large";
    let (begin, end): (usize, usize) =
        (begin.parse().map_err(|_| far)?, end.parse().map_err(|_| far)?);
    if begin > end {
        return Err("the range ends before it begins");
    }
    if (end - begin) / step >= HOSTS_MAX {
        return Err("the range has more than 20000 hosts");
    }
    Ok((begin..=end).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_by_numbers_with_zeros_and_steps_and_by_letters() {
        let hosts = |pattern| expand(pattern).map(|hosts| hosts.join(" "));
        assert_eq!(hosts("web[01:10:2]").as_deref(), Ok("web01 web03 web05 web07 web09"));
        assert_eq!(hosts("web[8:11]").as_deref(), Ok("web8 web9 web10 web11"));
        assert_eq!(hosts("n[:2]").as_deref(), Ok("n0 n1 n2"));
        assert_eq!(hosts("db-[a:c].x").as_deref(), Ok("db-a.x db-b.x db-c.x"));
        assert_eq!(hosts("[A:E:2]").as_deref(), Ok("A C E"));
        assert_eq!(hosts("r[1:2]n[a:b]").as_deref(), Ok("r1na r1nb r2na r2nb"));
        assert_eq!(hosts("plain.example.com").as_deref(), Ok("plain.example.com"));
        assert_eq!(hosts("2001:db8::1").as_deref(), Ok("2001:db8::1"));
    }

    #[test]
    fn a_range_that_means_nothing_is_refused_with_the_reason() {
        for (pattern, why) in [
            ("web[01:100]", "same length"),
            ("web[5:1]", "ends before"),
            ("web[c:a]", "ends before"),
            ("web[a:C]", "two letters of one case"),
            ("web[1:b]", "two numbers"),
            ("web[1:]", "two numbers"),
            ("web[1:9:0]", "from 1"),
            ("web[1:2:3:4]", "is `[BEGIN:END]`"),
            ("web[1:2", "no `]`"),
            ("web[1:999999999]", "20000"),
            ("web[1:999][1:999]", "20000"),
            ("web[1:99999999999999999999999]", "too large"),
            ("we b", "no host name"),
            ("-web", "no host name"),
        ] {
            let refused = expand(pattern).expect_err(pattern);
            assert!(refused.contains(why), "{pattern}: {refused}");
        }
    }

    #[test]
    fn a_port_stands_behind_a_name_a_range_or_an_address_in_brackets() {
        assert_eq!(split_port("web1:2222"), ("web1", Some(2222)));
        assert_eq!(split_port("web[1:3]:2222"), ("web[1:3]", Some(2222)));
        assert_eq!(split_port("web[1:3]"), ("web[1:3]", None));
        assert_eq!(split_port("[::1]:22"), ("::1", Some(22)));
        assert_eq!(split_port("[2001:db8::1]"), ("2001:db8::1", None));
        assert_eq!(split_port("::1"), ("::1", None));
        assert_eq!(split_port("web1:ssh"), ("web1:ssh", None));
    }
}
