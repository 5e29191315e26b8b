//! From text to a script, with the place of what cannot be read.

use super::name::FLEET;
use super::{Happens, Moment, Says, Script, StepName};
use crate::fault::{BalancerTrouble, ControllerTrouble, DiskTrouble, NodeTrouble, Work};
use crate::run::Found;
use std::fmt;
use std::str::FromStr;
use zdu_model::ids::{BadName, InstanceName, NodeName, StepKey};
use zdu_model::report::Held;
use zdu_model::time::Millis;

/// A line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Why, and what could stand there.
    pub why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, why } = self;
        write!(f, "{file}:{line}: {why}")
    }
}

/// Reads a script.
///
/// # Errors
/// The first line that is not understood, or not written as it would be printed.
pub fn parse(file: &str, text: &str) -> Result<Script, Unreadable> {
    let unreadable = |line: usize, why| Unreadable { file: file.to_owned(), line, why };
    let mut script = Script::default();
    for (at, line) in text.lines().enumerate() {
        read_line(&mut script, line).map_err(|why| unreadable(at + 1, why))?;
    }
    if script.fleet.is_empty() {
        return Err(unreadable(1, "`fleet: PATH` is missing".into()));
    }
    // One way to write each thing: what is read is what would be printed.
    let printed = script.to_string();
    let mut pairs = printed.lines().zip(text.lines().chain(std::iter::repeat(""))).enumerate();
    match pairs.find(|(_, (ours, theirs))| ours != theirs) {
        Some((at, (ours, _))) => Err(unreadable(at + 1, format!("this is written `{ours}`"))),
        None if printed != text => {
            let why = "nothing more is written, and a line ends with a line feed".into();
            Err(unreadable(printed.lines().count() + 1, why))
        }
        None => Ok(script),
    }
}

const LINES: &str = "expected `fleet: PATH`, `seed: N`, `found ..: ..`, `takes NODE STEP: SPAN`, \
                     `on NODE STEP N: ..`, `at SPAN: ..`, `record N: ..` or `after the end: ..`";

fn read_line(script: &mut Script, line: &str) -> Result<(), String> {
    if let Some(about) = line.strip_prefix('#') {
        script.about.push(about.strip_prefix(' ').unwrap_or(about).to_owned());
        return Ok(());
    }
    if line.is_empty() {
        return Ok(());
    }
    let (left, right) = line.split_once(": ").ok_or(LINES)?;
    let (mut left, mut right) = (Words::of(left), Words::of(right));
    match left.word("a line")? {
        "fleet" => right.rest().clone_into(&mut script.fleet),
        "seed" => script.seed = right.number("a number")?,
        "found" if left.is("odd") => {
            script.oddly_found = right.number("a number")?;
            right.want("of")?;
            right.want("100")?;
        }
        "found" => script.found.push(found(&mut left, &mut right)?),
        "takes" => script.takes.push((step(&mut left)?, span(&mut right)?)),
        "after" => {
            left.want("the")?;
            left.want("end")?;
            script.afterwards.push(says(&mut right)?.ok_or(SAYS)?);
        }
        word => {
            let moment = moment(word, &mut left)?;
            script.happens.push((moment, happens(&mut right)?));
        }
    }
    left.end()?;
    right.end()
}

fn found(left: &mut Words<'_>, right: &mut Words<'_>) -> Result<Found, String> {
    let node = name(left, "a node", NodeName::new)?;
    left.want("on")?;
    let instance = name(left, "a balancer instance", InstanceName::new)?;
    let held = held(right)?;
    right.want("weight")?;
    let weight = right.number("a weight")?;
    Ok(Found { node, instance, held, weight })
}

fn moment(word: &str, left: &mut Words<'_>) -> Result<Moment, String> {
    Ok(match word {
        "on" => Moment::Step(step(left)?, left.number("which beginning, from 1")?),
        "at" => Moment::At(span(left)?),
        "record" => Moment::Record(left.number("the number of a record")?),
        _ => return Err(LINES.into()),
    })
}

const HAPPENS: &str = "expected `fail CODE [halfway]`, `hang`, `slow N times`, \
                       `finish unseen|unproved`, `reboot|sicken|cut NODE for SPAN`, \
                       `keep sessions of NODE for SPAN`, `reload INSTANCE keeping|forgetting`, \
                       `stop INSTANCE for SPAN`, `refuse commands on INSTANCE for SPAN`, \
                       `lose a reply of INSTANCE`, \
                       `set NODE on INSTANCE ready|drained|in maintenance`, \
                       `kill, again after SPAN`, `pause for SPAN`, `second controller by force`, \
                       `disk full for SPAN`, `sync fails`, `tear the line`, `hold`, `resume`, \
                       `abort`, `rollback` or `approve NODE STEP|what is asked`";

fn happens(words: &mut Words<'_>) -> Result<Happens, String> {
    if let Some(says) = says(words)? {
        return Ok(Happens::Person(says));
    }
    Ok(match words.word(HAPPENS)? {
        "fail" => {
            let code = words.number("an exit code")?;
            Happens::Work(if words.is("halfway") { Work::Half(code) } else { Work::Fails(code) })
        }
        "hang" => Happens::Work(Work::Hangs),
        "slow" => {
            let times = words.number("a number")?;
            words.want("times")?;
            Happens::Work(Work::Slow(times))
        }
        "finish" if words.is("unseen") => Happens::Work(Work::Silent),
        "finish" if words.is("unproved") => Happens::Work(Work::Unproved),
        "reboot" => of_node(words, NodeTrouble::Reboots)?,
        "sicken" => of_node(words, NodeTrouble::Sick)?,
        "find-sick" => of_node(words, NodeTrouble::KnownSick)?,
        "cut" => of_node(words, NodeTrouble::Cut)?,
        "keep" => {
            words.want("sessions")?;
            words.want("of")?;
            of_node(words, NodeTrouble::Lingers)?
        }
        word => of_others(word, words)?,
    })
}

fn of_node(words: &mut Words<'_>, trouble: NodeTrouble) -> Result<Happens, String> {
    let node = name(words, "a node", NodeName::new)?;
    Ok(Happens::Node(node, trouble, for_span(words)?))
}

fn of_others(word: &str, words: &mut Words<'_>) -> Result<Happens, String> {
    let of_instance = |words: &mut Words<'_>| name(words, "an instance", InstanceName::new);
    Ok(match word {
        "reload" => {
            let instance = of_instance(words)?;
            let keeps = words.is("keeping");
            if !keeps {
                words.want("forgetting")?;
            }
            Happens::Balancer(instance, BalancerTrouble::Reload { keeps })
        }
        "stop" => {
            Happens::Balancer(of_instance(words)?, BalancerTrouble::Stopped(for_span(words)?))
        }
        "refuse" => {
            words.want("commands")?;
            words.want("on")?;
            Happens::Balancer(of_instance(words)?, BalancerTrouble::Refuses(for_span(words)?))
        }
        "lose" => {
            words.want("a")?;
            words.want("reply")?;
            words.want("of")?;
            Happens::Balancer(of_instance(words)?, BalancerTrouble::LosesReply)
        }
        "set" => {
            let node = name(words, "a node", NodeName::new)?;
            words.want("on")?;
            let instance = of_instance(words)?;
            Happens::Balancer(instance, BalancerTrouble::OtherHand(node, held(words)?))
        }
        "kill," => {
            words.want("again")?;
            words.want("after")?;
            Happens::Controller(ControllerTrouble::Killed(span(words)?))
        }
        "pause" => Happens::Controller(ControllerTrouble::Paused(for_span(words)?)),
        "second" => {
            words.want("controller")?;
            words.want("by")?;
            words.want("force")?;
            Happens::Controller(ControllerTrouble::Second)
        }
        "disk" => {
            words.want("full")?;
            Happens::Disk(DiskTrouble::Full(for_span(words)?))
        }
        "sync" => {
            words.want("fails")?;
            Happens::Disk(DiskTrouble::SyncFails)
        }
        "tear" => {
            words.want("the")?;
            words.want("line")?;
            Happens::Disk(DiskTrouble::Torn)
        }
        _ => return Err(HAPPENS.into()),
    })
}

const SAYS: &str = "expected `hold`, `resume`, `abort`, `rollback`, `approve NODE STEP` or \
                    `approve what is asked`";

/// What a person says; none when it is something else that happens.
fn says(words: &mut Words<'_>) -> Result<Option<Says>, String> {
    let bare = [
        ("hold", Says::Hold),
        ("resume", Says::Resume),
        ("abort", Says::Abort),
        ("rollback", Says::Rollback),
    ];
    for (word, says) in bare {
        if words.is(word) {
            return Ok(Some(says));
        }
    }
    if !words.is("approve") {
        return Ok(None);
    }
    if words.is("what") {
        words.want("is")?;
        words.want("asked")?;
        return Ok(Some(Says::ApproveWhatIsAsked));
    }
    step(words).map(|step| Some(Says::Approve(step)))
}

fn step(words: &mut Words<'_>) -> Result<StepName, String> {
    let subject = words.word("a node, or `fleet`")?;
    let node = (subject != FLEET).then(|| NodeName::new(subject)).transpose().map_err(text)?;
    let path = words.word("the key of a step")?;
    let (path, which) = match path.split_once('#') {
        Some((path, which)) => (path, which.parse().map_err(|_| "expected `KEY#NUMBER`")?),
        None => (path, 1),
    };
    let key = |key: &str| StepKey::new(key).map_err(text);
    let (undoes, key) = match path.split_once('/') {
        Some((undone, own)) => (Some(key(undone)?), key(own)?),
        None => (None, key(path)?),
    };
    Ok(StepName { node, undoes, key, which })
}

fn held(words: &mut Words<'_>) -> Result<Held, String> {
    match words.word("`ready`, `drained` or `in maintenance`")? {
        "ready" | "ready," => Ok(Held::Ready),
        "drained" | "drained," => Ok(Held::Drain),
        "in" if words.is("maintenance") || words.is("maintenance,") => Ok(Held::Maint),
        _ => Err("expected `ready`, `drained` or `in maintenance`".into()),
    }
}

fn for_span(words: &mut Words<'_>) -> Result<Millis, String> {
    words.want("for")?;
    span(words)
}

/// `1m30s`, `500ms`.
fn span(words: &mut Words<'_>) -> Result<Millis, String> {
    const WANTED: &str = "a span such as `1m30s` or `500ms`";
    let mut rest = words.word(WANTED)?;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(letters);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(format!("expected {WANTED}")),
        };
        let number: u64 = number.parse().map_err(|_| format!("expected {WANTED}"))?;
        sum = sum.saturating_add(number.saturating_mul(factor));
        rest = after;
    }
    Ok(Millis(sum))
}

fn name<T>(
    words: &mut Words<'_>,
    what: &str,
    make: impl Fn(String) -> Result<T, BadName>,
) -> Result<T, String> {
    make(words.word(what)?.to_owned()).map_err(text)
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// The words that are left of one side of a line.
struct Words<'t>(&'t str);

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        Self(text.trim())
    }

    fn peek(&self) -> Option<&'t str> {
        self.0.split_whitespace().next()
    }

    fn word(&mut self, wanted: &str) -> Result<&'t str, String> {
        let word = self.peek().ok_or_else(|| expected(wanted, "the end of the line"))?;
        self.0 = self.0.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        Ok(word)
    }

    /// Takes this word if it is the next.
    fn is(&mut self, word: &str) -> bool {
        self.peek() == Some(word) && self.word(word).is_ok()
    }

    fn want(&mut self, word: &str) -> Result<(), String> {
        let found = self.word(&format!("`{word}`"))?;
        if found == word { Ok(()) } else { Err(expected(&format!("`{word}`"), found)) }
    }

    fn number<T: FromStr>(&mut self, wanted: &str) -> Result<T, String> {
        let word = self.word(wanted)?;
        word.parse().map_err(|_| expected(wanted, word))
    }

    fn rest(&mut self) -> &'t str {
        std::mem::take(&mut self.0)
    }

    fn end(&mut self) -> Result<(), String> {
        self.peek().map_or(Ok(()), |word| Err(format!("`{word}` is too much")))
    }
}

fn expected(wanted: &str, found: &str) -> String {
    let wanted = wanted.strip_prefix("expected ").unwrap_or(wanted);
    format!("expected {wanted}, found `{found}`")
}
