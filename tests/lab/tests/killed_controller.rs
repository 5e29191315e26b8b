//! SIGKILL of the controller at random moments: whoever resumes ends where the uncut rollout ends.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Case, NODES, Rig, RigSpec, Side, await_some, tell, tell_load};
use zdu_model::event::Event;
use zdu_model::ids::StepNo;

/// More would not be one rollout any more but several.
const KILLS: u32 = 50;
/// The most records a controller may write before it is killed; fewer are as likely. By records and
/// not by time, because on a slow machine a short life ends before anything was done.
const RECORDS_MAX: u64 = 8;
/// The longest it may live after the last of them, and when it writes none.
const REST_MS_MAX: u64 = 120;
const LIFE: Duration = Duration::from_secs(4);
/// Steps that were the last begun one at some kill: fewer would mean that all kills hit one moment.
const MOMENTS_MIN: usize = 8;

#[test]
fn a_rollout_whose_controller_is_killed_fifty_times_ends_like_an_uncut_one() {
    need_lab!();
    let kills: u32 =
        std::env::var("ZDU_E2E_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut random = Random::seeded();
    let mut spec = RigSpec::default().with_apply_ms(1_500);
    (spec.delays.export_ms, spec.delays.upgrade_ms) = (700, 700);
    let rig = Rig::up("kill", spec).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let mut done = 0;
    let mut moments = BTreeSet::new();
    for round in 1.. {
        if round > 1 {
            rig.relay().expect("the fleet is laid out anew");
        }
        let case = rig.case("killed").expect("files can be written");
        let began = Instant::now();
        let load = rig.load(|spec| spec.slow_ms = 3_000).expect("load flows");
        let killed = kill_and_resume(&case, kills - done, &mut random, &mut moments);
        let load = load.stop().expect("the load ends");
        done += killed;
        tell_load(&format!("{killed} kills in rollout {round}"), began, &load);
        assert_eq!(load.failed, 0, "{load}");
        assert_eq!(rig.releases(), ["7.7"; 3]);
        checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
        no_tool_ran_twice(&rig);
        if done >= kills {
            tell(format_args!("killed behind the begin of {} different steps", moments.len()));
            assert!(moments.len() >= MOMENTS_MIN.min(done as usize / 4), "{moments:?}");
            break;
        }
        assert!(killed > 0, "no controller lived long enough to be killed");
    }
}

/// Returns how many controllers were killed before the rollout had ended.
fn kill_and_resume(
    case: &Case<'_>,
    kills: u32,
    random: &mut Random,
    moments: &mut BTreeSet<StepNo>,
) -> u32 {
    let mut controller = case.start_run().expect("zdu starts");
    await_some("the first record", Duration::from_secs(30), || {
        (!case.records_now().is_empty()).then_some(())
    })
    .expect("the rollout begins");
    let id = case.rollout().expect("it has an id");
    for killed in 0..kills {
        let target = case.records_now().len() as u64 + random.below(RECORDS_MAX);
        // Whether it writes so many or lives out its time: both are moments to be killed at.
        let _came = await_some("its records", LIFE, || {
            let there = case.records_now().len() as u64 >= target;
            (there || !controller.is_running()).then_some(())
        });
        sleep(Duration::from_millis(random.below(REST_MS_MAX)));
        if !controller.is_running() {
            controller.wait(Duration::from_secs(1)).expect("it ended").ended(0);
            return killed;
        }
        controller.kill().expect("it can be killed");
        moments.extend(last_begun(case));
        let words = ["resume", &id, "--reason", "the controller was killed"];
        controller = case.start(&words).expect("zdu starts");
    }
    controller.wait(Duration::from_secs(240)).expect("zdu ends").ended(0);
    kills
}

/// The step that was begun last, as the journal has it.
fn last_begun(case: &Case<'_>) -> Option<StepNo> {
    case.records_now().iter().rev().find_map(|record| {
        let Event::StepStarted { step, .. } = &record.event else { return None };
        Some(*step)
    })
}

fn no_tool_ran_twice(rig: &Rig) {
    for node in NODES {
        for (side, tool, word) in [
            (Side::New, "sysupgrade", "export"),
            (Side::New, "sysupgrade", "upgrade"),
            (Side::New, "sysupgrade", "apply"),
            (Side::Old, "startinstance", "-k"),
            (Side::Old, "nodemanager", "-k"),
        ] {
            let count = rig.count(node, side, tool, word).expect("invocations can be read");
            assert_eq!(count, 1, "{tool} {word} on {node}");
        }
    }
}

/// A generator whose seed is told, so that a failing run can be had again: `ZDU_E2E_SEED`.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let given = std::env::var("ZDU_E2E_SEED").ok().and_then(|text| text.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = given.unwrap_or(u64::from(now.subsec_nanos()) | 1);
        tell(format_args!("ZDU_E2E_SEED={seed}"));
        Self(seed)
    }

    /// xorshift64, which needs a seed other than 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
