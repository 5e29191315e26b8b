//! Scripts in words.

use super::{Happens, Moment, Says, Script, StepName};
use crate::fault::{BalancerTrouble, ControllerTrouble, DiskTrouble, NodeTrouble, Work};
use crate::run::Found;
use std::fmt;
use zdu_model::report::Held;
use zdu_model::time::Millis;

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, fleet, seed, oddly_found, found: odd, takes: times, .. } = self;
        for line in about {
            writeln!(f, "{}", format!("# {line}").trim_end())?;
        }
        if !about.is_empty() {
            writeln!(f)?;
        }
        writeln!(f, "fleet: {fleet}")?;
        writeln!(f, "seed: {seed}")?;
        if *oddly_found > 0 {
            writeln!(f, "found odd: {oddly_found} of 100")?;
        }
        for one in odd {
            writeln!(f, "{}", found(one))?;
        }
        for (step, span) in times {
            writeln!(f, "{}", takes(step, *span))?;
        }
        for (moment, what) in &self.happens {
            writeln!(f, "{}", happens(moment, what))?;
        }
        for says in &self.afterwards {
            writeln!(f, "{}", afterwards(says))?;
        }
        Ok(())
    }
}

pub(super) fn found(found: &Found) -> String {
    format!("found {found}")
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, instance, held, weight } = self;
        write!(f, "{node} on {instance}: {}, weight {weight}", held_word(*held))
    }
}

pub(super) fn takes(step: &StepName, span: Millis) -> String {
    format!("takes {step}: {}", exact(span))
}

pub(super) fn happens(moment: &Moment, happens: &Happens) -> String {
    format!("{moment}: {happens}")
}

pub(super) fn afterwards(says: &Says) -> String {
    format!("after the end: {says}")
}

/// A span that loses nothing.
pub(super) fn exact(span: Millis) -> String {
    if span.0.is_multiple_of(1_000) { span.to_string() } else { format!("{}ms", span.0) }
}

pub(super) fn held_word(held: Held) -> &'static str {
    match held {
        Held::Ready => "ready",
        Held::Drain => "drained",
        Held::Maint => "in maintenance",
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step, nth) => write!(f, "on {step} {nth}"),
            Self::At(after) => write!(f, "at {}", exact(*after)),
            Self::Record(record) => write!(f, "record {record}"),
        }
    }
}

impl fmt::Display for Happens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(work) => write_work(f, *work),
            Self::Node(node, trouble, span) => {
                let what = match trouble {
                    NodeTrouble::Reboots => "reboot",
                    NodeTrouble::Sick => "sicken",
                    NodeTrouble::KnownSick => "find-sick",
                    NodeTrouble::Cut => "cut",
                    NodeTrouble::Lingers => "keep sessions of",
                };
                write!(f, "{what} {node} for {}", exact(*span))
            }
            Self::Balancer(instance, trouble) => match trouble {
                BalancerTrouble::Reload { keeps: true } => write!(f, "reload {instance} keeping"),
                BalancerTrouble::Reload { keeps: false } => {
                    write!(f, "reload {instance} forgetting")
                }
                BalancerTrouble::Stopped(span) => write!(f, "stop {instance} for {}", exact(*span)),
                BalancerTrouble::Refuses(span) => {
                    write!(f, "refuse commands on {instance} for {}", exact(*span))
                }
                BalancerTrouble::LosesReply => write!(f, "lose a reply of {instance}"),
                BalancerTrouble::OtherHand(node, held) => {
                    write!(f, "set {node} on {instance} {}", held_word(*held))
                }
            },
            Self::Controller(trouble) => match trouble {
                ControllerTrouble::Killed(again) => {
                    write!(f, "kill, again after {}", exact(*again))
                }
                ControllerTrouble::Paused(span) => write!(f, "pause for {}", exact(*span)),
                ControllerTrouble::Second => f.write_str("second controller by force"),
            },
            Self::Disk(trouble) => match trouble {
                DiskTrouble::Full(span) => write!(f, "disk full for {}", exact(*span)),
                DiskTrouble::SyncFails => f.write_str("sync fails"),
                DiskTrouble::Torn => f.write_str("tear the line"),
            },
            Self::Person(says) => says.fmt(f),
        }
    }
}

fn write_work(f: &mut fmt::Formatter<'_>, work: Work) -> fmt::Result {
    match work {
        Work::Fails(code) => write!(f, "fail {code}"),
        Work::Half(code) => write!(f, "fail {code} halfway"),
        Work::Hangs => f.write_str("hang"),
        Work::Slow(times) => write!(f, "slow {times} times"),
        Work::Silent => f.write_str("finish unseen"),
        Work::Unproved => f.write_str("finish unproved"),
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("hold"),
            Self::Resume => f.write_str("resume"),
            Self::Abort => f.write_str("abort"),
            Self::Rollback => f.write_str("rollback"),
            Self::Approve(step) => write!(f, "approve {step}"),
            Self::ApproveWhatIsAsked => f.write_str("approve what is asked"),
        }
    }
}
