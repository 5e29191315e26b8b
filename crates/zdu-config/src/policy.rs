//! The operator's limits with every default filled in. Each default stands beside its reason.

use crate::diagnostic::Findings;
use crate::raw;
use crate::values::{rule, span_or, wave_size};
use std::collections::BTreeMap;
use zdu_model::ids::{PhaseName, SecretName};
use zdu_model::policy::{CertifyPolicy, DrainExpiry, Policy, SecretSource, WaveSize};
use zdu_model::time::Millis;

/// One node first, then the rest: a release that cannot run at all costs one node.
const WAVE: [WaveSize; 2] = [WaveSize::Count(1), WaveSize::Percent(100)];

/// One at a time: the slowest that is always safe; whoever has capacity to spare says so.
const CONCURRENCY: u32 = 1;

/// Long enough for a health check to fail a few times (HAProxy: 3 x 2 s) before the next wave.
const SOAK: Millis = Millis::from_secs(5);

/// The longest ordinary request of a gateway (uploads, long polls) ends within minutes; a drain
/// that takes longer is stuck and a person wants to know.
const DRAIN_DEADLINE: Millis = Millis::from_secs(300);

/// Failing is the only ending that loses no request.
const ON_DRAIN_DEADLINE: DrainExpiry = DrainExpiry::Fail;

/// Three zeros in a row: one can be the moment between two requests of a kept connection.
const CERTIFY_SAMPLES: u32 = 3;

/// Longer than a busy balancer goes between taking a request and counting it (one turn of its event
/// loop, a few milliseconds), so that two samples never fall into one such gap. Each node of a
/// rollout stands idle for two of these.
const CERTIFY_INTERVAL: Millis = Millis(10);

/// Twice what a gateway with a large configuration needs to start (the vendor's scripts wait 30 s).
const READY_DEADLINE: Millis = Millis::from_secs(120);

/// HAProxy's slowest usual check (10 s, rise 3) and a margin of two.
const SERVING_DEADLINE: Millis = Millis::from_secs(60);

/// Another team's work or a restarting instance is over in minutes; waiting costs nothing as
/// no node is out meanwhile.
const CAPACITY_DEADLINE: Millis = Millis::from_secs(600);

/// The time in which a person who was called reaches a keyboard.
const HOLD_DEADLINE: Millis = Millis::from_secs(3600);

/// A reboot of a virtual machine or of a switch between.
const RECONNECT_DEADLINE: Millis = Millis::from_secs(120);

/// The second node that fails has the cause of the first.
const FAILURES_ALLOWED: u32 = 0;

/// Converts; what is wrong goes to `findings`.
pub(crate) fn convert(
    raw: &raw::Policy,
    secrets: BTreeMap<SecretName, SecretSource>,
    phases: Option<&[PhaseName]>,
    findings: &mut Findings,
) -> Policy {
    let wave = match &raw.wave {
        None => WAVE.to_vec(),
        Some(sizes) => sizes.iter().filter_map(|at| wave_size(at, findings)).collect(),
    };
    let wave = if wave.is_empty() { WAVE.to_vec() } else { wave };
    let mut at_least_one = |at: Option<&crate::decode::At<u32>>, default: u32| {
        if let Some(at) = at.filter(|at| at.value == 0) {
            findings.error(at.place, "this must be at least 1");
        }
        at.map_or(default, |at| at.value)
    };
    let concurrency = at_least_one(raw.concurrency.as_ref(), CONCURRENCY);
    let samples = at_least_one(raw.certify.samples.as_ref(), CERTIFY_SAMPLES);
    let mut span = |at: &Option<_>, default| span_or(at.as_ref(), default, findings);
    let policy = Policy {
        wave,
        concurrency,
        soak: span(&raw.soak, SOAK),
        drain_deadline: span(&raw.drain_deadline, DRAIN_DEADLINE),
        on_drain_deadline: match raw.on_drain_deadline {
            None => ON_DRAIN_DEADLINE,
            Some(raw::DrainExpiry::Fail) => DrainExpiry::Fail,
            Some(raw::DrainExpiry::Proceed) => DrainExpiry::Proceed,
            Some(raw::DrainExpiry::Kill) => DrainExpiry::Kill,
        },
        certify: CertifyPolicy { samples, interval: span(&raw.certify.interval, CERTIFY_INTERVAL) },
        ready_deadline: span(&raw.ready_deadline, READY_DEADLINE),
        serving_deadline: span(&raw.serving_deadline, SERVING_DEADLINE),
        capacity_deadline: span(&raw.capacity_deadline, CAPACITY_DEADLINE),
        hold_deadline: span(&raw.hold_deadline, HOLD_DEADLINE),
        reconnect_deadline: span(&raw.reconnect_deadline, RECONNECT_DEADLINE),
        failures_allowed: raw.failures_allowed.unwrap_or(FAILURES_ALLOWED),
        on_failure: Vec::new(),
        cross_point_of_no_return: raw.cross_point_of_no_return,
        accept_no_undo: raw.accept_no_undo.iter().map(|at| at.value.clone()).collect(),
        secrets,
    };
    // Without a procedure the phases are not known; that error has been reported already.
    let rules =
        phases.into_iter().flat_map(|phases| raw.on_failure.iter().map(move |raw| (raw, phases)));
    let on_failure = rules.filter_map(|(raw, phases)| rule(raw, phases, findings)).collect();
    Policy { on_failure, ..policy }
}
