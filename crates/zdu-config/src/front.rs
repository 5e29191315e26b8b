//! Fronts: where users come in, and how they are watched.

use crate::decode::At;
use crate::diagnostic::{Findings, Place};
use crate::raw;
use crate::scan::{pointed, regular};
use crate::tree::shown;
use crate::values::span_or;
use zdu_model::fleet::Front;
use zdu_model::front::{Long, VersionAt, Watch};
use zdu_model::plan::Want;
use zdu_model::time::Millis;

/// A user who waits longer has left.
const TIMEOUT: Millis = Millis::from_secs(5);
/// What takes long may take so long.
const LONG_TIMEOUT: Millis = Millis::from_secs(60);
/// From the end of a long request to the next.
const LONG_PAUSE: Millis = Millis::from_secs(1);
/// A watch is no load test; more is one, and needs a machine of its own.
const RATE_MAX: u32 = 1_000;
/// At 50 requests a second each kept connection is idle for a third of a second between two, as
/// those of a browser or of a pool are.
const KEEP: u32 = 16;
/// More would be a load.
const KEEP_MAX: u32 = 256;

pub(crate) fn front(raw: &raw::Front, findings: &mut Findings) -> Option<Front> {
    let http = url(&raw.http, findings)?;
    let watch = match &raw.rate {
        Some(rate) => Some(watch(raw, rate, findings)?),
        None => {
            needs_a_rate(raw, findings);
            None
        }
    };
    Some(Front { http, timeout: span_or(raw.timeout.as_ref(), TIMEOUT, findings), watch })
}

fn url(at: &At<String>, findings: &mut Findings) -> Option<String> {
    let right = at.value.starts_with("http://") || at.value.starts_with("https://");
    if !right {
        let message = format!("`{}` is not a URL", shown(&at.value));
        findings.error_hint(at.place, message, "it must begin with `http://` or `https://`");
    }
    right.then(|| at.value.clone())
}

/// What is said about a watch where there is none.
fn needs_a_rate(raw: &raw::Front, findings: &mut Findings) {
    let given: [(&str, Option<Place>); 4] = [
        ("keep", raw.keep.as_ref().map(|at| at.place)),
        ("long", raw.long.as_ref().map(|at| at.place)),
        ("want", raw.want.as_ref().map(|at| at.place)),
        ("version", raw.version.as_ref().map(|at| at.place)),
    ];
    let message =
        |key: &str| format!("`{key}` is of a front that is watched, and this one has no `rate`");
    findings.misplaced(&given, message, "give a `rate`, such as 50 requests a second");
}

fn watch(raw: &raw::Front, rate: &At<u32>, findings: &mut Findings) -> Option<Watch> {
    if rate.value == 0 || rate.value > RATE_MAX {
        let message = format!("a rate of {} requests a second", rate.value);
        let hint = format!("1 to {RATE_MAX}; what is more is a load test");
        findings.error_hint(rate.place, message, hint);
        return None;
    }
    if let Some(keep) = raw.keep.as_ref().filter(|keep| keep.value > KEEP_MAX) {
        let message = format!("{} kept connections", keep.value);
        findings.error_hint(keep.place, message, format!("at most {KEEP_MAX}"));
    }
    Some(Watch {
        rate: rate.value,
        keep: raw.keep.as_ref().map_or(KEEP, |keep| keep.value),
        long: raw.long.as_ref().and_then(|long| self::long(&long.value, findings)),
        want: raw.want.as_ref().map_or_else(Want::default, |at| want(&at.value, findings)),
        version: raw.version.as_ref().and_then(|at| version(at, findings)),
    })
}

fn long(raw: &raw::FrontLong, findings: &mut Findings) -> Option<Long> {
    Some(Long {
        http: url(&raw.http, findings)?,
        pause: span_or(raw.pause.as_ref(), LONG_PAUSE, findings),
        timeout: span_or(raw.timeout.as_ref(), LONG_TIMEOUT, findings),
    })
}

fn want(raw: &raw::FrontWant, findings: &mut Findings) -> Want {
    if let Some(at) = &raw.matches {
        regular(&at.value, at.place, findings);
    }
    Want {
        status: raw.status.clone(),
        contains: raw.contains.clone(),
        matches: raw.matches.as_ref().map(|at| at.value.clone()),
        ..Want::default()
    }
}

fn version(at: &At<raw::FrontVersion>, findings: &mut Findings) -> Option<VersionAt> {
    match (&at.value.pointer, &at.value.header) {
        (Some(pointer), None) => {
            pointed(pointer, findings);
            Some(VersionAt::Pointer(pointer.value.clone()))
        }
        (None, Some(header)) => Some(VersionAt::Header(header.clone())),
        (None, None) | (Some(_), Some(_)) => {
            let message = "a version is either at a `pointer` or in a `header`";
            findings.error_hint(at.place, message, "give one of them");
            None
        }
    }
}
