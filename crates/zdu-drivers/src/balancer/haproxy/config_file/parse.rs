//! Text to statements.

use super::words::{Word, words};
use super::{ConfigFile, Load, Place, Profile, Proxy, Says, Server, Side, Statement, Switch};
use std::sync::Arc;
use zdu_model::time::Millis;

/// Sections that say nothing of proxies. A keyword of a later version that is missing here would
/// have its lines read as those of the section before.
const OTHER_SECTIONS: [&str; 17] = [
    "acme",
    "cache",
    "crt-list",
    "crt-store",
    "dynamic-update",
    "fcgi-app",
    "http-errors",
    "log-forward",
    "log-profile",
    "mailers",
    "namespace_list",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

/// The section that lines belong to.
enum Section {
    Global,
    Profile(usize),
    Proxy(usize),
    Other,
}

struct Reader {
    config: ConfigFile,
    section: Section,
    /// The `defaults` section that the next proxy takes unless it names one.
    latest: Option<usize>,
    /// How many `.if` blocks are open.
    conditions: usize,
}

/// Reads files in the order HAProxy reads them. Total: what is not understood says nothing.
#[must_use]
pub fn parse<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> ConfigFile {
    let mut reader = Reader {
        config: ConfigFile::default(),
        section: Section::Other,
        latest: None,
        conditions: 0,
    };
    for (path, bytes) in files {
        let file: Arc<str> = path.into();
        // A section ends with its file, a `.if` block too.
        reader.section = Section::Other;
        reader.conditions = 0;
        for (line, number) in String::from_utf8_lossy(bytes).lines().zip(1..) {
            reader.line(&words(line), &Place { file: Arc::clone(&file), line: number });
        }
    }
    reader.config
}

impl Reader {
    fn line(&mut self, words: &[Word], at: &Place) {
        let Some((first, rest)) = words.split_first() else { return };
        match first.text.as_str() {
            ".if" => self.conditions = self.conditions.saturating_add(1),
            ".endif" => self.conditions = self.conditions.saturating_sub(1),
            _ if first.expands => self.say(Says::Unreadable, at),
            "global" => self.section = Section::Global,
            "defaults" => self.begin_profile(rest),
            "frontend" => self.begin_proxy(Side::Front, rest, at),
            "backend" => self.begin_proxy(Side::Back, rest, at),
            "listen" => self.begin_proxy(Side::Both, rest, at),
            other if OTHER_SECTIONS.contains(&other) => self.section = Section::Other,
            keyword => {
                if let Some(says) = statement(keyword, rest) {
                    self.say(says, at);
                }
            }
        }
    }

    fn begin_profile(&mut self, rest: &[Word]) {
        let (name, from) = match rest {
            [from, name, ..] if from.text == "from" => (None, Some(&name.text)),
            [name, from, base, ..] if from.text == "from" => (Some(&name.text), Some(&base.text)),
            [name, ..] => (Some(&name.text), None),
            [] => (None, None),
        };
        let profile = Profile {
            name: name.cloned(),
            from: from.and_then(|from| self.profile(from)),
            own: Vec::new(),
            perhaps: self.conditions > 0,
        };
        let index = self.config.profiles.len();
        self.config.profiles.push(profile);
        self.section = Section::Profile(index);
        self.latest = Some(index);
    }

    fn begin_proxy(&mut self, side: Side, rest: &[Word], at: &Place) {
        let from = match rest {
            [_, from, base, ..] if from.text == "from" => self.profile(&base.text),
            [..] => self.latest,
        };
        self.section = Section::Proxy(self.config.proxies.len());
        self.config.proxies.push(Proxy {
            name: rest.first().map(|name| name.text.clone()).unwrap_or_default(),
            side,
            at: at.clone(),
            from,
            own: Vec::new(),
            perhaps: self.conditions > 0,
        });
    }

    fn profile(&self, name: &str) -> Option<usize> {
        self.config.profiles.iter().rposition(|profile| profile.name.as_deref() == Some(name))
    }

    fn say(&mut self, says: Says, at: &Place) {
        let into = match self.section {
            Section::Global => Some(&mut self.config.global),
            Section::Profile(index) => self.config.profiles.get_mut(index).map(|p| &mut p.own),
            Section::Proxy(index) => self.config.proxies.get_mut(index).map(|p| &mut p.own),
            Section::Other => None,
        };
        if let Some(into) = into {
            into.push(Statement { says, at: at.clone(), perhaps: self.conditions > 0 });
        }
    }
}

/// What a line of a proxy, of `defaults` or of `global` says, where it is asked for.
fn statement(keyword: &str, rest: &[Word]) -> Option<Says> {
    let first = rest.first();
    let text = first.map(|word| word.text.as_str()).unwrap_or_default();
    match keyword {
        "option" => option(first?, true),
        // `default option x` brings back what holds where nothing is said: both are off then.
        "no" | "default" if text == "option" => option(rest.get(1)?, false),
        "mode" if first?.expands => Some(Says::Unreadable),
        "mode" => Some(Says::Http(text == "http")),
        "default_backend" | "use_backend" => {
            let name = first?;
            let dynamic = name.expands || name.text.contains("%[");
            let to = (!dynamic).then(|| name.text.clone());
            Some(Says::Route { to, always: keyword == "default_backend" })
        }
        "stick" => {
            let sticks = ["on", "match", "store-request", "store-response"].contains(&text);
            sticks.then_some(Says::Stick)
        }
        "load-server-state-from-file" => Some(Says::LoadState(match text {
            "global" => Load::Global,
            "local" => Load::Local,
            _ => Load::Nothing,
        })),
        "server-state-file" => Some(Says::StateFile),
        "retries" => text.parse().ok().map(Says::Retries),
        "default-server" => slow_start(rest).map(Says::SlowStart),
        "server" => Some(Says::Server(Server {
            name: text.to_owned(),
            numbers: None,
            slow_start: slow_start(rest),
        })),
        "server-template" => {
            let range = &rest.get(1)?.text;
            // `server-template web 3` is web1 to web3.
            let (low, high) = range.split_once('-').unwrap_or(("1", range));
            let numbers = Some((low.parse().ok()?, high.parse().ok()?));
            let (name, slow_start) = (text.to_owned(), slow_start(rest));
            Some(Says::Server(Server { name, numbers, slow_start }))
        }
        _ => None,
    }
}

fn option(name: &Word, on: bool) -> Option<Says> {
    match name.text.as_str() {
        _ if name.expands => Some(Says::Unreadable),
        "idle-close-on-response" => Some(Says::Switch(Switch::IdleClose, on)),
        "redispatch" => Some(Says::Switch(Switch::Redispatch, on)),
        _ => None,
    }
}

fn slow_start(words: &[Word]) -> Option<Millis> {
    let at = words.iter().position(|word| word.text == "slowstart")?;
    time(&words.get(at + 1)?.text)
}

/// A time as HAProxy writes it: milliseconds, or a number with one of `us ms s m h d`.
fn time(text: &str) -> Option<Millis> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "us" => Some(number / 1000),
        "" | "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    millis.map(Millis)
}
