//! What the pure parts cost on this machine: rollouts a second on one core, a plan for ten thousand
//! nodes and its rehearsal without faults, and the resume of a journal of a million records.

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zdu_conductor::Rollout;
use zdu_conductor::chain::scan;
use zdu_conductor::journal::{Journal, JournalFile};
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, ScheduleCause};
use zdu_model::ids::{Epoch, RolloutId, Seq, StepNo};
use zdu_model::plan::{Plan, Work};
use zdu_model::report::{End, Report};
use zdu_model::time::Timestamp;
use zdu_sim::{Setup, run};

use zdu_swarm::{examples, plan_of_text};

use crate::say;

/// How long the small rollouts are played.
const SPAN: Duration = Duration::from_secs(5);
/// Nodes of the large fleet.
const NODES: usize = 10_000;
/// Records of the long journal.
const RECORDS: u64 = 1_000_000;

/// Prints every figure.
pub(crate) fn told() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say::error(&format!("speed: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let (name, reference) = examples()?.into_iter().next().ok_or("there is no example")?;
    small(&name, &reference);
    large()?;
    journal(&reference)
}

fn small(name: &str, plan: &Arc<Plan>) {
    let begun = Instant::now();
    let (mut rollouts, mut records) = (0_u64, 0);
    while begun.elapsed() < SPAN {
        records += run(&Setup::quiet(plan.clone(), rollouts)).counts.records;
        rollouts += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    say::line(&format!(
        "{name}, one core: {:.0} rollouts a second, {} records each",
        f64::from(u32::try_from(rollouts).unwrap_or(u32::MAX)) / seconds,
        records / rollouts.max(1)
    ));
}

fn large() -> Result<(), String> {
    let text = fleet_of(NODES);
    let begun = Instant::now();
    let plan = Arc::new(plan_of_text(&text)?);
    say::line(&format!(
        "a plan for {NODES} nodes: {:.1} s from its text, {} steps, {}",
        begun.elapsed().as_secs_f64(),
        plan.steps.len(),
        memory()
    ));
    let begun = Instant::now();
    let outcome = run(&Setup::quiet(plan, 1));
    say::line(&format!(
        "its rehearsal without faults: {:.1} s, {} records, {:?}, {}",
        begun.elapsed().as_secs_f64(),
        outcome.counts.records,
        outcome.verdict,
        memory()
    ));
    Ok(())
}

/// A step that asks to be run again for most of the journal, as a migration in small parts does.
fn journal(plan: &Arc<Plan>) -> Result<(), String> {
    let step = plan.steps.iter().find(|step| matches!(step.work, Work::Run(_)));
    let step = step.ok_or("the example has no command")?.no;
    let bytes = long_journal(plan, step)?;
    let begun = Instant::now();
    let scanned = scan(&bytes).map_err(|error| error.to_string())?;
    let read = begun.elapsed();
    let mut rollout = Rollout::new(plan.clone());
    for record in &scanned.records {
        rollout.evolve(record).map_err(|error| error.to_string())?;
    }
    say::line(&format!(
        "the resume of a journal of {} records, {:.0} MiB: {:.1} s, of which {:.1} s to read and \
         check it, {}",
        scanned.records.len(),
        f64::from(u32::try_from(bytes.len() / 1024).unwrap_or(u32::MAX)) / 1024.0,
        begun.elapsed().as_secs_f64(),
        read.as_secs_f64(),
        memory()
    ));
    Ok(())
}

/// A fleet of one group with the built-in procedure.
fn fleet_of(nodes: usize) -> String {
    let mut text = String::from(
        "fleet:\n  hosts: { lb: { address: 10.0.0.2 } }\n  balancers:\n    edge:\n      \
         driver: haproxy\n      instances: [ { socket: \"unix:/run/haproxy.sock\", via: lb } ]\n  \
         groups:\n    gateway:\n      min_available: 1\n      nodes:\n",
    );
    for node in 0..nodes {
        let roles = if node == 0 { ", roles: [anm]" } else { "" };
        text.push_str(&format!(
            "        n{node}: {{ address: n{node}.example, members: [ edge/gateway/n{node} ], \
             service_ports: [8080]{roles} }}\n"
        ));
    }
    text.push_str(
        "procedure: axway-apigateway\nrelease: { from: \"7.5.3\", to: \"7.7\" }\nvars: { \
         old_install_dir: /opt/old, new_install_dir: /opt/new, cass_host: c, instance: i, group: g \
         }\nsecrets: { anm_password: \"env:A\", domain_passphrase: \"env:B\" }\npolicy: { wave: [1, \
         \"25%\"], soak: 30s }\n",
    );
    text
}

/// A file that is kept in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalFile for Memory {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes().clone())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }
}

fn long_journal(plan: &Plan, step: StepNo) -> Result<Vec<u8>, String> {
    let file = Memory::default();
    let opened = Journal::open(Box::new(file.clone()));
    let (mut journal, _) = opened.map_err(|error| error.to_string())?;
    let mut seq = 0;
    let mut write = |events: Vec<Event>| -> Result<(), String> {
        let number = |event| {
            seq += 1;
            Record { seq: Seq(seq), at: Timestamp(seq), epoch: Epoch(1), event }
        };
        let records: Vec<Record> = events.into_iter().map(number).collect();
        journal.append(&records).map_err(|error| error.to_string())
    };
    write(vec![
        Event::RolloutStarted {
            rollout: RolloutId::new("long").map_err(|bad| bad.to_string())?,
            plan: zdu_conductor::plan_file::plan_digest(plan),
            fleet: plan.fleet.name.clone(),
            procedure: plan.procedure.clone(),
            release: plan.release.clone(),
            by: "op".into(),
        },
        Event::ControllerStarted { epoch: Epoch(1), owner: "op".into() },
    ])?;
    for attempt in 1..=u32::try_from(RECORDS / 3).unwrap_or(u32::MAX) {
        let end = Report::bare(End::Exited(1));
        let report = Report { tail: vec!["50 rows migrated".into()], ..end };
        write(vec![Event::StepStarted { step, attempt }])?;
        write(vec![
            Event::StepEnded { step, attempt, class: Class::Again, report },
            Event::StepScheduled { step, at: Timestamp(0), cause: ScheduleCause::Again },
        ])?;
    }
    let bytes = file.bytes().clone();
    Ok(bytes)
}

/// Peak resident memory of this process so far, as proc(5) tells it.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.map_or_else(|| "memory unknown".into(), |kib| format!("{} MiB at most", kib / 1024))
}
