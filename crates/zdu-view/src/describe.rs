//! One sentence for everything that can happen. Every renderer takes its words from here, so a
//! screen, a log and a report never call the same thing by two names.

use crate::front::kind_word;
use crate::moment::span;
use std::fmt::Write;
use zdu_model::contract::Class;
use zdu_model::event::{Event, HoldCause, Inquiry, Request, ScheduleCause, UnwindScope};
use zdu_model::front::{FrontSeen, WaySeen};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Subject, Work};
use zdu_model::policy::FailureAction;
use zdu_model::report::End;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

/// A step by name: its key, and the node when it is about one. A number that is not of the plan
/// is shown as the number.
#[must_use]
pub fn step(plan: &Plan, no: StepNo) -> String {
    match planned(plan, no) {
        None => format!("step {no}"),
        Some(step) => match &step.subject {
            Subject::Fleet => step.key.to_string(),
            Subject::Node(node) => format!("{} on {node}", step.key),
        },
    }
}

/// Several steps by name, the nodes of each step together.
#[must_use]
pub fn steps(plan: &Plan, numbers: &[StepNo]) -> String {
    let mut named: Vec<(String, Vec<&str>)> = Vec::new();
    for no in numbers {
        let Some((key, node)) = planned(plan, *no)
            .and_then(|step| Some((step.key.to_string(), step.subject.node()?.as_str())))
        else {
            named.push((step(plan, *no), Vec::new()));
            continue;
        };
        match named.iter_mut().find(|(known, nodes)| *known == key && !nodes.is_empty()) {
            Some((_, nodes)) => nodes.push(node),
            None => named.push((key, vec![node])),
        }
    }
    let said = named.into_iter().map(|(key, nodes)| {
        if nodes.is_empty() { key } else { format!("{key} on {}", list(nodes)) }
    });
    said.collect::<Vec<_>>().join(", ")
}

/// Names as people list them: `a`, `a and b`, `a, b and c`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn planned(plan: &Plan, no: StepNo) -> Option<&PlannedStep> {
    plan.steps.get(usize::try_from(no.0).ok()?)
}

/// A subject in one word.
#[must_use]
pub fn subject(subject: &Subject) -> &str {
    match subject {
        Subject::Fleet => "fleet",
        Subject::Node(node) => node.as_str(),
    }
}

/// What a class is called.
#[must_use]
pub fn class(class: Class) -> &'static str {
    match class {
        Class::Succeeded => "passed",
        Class::Warned => "passed with a warning",
        Class::Again => "wants to be run again",
        Class::Failed => "failed",
        Class::TimedOut => "timed out",
        Class::Unknown => "has an unknown outcome",
        Class::NotRun => "was never begun on the node",
    }
}

/// An ending as a phrase.
#[must_use]
pub fn end(end: &End) -> String {
    match end {
        End::Exited(code) => format!("exit code {code}"),
        End::Signaled(signal) => format!("ended by signal {signal}"),
        End::Http(status) => format!("HTTP status {status}"),
        End::Done => "done".into(),
        End::NotMet(why) => format!("what it wants is not true: {why}"),
        End::Waiting(why) => format!("what it wants is not true yet: {why}"),
        End::TimedOut => "its deadline passed and what ran was ended".into(),
        End::Unreachable(why) => format!("the node could not be reached: {why}"),
        End::Never => "nothing of it ran".into(),
        End::Lost(why) => format!("it was begun and its end was not recorded: {why}"),
        End::EpochRefused { seen } => {
            format!("the node refused it: it has seen a newer controller (epoch {seen})")
        }
        End::Refused(why) => format!("it could not even be tried: {why}"),
    }
}

/// An ending in the parentheses of the summary table: the exit code, or a word.
#[must_use]
pub fn exit_word(end: &End) -> String {
    match end {
        End::Exited(code) => code.to_string(),
        End::Signaled(signal) => format!("signal {signal}"),
        End::Http(status) if *status < 400 => "0".into(),
        End::Http(status) => format!("http {status}"),
        End::Done => "0".into(),
        End::NotMet(_) => "not met".into(),
        End::Waiting(_) => "waiting".into(),
        End::TimedOut => "timeout".into(),
        End::Unreachable(_) => "unreachable".into(),
        End::Never => "never begun".into(),
        End::Lost(_) => "lost".into(),
        End::EpochRefused { .. } => "epoch".into(),
        End::Refused(_) => "refused".into(),
    }
}

/// Why nothing new is begun, as a sentence without its full stop.
#[must_use]
pub fn hold(plan: &Plan, cause: &HoldCause) -> String {
    match cause {
        HoldCause::Person => "a person asked to hold".into(),
        HoldCause::Rule(no) => format!("a failure rule holds because of {}", step(plan, *no)),
        HoldCause::Unknown(no) => format!(
            "nobody knows whether {} happened, and it may not be run again by guess",
            step(plan, *no)
        ),
        HoldCause::PointOfNoReturn(no) => format!(
            "{} is a point of no return: nothing up to it can be undone afterwards",
            step(plan, *no)
        ),
    }
}

/// Why a step will be begun again.
#[must_use]
pub fn schedule(cause: ScheduleCause) -> &'static str {
    match cause {
        ScheduleCause::Again => "its contract asks for another run",
        ScheduleCause::Retry => "it did not pass and may be tried again",
        ScheduleCause::NeverBegan => "it was found out that it never began",
        ScheduleCause::Resumed => "a person resumed",
        ScheduleCause::Recertify => "the drain certificate was lost and must be had again",
        ScheduleCause::Reguard => "capacity is read again before it",
        ScheduleCause::Reprove => "readiness is proved again before it",
    }
}

/// What a failure rule does.
#[must_use]
pub fn action(action: FailureAction) -> String {
    match action {
        FailureAction::Retry { max, pause } => {
            format!("try it again after {pause}, at most {max} times in all")
        }
        FailureAction::RollbackNode => "put the node back".into(),
        FailureAction::RollbackWave => "put every node of the wave back".into(),
        FailureAction::RollbackRollout => "put everything back".into(),
        FailureAction::Hold => "wait for a person".into(),
        FailureAction::GoOn => "count it as a warning and go on".into(),
        FailureAction::Stop => "begin nothing more and leave everything as it is".into(),
    }
}

/// What a compensation covers.
#[must_use]
pub fn scope(scope: &UnwindScope) -> String {
    match scope {
        UnwindScope::Node(node) => format!("node {node}"),
        UnwindScope::Wave => "every node of the wave".into(),
        UnwindScope::Rollout => "the whole rollout".into(),
        UnwindScope::InFlight => "the nodes in flight".into(),
    }
}

/// What could not be had of a node, or of several, that is stuck at this step, as a phrase. What
/// only proves or returns a node undoes nothing.
pub(crate) fn stuck(plan: &Plan, no: StepNo, several: bool) -> String {
    let (they, were) = if several { ("they", "were") } else { ("it", "was") };
    let Some(step) = planned(plan, no) else { return format!("step {no} did not undo") };
    let back = plan.steps.iter().any(|forward| forward.undo.contains(&no));
    let release = if back { " on the old release" } else { "" };
    match &step.work {
        Work::Guard { .. } | Work::Drain => format!("{they} could not be taken out of traffic"),
        Work::Certify => format!("{they} could not be certified drained"),
        Work::Ready(_) => format!("{they} could not be proved ready{release}"),
        Work::Undrain => format!("{they} could not be put into traffic again"),
        Work::Serving => format!("{they} {were} not seen serving"),
        Work::Soak(_)
        | Work::Run(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Wait(_)
        | Work::Manual { .. } => format!("{} did not undo", step.key),
    }
}

/// What a person asked for.
#[must_use]
pub fn request(plan: &Plan, request: &Request) -> String {
    match request {
        Request::Hold => "hold".into(),
        Request::Resume => "resume".into(),
        Request::Abort => "abort".into(),
        Request::Rollback => "roll back".into(),
        Request::Approve(no) => format!("approve {}", step(plan, *no)),
    }
}

/// How a rollout ended.
#[must_use]
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded => "succeeded: every step passed".into(),
        Verdict::Failed { phase, rolled_back, .. } => {
            let back = match names(rolled_back) {
                None => "no node was put back".into(),
                Some(names) => format!("put back: {names}"),
            };
            format!("failed in {phase}; {back}")
        }
        Verdict::RolledBack => "rolled back: everything was put back".into(),
        Verdict::Stuck { nodes } => match names(nodes) {
            None => "stuck: a compensation failed and a person must act".into(),
            Some(names) => {
                format!("stuck: a compensation failed and a person must act on {names}")
            }
        },
        Verdict::Aborted => "aborted: the nodes in flight were put back".into(),
        Verdict::Held => "held: it stands still until a person resumes it".into(),
    }
}

fn names(nodes: &[NodeName]) -> Option<String> {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// An event as a sentence without its full stop.
#[must_use]
pub fn event(plan: &Plan, event: &Event) -> String {
    match event {
        Event::RolloutStarted { rollout, plan: digest, fleet, procedure, release, by } => format!(
            "rollout {rollout} of {procedure} {} -> {} on fleet {fleet} started by {by}, plan {}",
            release.from,
            release.to,
            digest.short()
        ),
        Event::ControllerStarted { epoch, owner } => {
            // How it came by the lease stands behind who it is.
            let (who, how) = owner.split_once(", ").unwrap_or((owner, ""));
            let how = if how.is_empty() { String::new() } else { format!(", {how}") };
            format!("controller {who} drives with epoch {}{how}", epoch.0)
        }
        Event::StepStarted { step: no, attempt } if *attempt > 1 => {
            format!("{} begun, attempt {attempt}", step(plan, *no))
        }
        Event::StepStarted { step: no, .. } => format!("{} begun", step(plan, *no)),
        Event::StepEnded { step: no, attempt: _, class: called, report } => {
            format!("{} {} ({})", step(plan, *no), class(*called), end(&report.end))
        }
        Event::StepUnknown { step: no, attempt: _, cause, how } => {
            format!(
                "nobody knows how {} ended: {cause}; {}",
                step(plan, *no),
                inquiry(plan, *no, *how)
            )
        }
        Event::StepScheduled { step: no, at: _, cause } => {
            format!("{} will be begun again: {}", step(plan, *no), schedule(*cause))
        }
        Event::FailureDecided { step: no, rule, action: done } => {
            format!("rule {rule} about {}: {}", step(plan, *no), action(*done))
        }
        Event::UnwindStarted { .. }
        | Event::UnwindEnded { .. }
        | Event::NodeStuck { .. }
        | Event::Drifted { .. }
        | Event::InstanceChanged { .. }
        | Event::ControllerStoodStill { .. }
        | Event::FrontSeen { .. }
        | Event::Requested { .. }
        | Event::HoldStarted { .. }
        | Event::RolloutEnded { .. } => course(plan, event),
    }
}

/// The controller's process was stopped, or its machine slept.
pub(crate) fn stood_still(long: Millis) -> String {
    let long = span(long);
    format!("the controller stood still for {long}: drains are certified and groups read again")
}

/// What was seen of a front: how many requests, and what happened to those that failed.
fn front_seen(plan: &Plan, front: u32, seen: &FrontSeen) -> String {
    let url = plan.fleet.front.get(front as usize).map_or("a front", |front| front.http.as_str());
    let sum = |count: fn(&WaySeen) -> u64| seen.ways.iter().map(count).sum::<u64>();
    let (sent, failed) = (sum(|way| way.sent), sum(|way| way.failed));
    let mut text = format!("{url}: {failed} of {sent} requests failed");
    if let Some(run) = seen.failures.first() {
        let steps: Vec<String> = run.steps.iter().map(|no| step(plan, *no)).collect();
        let during =
            if steps.is_empty() { String::new() } else { format!(" during {}", steps.join(", ")) };
        let _ = write!(text, "; the first: {}{during}", kind_word(run.kind));
    }
    text
}

/// The events about the course of the rollout and not about one attempt.
fn course(plan: &Plan, event: &Event) -> String {
    match event {
        Event::UnwindStarted { scope: what, steps, cause } => {
            format!("putting back {} in {} steps: {cause}", scope(what), steps.len())
        }
        Event::UnwindEnded { scope: what } => {
            let are = match what {
                UnwindScope::Node(_) | UnwindScope::Wave | UnwindScope::Rollout => "is",
                UnwindScope::InFlight => "are",
            };
            format!("{} {are} put back", scope(what))
        }
        Event::NodeStuck { node, step: no, reason } => {
            let who = node.as_ref().map_or("the fleet", NodeName::as_str);
            format!("{who} is stuck: {}: {reason}", stuck(plan, *no, false))
        }
        Event::Drifted { node, instance, member, seen, reasserted } => {
            let then = if *reasserted {
                "the drain was put back at once"
            } else {
                "the drain could not be put back yet"
            };
            format!("{node} drifted: {member} on {instance} was {seen}; {then}")
        }
        Event::FrontSeen { front, seen } => front_seen(plan, *front, seen),
        Event::InstanceChanged { instance, up, reason } => {
            let what = if *up { "answers again" } else { "does not answer" };
            format!("balancer instance {instance} {what}: {reason}")
        }
        Event::ControllerStoodStill { span: long } => stood_still(*long),
        Event::Requested { request: what, by, reason } => {
            let why = if reason.is_empty() { "no reason given" } else { reason };
            format!("{by} asked to {}: {why}", request(plan, what))
        }
        Event::HoldStarted { cause } => format!("held: {}", hold(plan, cause)),
        Event::RolloutEnded { verdict: how } => format!("rollout {}", verdict(how)),
        Event::RolloutStarted { .. }
        | Event::ControllerStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepEnded { .. }
        | Event::StepUnknown { .. }
        | Event::StepScheduled { .. }
        | Event::FailureDecided { .. } => String::new(),
    }
}

/// How the unknown outcome of a step is found out.
#[must_use]
pub fn inquiry(plan: &Plan, no: StepNo, how: Inquiry) -> &'static str {
    let reads_first = planned(plan, no).is_some_and(|step| step.work.is_level_triggered());
    match how {
        Inquiry::Recover if reads_first => "it reads before it changes, and is asked again",
        Inquiry::Recover => "the node's own record is asked",
        Inquiry::Observe => "the step's probes are asked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name};
    use zdu_model::ids::Epoch;

    #[test]
    fn who_took_a_lease_over_is_told_before_how_he_came_by_it() {
        let story = Story::begin(&["node-a"]);
        let owner = "bob@ops pid 2, by force from ada@ops pid 1: process 1 of this host is gone";
        let started = Event::ControllerStarted { epoch: Epoch(8), owner: owner.into() };
        assert_eq!(
            event(&story.plan, &started),
            "controller bob@ops pid 2 drives with epoch 8, by force from ada@ops pid 1: process 1 \
             of this host is gone"
        );
    }

    #[test]
    fn the_nodes_in_flight_are_several() {
        let story = Story::begin(&["node-a"]);
        let ended = Event::UnwindEnded { scope: UnwindScope::InFlight };
        assert_eq!(event(&story.plan, &ended), "the nodes in flight are put back");
        let ended = Event::UnwindEnded { scope: UnwindScope::Node(name("node-a")) };
        assert_eq!(event(&story.plan, &ended), "node node-a is put back");
    }

    #[test]
    fn what_proves_or_returns_a_node_is_not_said_to_undo() {
        let story = Story::begin(&["node-a"]);
        for (key, several, told) in [
            ("certify", false, "it could not be certified drained"),
            ("ready", false, "it could not be proved ready"),
            ("undrain_back", true, "they could not be put into traffic again"),
            ("serving_back", true, "they were not seen serving"),
            ("start_old", false, "start_old did not undo"),
        ] {
            assert_eq!(stuck(&story.plan, story.no(key, "node-a"), several), told);
        }
        let mut plan = (*story.plan).clone();
        let ready = story.no("ready", "node-a");
        plan.steps[0].undo.push(ready);
        let told = "it could not be proved ready on the old release";
        assert_eq!(stuck(&plan, ready, false), told);
        let (node, reason) = (Some(name("node-a")), "it failed".to_owned());
        let event = event(&plan, &Event::NodeStuck { node, step: ready, reason });
        assert_eq!(event, format!("node-a is stuck: {told}: it failed"));
    }
}
