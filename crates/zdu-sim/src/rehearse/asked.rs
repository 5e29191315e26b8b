//! One failure as a person asks for it: `node-b:APPLY=fail(3)`.

use super::choose::{forward, mishap};
use super::found::Mishap;
use super::play::{Ground, Play};
use super::trouble::Trouble;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use zdu_model::ids::StepNo;
use zdu_model::plan::{Plan, PlannedStep, Work};
use zdu_model::time::Millis;

/// Why what was asked for cannot be played. Each says what could have been asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misasked {
    /// It is not of the form.
    Form,
    /// There is no such node.
    Node {
        /// As given.
        given: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// There is no such phase or step on that node.
    Step {
        /// As given.
        given: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// That step is not begun in this rollout.
    Never {
        /// As given.
        given: String,
    },
    /// No process that fails ends with that code.
    Code {
        /// As given.
        given: String,
    },
    /// There is no such trouble, or not at that step.
    Trouble {
        /// As given.
        given: String,
        /// Those there are.
        known: Vec<String>,
    },
}

impl fmt::Display for Misasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("it is not of the form NODE:STEP=FAULT"),
            Self::Node { given, .. } => write!(f, "there is no node {given:?} with steps"),
            Self::Step { given, .. } => write!(f, "there is no phase or step {given:?} there"),
            Self::Never { given } => write!(f, "{given:?} is not begun in this rollout"),
            Self::Code { given } => write!(f, "no process fails with exit code {given}"),
            Self::Trouble { given, .. } => write!(f, "{given:?} cannot happen there"),
        }
    }
}

impl std::error::Error for Misasked {}

impl Misasked {
    /// What could have been asked for.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Form => "such as node-b:APPLY=fail(3), node-b:apply=hang, *:drain=reload".into(),
            Self::Node { known, .. } => format!("nodes: {}", known.join(", ")),
            Self::Step { known, .. } => format!("phases and steps: {}", known.join(", ")),
            Self::Never { .. } => {
                "a step that undoes runs only behind a failure: name that with a \
                                   `--fault` before it"
                    .into()
            }
            Self::Code { .. } => format!(
                "exit codes of a failure: {} to {}, such as fail(3)",
                FAILING.start(),
                FAILING.end()
            ),
            Self::Trouble { known, .. } => format!("faults: {}", known.join(", ")),
        }
    }
}

/// What a process can end with when it fails: the status is a byte, and 0 is no failure.
const FAILING: RangeInclusive<i32> = 1..=255;

/// The name of what belongs to no node.
const FLEET: &str = "fleet";

/// What is asked for, as something to play. The first goes wrong each time its step is begun; those
/// behind it go wrong once, in the rollout that those before them make of it.
///
/// # Errors
/// What is not understood, with what could have been asked for.
pub fn asked(ground: &Ground, texts: &[&str]) -> Result<Play, Misasked> {
    let mut mishaps: Vec<Mishap> = Vec::new();
    for text in texts {
        let begins = match mishaps.is_empty() {
            true => ground.begins.clone(),
            false => ground.begins_in(&Play::Mishaps(mishaps.clone())),
        };
        let lasts = mishaps.is_empty();
        let found = one(ground, text, &begins)?;
        mishaps.extend(found.into_iter().map(|mishap| Mishap { lasts, ..mishap }));
    }
    Ok(Play::Mishaps(mishaps))
}

fn one(
    ground: &Ground,
    text: &str,
    begins: &BTreeMap<StepNo, Millis>,
) -> Result<Vec<Mishap>, Misasked> {
    let (place, what) = text.split_once('=').ok_or(Misasked::Form)?;
    let (node, step) = place.split_once(':').ok_or(Misasked::Form)?;
    let (word, code) = word_and_code(what)?;
    let plan = &ground.plan;
    let own = of_node(plan, node)?;
    let undo = plan.undo_steps();
    let meant = own.iter().copied().filter(|no| is_named(plan, &undo, *no, step));
    let meant: Vec<StepNo> = meant.collect();
    if meant.is_empty() {
        return Err(Misasked::Step { given: step.into(), known: names(plan, &own) });
    }
    let troubles = meant.iter().flat_map(|no| Trouble::of(plan, plan.step(*no)));
    let troubles: BTreeSet<Trouble> = troubles.collect();
    let takes_code = |trouble| matches!(trouble, Trouble::Fail | Trouble::Half);
    let trouble = Trouble::of_word(word).filter(|trouble| troubles.contains(trouble));
    let Some(trouble) = trouble.filter(|trouble| code.is_none() || takes_code(*trouble)) else {
        let known = troubles.into_iter().map(|trouble| trouble.word().to_owned()).collect();
        return Err(Misasked::Trouble { given: what.into(), known });
    };
    let mishaps = at_first_fit(ground, &meant, trouble, begins);
    if mishaps.is_empty() {
        return Err(Misasked::Never { given: step.into() });
    }
    Ok(mishaps.into_iter().map(|mishap| Mishap { code, ..mishap }).collect())
}

/// The steps of a node, or of all: those that go forward before those that undo.
fn of_node(plan: &Plan, node: &str) -> Result<Vec<StepNo>, Misasked> {
    let undo = plan.undo_steps();
    let mut all: Vec<StepNo> = plan.stages.iter().flat_map(forward).collect();
    all.extend(undo);
    let own = all.iter().filter(|no| node == "*" || name(plan.step(**no)) == node);
    let own: Vec<StepNo> = own.copied().collect();
    if own.is_empty() {
        let mut known: Vec<String> = vec!["*".into()];
        let names: BTreeSet<&str> = all.iter().map(|no| name(plan.step(*no))).collect();
        known.extend(names.into_iter().map(str::to_owned));
        return Err(Misasked::Node { given: node.into(), known });
    }
    Ok(own)
}

/// Whether a step is called so: by its key, by its phase, or by both, since an act that undoes may
/// be called like the one it undoes.
fn is_named(plan: &Plan, undo: &BTreeSet<StepNo>, no: StepNo, given: &str) -> bool {
    let step = plan.step(no);
    let shown = if undo.contains(&no) { &plan.rollback_phase } else { &step.phase };
    let is_phase = |given: &str| shown.as_str().eq_ignore_ascii_case(given);
    match given.split_once('/') {
        Some((phase, key)) => is_phase(phase) && step.key.as_str() == key,
        None => step.key.as_str() == given || is_phase(given),
    }
}

fn names(plan: &Plan, steps: &[StepNo]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for step in steps.iter().map(|no| plan.step(*no)) {
        for name in [step.phase.to_string(), step.key.to_string()] {
            if !known.contains(&name) {
                known.push(name);
            }
        }
    }
    known
}

fn name(step: &PlannedStep) -> &str {
    step.subject.node().map_or(FLEET, |node| node.as_str())
}

fn word_and_code(what: &str) -> Result<(&str, Option<i32>), Misasked> {
    let Some((word, rest)) = what.split_once('(') else { return Ok((what, None)) };
    let given = rest.strip_suffix(')').ok_or(Misasked::Form)?;
    // A number too long for any integer is still a number.
    let digits = given.strip_prefix('-').unwrap_or(given);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Misasked::Form);
    }
    let code = given.parse().ok().filter(|code| FAILING.contains(code));
    let code = code.ok_or_else(|| Misasked::Code { given: given.into() })?;
    Ok((word, Some(code)))
}

/// The trouble at the first step it makes sense for, on each node: a phase names all of its steps,
/// and most of them know only some troubles. The procedure's own steps are meant before ours.
fn at_first_fit(
    ground: &Ground,
    meant: &[StepNo],
    trouble: Trouble,
    begins: &BTreeMap<StepNo, Millis>,
) -> Vec<Mishap> {
    let plan = &ground.plan;
    let is_own = |no: &StepNo| {
        matches!(
            plan.step(*no).work,
            Work::Run(_)
                | Work::Http(_)
                | Work::Upload { .. }
                | Work::Backup { .. }
                | Work::Wait(_)
                | Work::Manual { .. }
        )
    };
    let (procedure, ours): (Vec<StepNo>, Vec<StepNo>) = meant.iter().partition(|no| is_own(no));
    let (mut found, mut done) = (Vec::new(), BTreeSet::new());
    for no in procedure.into_iter().chain(ours) {
        let step = plan.step(no);
        if !Trouble::of(plan, step).contains(&trouble) || done.contains(name(step)) {
            continue;
        }
        if let Some(mishap) = mishap(ground, no, trouble, begins) {
            done.insert(name(step));
            found.push(mishap);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fleet_of, ground};
    use super::*;

    fn told(text: &str) -> Result<Vec<String>, String> {
        let ground = ground(&fleet_of(&[2]));
        let texts: Vec<&str> = text.split(' ').collect();
        match asked(&ground, &texts) {
            Ok(Play::Mishaps(all)) => Ok(all.iter().map(ToString::to_string).collect()),
            Ok(Play::Quiet | Play::Kill { .. } | Play::Resumed(_)) => Err("not a mishap".into()),
            Err(why) => Err(format!("{why}; {}", why.hint())),
        }
    }

    #[test]
    fn a_step_or_a_phase_of_one_node_or_of_all_is_meant() {
        assert_eq!(told("g0-n1:change=hang").expect("known"), ["g0-n1:change=hang"]);
        assert_eq!(told("g0-n1:APPLY=fail(3)").expect("known"), ["g0-n1:change=fail(3)"]);
        let both = told("*:drain=reload").expect("known");
        assert_eq!(both, ["g0-n0:drain=reload", "g0-n1:drain=reload"]);
        assert_eq!(told("g0-n0:apply=reload").expect("known"), ["g0-n0:drain=reload"]);
    }

    #[test]
    fn an_undo_can_go_wrong_behind_a_failure() {
        let both = told("g0-n0:change=fail g0-n0:ROLLBACK=half").expect("known");
        assert_eq!(both, ["g0-n0:change=fail", "g0-n0:ROLLBACK/change-back=half"]);
        let again = told(&both.join(" ")).expect("what is told can be asked for");
        assert_eq!(again, both);
        let undrain = told("g0-n0:change=fail g0-n0:ROLLBACK/undrain=lbstop").expect("known");
        assert_eq!(undrain[1], "g0-n0:ROLLBACK/undrain=lbstop");
    }

    #[test]
    fn an_exit_code_that_no_failing_process_has_is_refused_with_the_range() {
        for code in ["256", "999", "-1", "0", "99999999999"] {
            let why = told(&format!("g0-n0:change=fail({code})")).expect_err(code);
            let said = format!("no process fails with exit code {code}; exit codes of a failure");
            assert!(why.starts_with(&said) && why.contains("1 to 255"), "{why}");
        }
        for code in ["1", "255"] {
            told(&format!("g0-n0:change=fail({code})")).expect(code);
        }
    }

    #[test]
    fn what_is_not_known_is_answered_with_what_is() {
        for (text, named) in [
            ("change", "node-b:APPLY=fail(3)"),
            ("nobody:change=fail", "nodes: *, fleet, g0-n0, g0-n1"),
            ("g0-n0:chnage=fail", "change"),
            ("g0-n0:change=busy", "faults: fail, half, hang, lost, reboot, cut"),
            ("g0-n0:change=hang(3)", "faults:"),
            ("g0-n0:change=fail(x)", "form"),
            ("g0-n0:change-back=fail", "is not begun in this rollout"),
        ] {
            let why = told(text).expect_err(text);
            assert!(why.contains(named), "{text}: {why}");
        }
    }
}
