//! Commands under the supervisor: rendered, run or attached to, and told as facts.

use crate::access::chain;
use crate::capture::plain;
use crate::drivers::{Inner, Released};
use crate::exec::supervisor::{Range, StepState};
use crate::exec::{
    Begun, Command, Exit, Limits, LostReason, Spec, StepFate, StepNews, Stream, Supervisor,
    run_step,
};
use crate::output::Lines;
use std::sync::Arc;
use std::time::Duration;
use zdu_model::contract::{Contract, Rule};
use zdu_model::ids::{Attempt, NodeName};
use zdu_model::plan::{PlannedStep, Run, Target};
use zdu_model::report::{End, Report, TAIL_LINES_MAX};

/// Most bytes of each output stream that are brought to the controller; the node keeps all of it.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Between TERM and KILL when a step's deadline passed.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Whether a command is begun, or only found again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Run,
    Recover,
}

pub(crate) fn node_of(step: &PlannedStep) -> Option<&NodeName> {
    match &step.target {
        Target::Controller => None,
        Target::Node(node) => Some(node),
    }
}

/// Runs a supervised command to its end.
pub(crate) async fn run(
    inner: &Arc<Inner>,
    step: &PlannedStep,
    command: &Run,
    released: &Released,
) -> Report {
    let prepared = prepare(inner, step, released.attempt, command);
    let (supervisor, spec) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return Report::bare(End::Refused(why)),
    };
    let node = inner.access.node(node_of(step));
    if released.mode == Mode::Recover
        && let Some(end) = look_for_record(inner, step, &supervisor, &spec).await
    {
        return Report::bare(end);
    }
    let redactor = inner.access.redactor();
    let mut lines = Lines::new(step.no, inner.sink.clone(), redactor, TAIL_LINES_MAX);
    let withheld = captures_secret(step);
    if withheld {
        lines.take(Stream::Out, WITHHELD);
    }
    let mut on_news = |news: StepNews<'_>| match news {
        StepNews::Attached => {}
        StepNews::Output { .. } if withheld => {}
        StepNews::Output { stream, bytes } => lines.take(stream, bytes),
        StepNews::Reconnecting { attempt, error } => {
            let text = format!("connection lost, attempt {attempt}: {}", chain(error));
            inner.progress(step.no, &text);
        }
    };
    let limits = Limits { deadline: Duration::from_millis(step.deadline.0), grace: KILL_GRACE };
    // What is attached to at recovery has begun; only a begin can be withdrawn.
    let may_begin = || released.mode == Mode::Recover || released.may_begin(step);
    let ended = run_step(&may_begin, &node, &supervisor, &spec, limits, &mut on_news).await;
    let truncated = ended.as_ref().is_ok_and(|ended| ended.truncated);
    let tail = lines.finish(truncated);
    match ended {
        Err(error) => {
            let why = inner.access.redactor().mask(&chain(&error));
            // A node that cannot answer about a record it has says nothing of its end (law 6).
            let end = match released.mode {
                Mode::Run => End::NotMet(why),
                Mode::Recover => End::Unreachable(why),
            };
            Report { tail, ..Report::bare(end) }
        }
        Ok(ended) => {
            let end = end_of(inner, ended.fate);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (out, err) = (text(&ended.stdout), text(&ended.stderr));
            let output_bytes = u64::try_from(out.len() + err.len()).unwrap_or(u64::MAX);
            let report = Report { tail, output_bytes, ..Report::bare(end) };
            finish(inner, step, report, &out, &err)
        }
    }
}

/// Said in place of output that holds a value nobody can mask before it is taken out.
pub(crate) const WITHHELD: &[u8] = b"(withheld: a secret is captured from this output)\n";

/// Whether a secret is taken out of the step's output.
pub(crate) fn captures_secret(step: &PlannedStep) -> bool {
    step.capture.iter().any(|capture| capture.secret)
}

fn prepare(
    inner: &Inner,
    step: &PlannedStep,
    attempt: Attempt,
    command: &Run,
) -> Result<(Supervisor, Spec), String> {
    let fill = |text| inner.captures.fill(&step.subject, text, inner.access.secrets());
    let argv: Vec<String> = command.argv.iter().map(fill).collect::<Result<_, _>>()?;
    let run = if command.shell {
        Command::Shell(argv.into_iter().next().unwrap_or_default())
    } else {
        Command::Argv(argv)
    };
    let env = command.env.iter().map(|(name, value)| Ok((name.clone(), fill(value)?)));
    let spec = Spec {
        fleet: inner.plan.fleet.name.to_string(),
        rollout: inner.rollout.to_string(),
        step: format!("{}-{}", step.no, step.key),
        attempt,
        epoch: inner.epoch.0,
        command: run,
        cwd: command.cwd.as_ref().map(fill).transpose()?,
        env: env.collect::<Result<_, String>>()?,
        stdin: command.stdin.as_ref().map(fill).transpose()?.unwrap_or_default().into_bytes(),
        user: command.user.clone(),
        output_limit: OUTPUT_BYTES_MAX,
    };
    Ok((inner.supervisor()?, spec))
}

/// At recovery: the ending when the record tells it without running anything; none when there is
/// something to attach to.
async fn look_for_record(
    inner: &Inner,
    step: &PlannedStep,
    supervisor: &Supervisor,
    spec: &Spec,
) -> Option<End> {
    let until =
        tokio::time::Instant::now() + Duration::from_millis(inner.plan.policy.reconnect_deadline.0);
    let nothing = Range { offset: 0, maximum: 0 };
    loop {
        let looked = async {
            let mut channel = inner.access.channel(node_of(step)).await?;
            // Law 7: the node is told first. A request of the controller before us may still be on
            // its way, and "never" holds only where it will be refused.
            let newer = supervisor.fence(&mut channel, &spec.fleet, spec.epoch).await?;
            match newer {
                Some(seen) => Ok(StepState::RefusedEpoch { seen }),
                None => supervisor
                    .poll(&mut channel, &spec.key(), nothing, nothing, Duration::ZERO)
                    .await
                    .map(|poll| poll.state),
            }
        };
        let why = match looked.await {
            Ok(state) => {
                return match state {
                    StepState::Never => Some(End::Never),
                    StepState::Lost { reason, alive: false } => Some(End::Lost(lost(reason))),
                    StepState::RefusedEpoch { seen } => Some(End::EpochRefused { seen }),
                    StepState::Ended(_)
                    | StepState::Running
                    | StepState::Lost { alive: true, .. } => None,
                };
            }
            Err(error) => inner.access.redactor().mask(&chain(&error)),
        };
        inner.progress(step.no, &why);
        if tokio::time::Instant::now() >= until {
            return Some(End::Unreachable(why));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn end_of(inner: &Inner, fate: StepFate) -> End {
    match fate {
        StepFate::Ended(Exit::Exited(code)) => End::Exited(code),
        StepFate::Ended(Exit::Signaled(signal)) => End::Signaled(signal),
        StepFate::TimedOut(_) => End::TimedOut,
        StepFate::Lost { reason, alive: _ } => End::Lost(lost(reason)),
        StepFate::RefusedEpoch { seen } => End::EpochRefused { seen },
        StepFate::Withdrawn => End::Never,
        StepFate::Vanished => End::Lost("its record was removed from the node".into()),
        StepFate::Unreachable { begun, error } => {
            let why = inner.access.redactor().mask(&chain(&error));
            match begun {
                Begun::No => End::NotMet(format!("nothing was begun: {why}")),
                Begun::Unknown | Begun::Yes => End::Unreachable(why),
            }
        }
    }
}

fn lost(reason: LostReason) -> String {
    match reason {
        LostReason::Rebooted => "the node has booted since it was begun",
        LostReason::SupervisorGone => "its supervisor was killed on the node",
        LostReason::Unstarted => "its start was cut off on the node",
    }
    .to_owned()
}

/// Reads what the contract and the captures want from the output.
fn finish(inner: &Inner, step: &PlannedStep, report: Report, out: &str, err: &str) -> Report {
    let both = format!("{out}\n{err}");
    let matched = matched(&step.contract, &both, out);
    let report = Report { matched, ..report };
    capture(inner, step, report, out)
}

/// The rules whose output conditions hold.
pub(crate) fn matched(contract: &Contract, text: &str, json: &str) -> Vec<u16> {
    let document: Option<serde_json::Value> = serde_json::from_str(json).ok();
    let holds = |rule: &Rule| {
        let output = rule.output.as_ref().is_none_or(|pattern| {
            regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
        });
        let json = rule.json.as_ref().is_none_or(|want| {
            let found = document.as_ref().and_then(|document| document.pointer(&want.pointer));
            found.is_some_and(|found| plain(found) == want.equals)
        });
        rule.reads_output() && output && json
    };
    let rules = contract.rules.iter().enumerate().filter(|(_, rule)| holds(rule));
    rules.filter_map(|(index, _)| u16::try_from(index).ok()).collect()
}

/// Takes the step's captures when it passed; a value that is not there fails it.
pub(crate) fn capture(inner: &Inner, step: &PlannedStep, report: Report, out: &str) -> Report {
    if !step.contract.classify(&report.end, &report.matched).passes() {
        return report;
    }
    let mut captured = Vec::new();
    for capture in &step.capture {
        match inner.captures.take(&step.subject, capture, out) {
            Ok(taken) => {
                if capture.secret
                    && let Ok(value) = inner.captures.read(&step.subject, &capture.name)
                {
                    inner.access.mask_also(&value);
                }
                captured.push(taken);
            }
            Err(why) => return Report { end: End::NotMet(why), ..report },
        }
    }
    Report { captured, ..report }
}
