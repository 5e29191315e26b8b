//! The command line as a person or a script meets it: the built binary, an empty environment, a
//! home of its own.

#[path = "cli/journals.rs"]
mod journals;
#[path = "cli/plans.rs"]
mod plans;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use zdu::failure::EXIT_CODES;
use zdu::prepare;
use zdu_conductor::directory::StateDir;
use zdu_conductor::files::FileStorage;
use zdu_conductor::plan_file::{plan_digest, write_plan};
use zdu_conductor::storage::{Claim, Owner};
use zdu_conductor::turn::{Conductor, Released};
use zdu_conductor::{Prospect, Rollout};
use zdu_engine::Input;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Record, Request};
use zdu_model::ids::{RolloutId, StepNo};
use zdu_model::plan::{Plan, Work};
use zdu_model::report::{End, Report};
use zdu_model::time::{Millis, Timestamp};

/// A home, a state directory and a place to stand in.
struct Place {
    root: TempDir,
}

/// What a command answered.
#[must_use]
#[derive(Debug)]
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.path("state/zdu"))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn command(&self, binary: &str, words: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .args(words)
            .env_clear()
            .env("HOME", self.root.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TZ", "UTC")
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    fn zdu(&self, words: &[&str]) -> Answer {
        answer(&mut self.command(env!("CARGO_BIN_EXE_zdu"), words))
    }

    fn zdupgrade(&self, words: &[&str]) -> Answer {
        answer(&mut self.command(env!("CARGO_BIN_EXE_zdupgrade"), words))
    }
}

fn answer(command: &mut Command) -> Answer {
    let output = command.output().expect("the binary was built");
    Answer {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Answer {
    #[track_caller]
    fn ends(self, code: u8) -> Self {
        assert_eq!(self.code, i32::from(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not on stderr:\n{}", self.err);
        self
    }

    #[track_caller]
    fn gives(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not on stdout:\n{}", self.out);
        self
    }

    #[track_caller]
    fn gives_nothing(self) -> Self {
        assert_eq!(self.out, "");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).expect("JSON on stdout")
    }
}

// --- help ---

#[test]
fn the_help_names_every_command_and_every_exit_code() {
    let help = Place::new().zdu(&["--help"]).ends(0);
    let commands = [
        "init",
        "check",
        "preflight",
        "plan",
        "rehearse",
        "run",
        "status",
        "log",
        "report",
        "verify",
        "hold",
        "resume",
        "abort",
        "rollback",
        "approve",
        "schema",
        "procedures",
        "demo",
        "completions",
    ];
    for command in commands {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}\n{}", help.out);
    }
    assert!(!help.out.contains("double"), "the stand-ins are no command for people");
    for (code, meaning) in EXIT_CODES {
        assert!(help.out.contains(&format!("\n  {code:>3}  {meaning}")), "{code}");
    }
}

#[test]
fn every_command_has_a_help_of_its_own() {
    let place = Place::new();
    for command in
        ["init", "check", "rehearse", "run", "status", "log", "verify", "approve", "demo"]
    {
        let _help = place.zdu(&[command, "--help"]).ends(0).gives("Usage: zdu");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error_on_stderr() {
    let place = Place::new();
    let _none = place.zdu(&[]).ends(64).gives_nothing();
    let _typo = place.zdu(&["chekc"]).ends(64).gives_nothing().says("check");
    let _watch = place.zdu(&["watch"]).ends(64).gives_nothing();
}

#[test]
fn completions_are_printed_for_every_common_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let _script = place.zdu(&["completions", shell]).ends(0).gives("procedures");
    }
}

// --- configurations ---

#[test]
fn the_scaffold_passes_the_check_as_it_is_and_is_not_overwritten() {
    let place = Place::new();
    let _written = place.zdu(&["init"]).ends(0).gives_nothing().says("next: zdu check");
    let _fine = place.zdu(&["check"]).ends(0).gives("usable").says("first_anm");
    place.write("zdu.yaml", "mine: 1\n");
    let _refused = place.zdu(&["init"]).ends(64).says("--force");
    assert_eq!(std::fs::read_to_string(place.path("zdu.yaml")).expect("there"), "mine: 1\n");
    let _forced = place.zdu(&["init", "--force"]).ends(0);
    let _fine = place.zdu(&["check", "--quiet"]).ends(0);
}

#[test]
fn the_check_says_what_it_found_as_json() {
    let place = Place::new();
    place.write("zdu.yaml", zdu_config::reference_config());
    let fine = place.zdu(&["check", "--json"]).ends(0).json();
    assert_eq!((&fine["nodes"], &fine["fleet"]), (&Value::from(3), &Value::from("zdu")));
    assert_eq!(fine["assumed"][0]["role"], "first_anm");
}

#[test]
fn a_wrong_configuration_is_told_by_file_line_and_column_on_stderr() {
    let place = Place::new();
    let wrong = zdu_config::reference_config().replacen("min_available", "min_availble", 1);
    place.write("zdu.yaml", &wrong);
    let line = 1 + wrong.lines().position(|line| line.contains("min_availble")).expect("there");
    let told = place.zdu(&["check"]).ends(78).gives_nothing();
    let told = told.says(&format!("zdu.yaml:{line}:7: error: unknown key `min_availble`"));
    let told = told.says("      min_availble: 1").says("hint: did you mean `min_available`?");
    assert!(!told.err.contains('\u{1b}'), "no colour without a terminal");
    let json = place.zdu(&["check", "--json"]).ends(78).json();
    assert_eq!(json["error"]["diagnostics"][0]["line"], line);
}

#[test]
fn a_secret_written_into_the_configuration_is_never_repeated() {
    let place = Place::new();
    let planted = "hunter2-planted";
    let wrong = zdu_config::reference_config().replace("env:ANM_PASSWORD", planted);
    place.write("zdu.yaml", &wrong);
    for words in [&["check"][..], &["check", "--json"]] {
        let told = place.zdu(words).ends(78).says("must not stand in the file");
        assert!(!told.err.contains(planted) && !told.out.contains(planted), "{told:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_safe_is_refused_with_a_way_out() {
    let place = Place::new();
    let tight = zdu_config::reference_config().replace("min_available: 1", "min_available: 2");
    place.write("zdu.yaml", &tight);
    let _refused = place.zdu(&["check"]).ends(15).gives_nothing().says("no node can ever leave");
}

#[test]
fn a_configuration_that_is_not_there_is_no_input() {
    let _missing = Place::new().zdu(&["check", "-c", "x.yaml"]).ends(66).says("zdu init");
}

#[test]
fn an_import_asks_the_named_host_and_says_when_nobody_answers() {
    let place = Place::new();
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let anm = format!("127.0.0.1:{}", port.expect("a port").port());
    let words = ["init", "--from", "axway", "--anm", &anm, "--scheme", "http"];
    let _down = place.zdu(&words).ends(69).gives_nothing().says("/api/topology");
    assert!(!place.path("zdu.yaml").exists());
}

const TOPOLOGY: &str = r#"{"result":{"productVersion":"7.5.3",
  "hosts":[{"id":"host-1","name":"gw-a"},{"id":"host-2","name":"gw-b"}],
  "groups":[
    {"id":"group-1","name":"Node Manager Group","services":[
      {"id":"nm-1","name":"NM-A","type":"nodemanager","hostID":"host-1",
       "tags":{"internal_admin_nm":"true"}}]},
    {"id":"group-2","name":"Gateway Group","services":[
      {"id":"i-1","name":"Instance-A","type":"gateway","hostID":"host-1"},
      {"id":"i-2","name":"Instance-B","type":"gateway","hostID":"host-2"}]}]}}"#;

/// Answers one request with the topology and gives back what was asked.
fn serve_topology() -> (String, std::thread::JoinHandle<String>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let anm = listener.local_addr().expect("bound").to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("set");
        let mut head = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).expect("a head") > 0 {}
        let length = TOPOLOGY.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{TOPOLOGY}");
        stream.write_all(answer.as_bytes()).expect("answered");
        head
    });
    (anm, served)
}

#[test]
fn an_axway_topology_becomes_a_configuration_and_the_password_stays_out_of_it() {
    let place = Place::new();
    let (anm, served) = serve_topology();
    let words = ["init", "--from", "axway", "--anm", &anm, "--scheme", "http"];
    let mut command = place.command(env!("CARGO_BIN_EXE_zdu"), &words);
    command.args(["--user", "admin", "--password-source", "env:ANM"]).env("ANM", "hunter2-planted");
    let told = answer(&mut command).ends(0).says("in clear");
    assert!(!told.err.contains("hunter2") && !told.out.contains("hunter2"));
    let asked = served.join().expect("served");
    assert!(asked.starts_with("GET /api/topology "), "{asked}");
    assert!(asked.to_lowercase().contains("authorization: basic "), "{asked}");
    let written = std::fs::read_to_string(place.path("zdu.yaml")).expect("written");
    assert!(written.contains("gw-b") && !written.contains("hunter2"), "{written}");
    let _told = told.says("decide: the members of gw-a, gw-b");
    let _usable = place.zdu(&["check"]).ends(0).gives("usable");
}

#[test]
fn schemas_are_json_and_procedures_are_listed_and_printed() {
    let place = Place::new();
    let schema = place.zdu(&["schema"]).ends(0).json();
    let procedure = place.zdu(&["schema", "--procedure"]).ends(0).json();
    assert!(
        schema["properties"]["fleet"].is_object() && procedure["properties"]["stages"].is_object()
    );
    let _list = place.zdu(&["procedures"]).ends(0).gives("axway-apigateway  upgrades");
    let text = place.zdu(&["procedures", "axway-apigateway"]).ends(0).out;
    assert!(zdu_config::builtin_procedures().iter().any(|(_, builtin)| *builtin == text));
    let json = place.zdu(&["procedures", "axway-apigateway", "--json"]).ends(0).json();
    assert_eq!(json["name"], "axway-apigateway");
    let _unknown = place.zdu(&["procedures", "x"]).ends(66).says("built in: axway-apigateway");
}

// --- rollouts ---

const START: Timestamp = Timestamp(1_700_000_000_000);

/// The reference plan, with the looked-up role on the first node.
fn plan(place: &Place) -> Plan {
    place.write("reference.yaml", zdu_config::reference_config());
    let path = place.path("reference.yaml");
    let mut prepared = prepare::load(&path.to_string_lossy()).expect("the reference loads");
    let first = prepared.input.fleet.nodes().next().expect("a node").name.clone();
    let role = zdu_model::ids::RoleName::new("first_anm").expect("a name");
    prepared.input.observed.roles.entry(first).or_default().insert(role);
    prepared.input.observed.consulted = true;
    prepared.plan().expect("the reference plans").plan
}

/// A real rollout as a real controller leaves it behind: its commands succeed until the first
/// balancer would be asked; then a person asks to hold it, and the controller goes.
fn rollout(place: &Place, id: &str) -> PathBuf {
    rollout_where(place, id, 0)
}

/// The same with commands that end with this code; one that fails ends the rollout.
fn rollout_where(place: &Place, id: &str, code: i32) -> PathBuf {
    let id = RolloutId::new(id).expect("a name");
    let plan = plan(place);
    let state = place.state();
    let directory = state.rollout(&id);
    let digest = write_plan(&directory.plan(), &plan).expect("written");
    let settings = directory.path().join("settings.json");
    std::fs::write(settings, r#"{"node_base":null}"#).expect("written");
    let plan = Arc::new(plan);
    let started = Event::RolloutStarted {
        rollout: id.clone(),
        plan: digest.clone(),
        fleet: plan.fleet.name.clone(),
        procedure: plan.procedure.clone(),
        release: plan.release.clone(),
        by: "op@desk".into(),
    };
    assert_eq!(digest, plan_digest(&plan));
    let storage = FileStorage::new(&state, &plan.fleet.name, &id);
    let owner = Owner { user: "op".into(), host: "desk".into(), pid: 7 };
    let claim = Claim::new(owner, START, Millis::from_secs(30));
    let opened = Conductor::open_new(Rollout::new(plan.clone()), storage, &claim, started);
    let opened = opened.expect("opened");
    let (mut conductor, mut now) = (opened.conductor, START);
    let mut todo: Vec<Effect> =
        opened.turn.effects.into_iter().map(Released::into_effect).collect();
    while let Some(effect) = todo.pop() {
        let Effect::Run { step, attempt } = effect else { continue };
        if !matches!(plan.step(step).work, Work::Run(_)) {
            continue;
        }
        now = now.after(Millis(100));
        let report = Report::bare(End::Exited(code));
        let turn = conductor.turn(now, Input::Report { step, attempt, report }).expect("a turn");
        todo.extend(turn.effects.into_iter().map(Released::into_effect));
    }
    let hold =
        Input::Request { request: Request::Hold, by: "op@desk".into(), reason: "lunch".into() };
    let _held = conductor.turn(now, hold).expect("a turn");
    assert_eq!(conductor.machine().verdict().is_some(), code != 0);
    conductor.close().expect("given back");
    directory.journal()
}

fn flip(path: &Path, line: usize) {
    let mut bytes = std::fs::read(path).expect("there");
    let starts = std::iter::once(0)
        .chain(bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1));
    let start = starts.take(line).last().expect("so many lines");
    bytes[start + 200] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_journal_is_verified_and_a_flipped_byte_is_refused_wherever_it_is() {
    let place = Place::new();
    let journal = rollout(&place, "2026-11-21-a1b2");
    let fine = place.zdu(&["verify", "--json"]).ends(0).json();
    assert_eq!(fine["plan_checked"], true);
    let lines = usize::try_from(fine["lines"].as_u64().expect("a number")).expect("small");
    assert!(lines > 4, "a rollout worth verifying: {fine}");
    let _text = place.zdu(&["verify", "last"]).ends(0).gives("head").says("replayed");
    for line in [2, lines] {
        let whole = std::fs::read(&journal).expect("there");
        flip(&journal, line);
        let told = place.zdu(&["verify", "2026"]).ends(65).gives_nothing();
        let _told = told.says("checksum does not match").says("hint: ");
        std::fs::write(&journal, whole).expect("written");
    }
}

#[test]
fn a_journal_that_a_crash_cut_is_verified_up_to_the_cut() {
    let place = Place::new();
    let journal = rollout(&place, "2026-11-21-a1b2");
    let bytes = std::fs::read(&journal).expect("there");
    std::fs::write(&journal, &bytes[..bytes.len() - 9]).expect("written");
    let _cut = place.zdu(&["verify"]).ends(0).says("no part of it");
    let _log = place.zdu(&["log"]).ends(0).says("is not shown");
}

#[test]
fn a_journal_from_elsewhere_is_verified_against_the_plan_that_is_named() {
    let place = Place::new();
    let journal = rollout(&place, "r1");
    let copy = place.path("copy.jsonl");
    std::fs::copy(&journal, &copy).expect("copied");
    let copy = copy.to_string_lossy().into_owned();
    let _alone = place.zdu(&["verify", "--journal", &copy]).ends(0).says("not compared");
    let mut other = plan(&place);
    other.tool = "another".into();
    write_plan(&place.path("other.json"), &other).expect("written");
    let words = ["verify", "--journal", &copy, "--plan", "other.json"];
    let _other = place.zdu(&words).ends(65).says("bound to another plan");
    let _missing = place.zdu(&["verify", "--journal", "x"]).ends(66).gives_nothing();
}

#[test]
fn a_rollout_is_told_by_status_log_and_report() {
    let place = Place::new();
    let _journal = rollout(&place, "2026-11-21-a1b2");
    let list = place.zdu(&["status"]).ends(0).gives("ID").gives("2026-11-21-a1b2  reference");
    let _list = list
        .gives("RUNNING (driven by nobody)")
        .gives("7.5.3 -> 7.7")
        .gives("2023-11-14T22:13:20Z");
    let _one = place.zdu(&["status", "last"]).ends(0).gives("waits on").gives("| NODE");
    let status = place.zdu(&["status", "2026-11", "--json"]).ends(0).json();
    assert_eq!((&status["status"], &status["driven"]), (&"RUNNING".into(), &false.into()));
    let _log = place.zdu(&["log"]).ends(0).gives("node-a").gives("lunch");
    let log = place.zdu(&["log", "--json"]).ends(0).out;
    let records: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(records.first().expect("some")["seq"], 1);
    assert_eq!(records.last().expect("some")["seq"], records.len());
    let _report = place.zdu(&["report"]).ends(0).gives("2026-11-21-a1b2");
    let report = place.zdu(&["report", "--format", "json"]).ends(0).json();
    assert_eq!(report["rollout"]["id"], "2026-11-21-a1b2");
    let _file = place.zdu(&["report", "--output", "r.md"]).ends(0).gives_nothing();
    assert!(place.path("r.md").exists());
}

#[test]
fn a_node_log_is_printed_as_it_was_written() {
    let place = Place::new();
    let journal = rollout(&place, "r1");
    let logs = journal.with_file_name("logs");
    std::fs::create_dir(&logs).expect("made");
    std::fs::write(logs.join("node-a.log"), "########## X ##########\nout\n").expect("written");
    let told = place.zdu(&["log", "r1", "--node", "node-a"]).ends(0);
    assert_eq!(told.out, "########## X ##########\nout\n");
    let _none = place.zdu(&["log", "r1", "--node", "node-b"]).ends(66).says("no command was run");
    let _unknown = place.zdu(&["log", "--node", "nod-a"]).ends(66).says("node-a, node-b, node-c");
}

#[test]
fn an_unknown_rollout_lists_those_that_are_known() {
    let place = Place::new();
    let _empty = place.zdu(&["status"]).ends(0).gives_nothing().says("there is no rollout");
    let _none = place.zdu(&["log", "x"]).ends(66).gives_nothing().says("hint: ");
    let _first = rollout(&place, "2026-11-21-a1b2");
    let _second = rollout(&place, "2026-11-22-c3d4");
    for words in [["status", "x"], ["report", "2025"], ["verify", "y"]] {
        let told = place.zdu(&words).ends(66).gives_nothing();
        let _told = told.says("2026-11-21-a1b2").says("2026-11-22-c3d4");
    }
    let two = place.zdu(&["log"]);
    assert!(two.code != 0 && two.err.contains("2026-11-21-a1b2"), "{two:?}");
    let _last = place.zdu(&["status", "last"]).ends(0).gives("rollout 2026-11-22-c3d4");
}

#[test]
fn a_rollout_that_cannot_be_read_does_not_hide_the_others() {
    let place = Place::new();
    let _fine = rollout(&place, "r1");
    let damaged = rollout(&place, "r2");
    flip(&damaged, 1);
    let list = place.zdu(&["status"]).ends(0).gives("r1").gives("RUNNING").gives("UNREADABLE");
    let _list = list.says("r2: ");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let place = Place::new();
    let mut command = place.command(env!("CARGO_BIN_EXE_zdu"), &["schema"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("begun");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// Every file of the state directory with its bytes.
fn files(directory: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).expect("it can be listed") {
        let path = entry.expect("one").path();
        match path.is_dir() {
            true => files(&path, into),
            false => into.push((path.clone(), std::fs::read(&path).expect("it can be read"))),
        }
    }
    into.sort();
}

#[test]
fn a_request_that_is_refused_opens_no_epoch_and_writes_nothing() {
    let place = Place::new();
    let _held = rollout_where(&place, "held", 0);
    let _ended = rollout_where(&place, "ended", 100);
    let snapshot = || {
        let mut all = Vec::new();
        files(&place.path("state"), &mut all);
        all
    };
    let before = snapshot();
    for (words, why) in [
        (&["abort", "ended"][..], "abort ended: the rollout has ended"),
        (&["approve", "ended", "3"], "approve ended: nobody was asked about step 3"),
        (&["approve", "held", "3"], "approve held: nobody was asked about step 3"),
        (&["abort", "ended", "--take-over", "it is mine"], "abort ended: the rollout has ended"),
        (&["hold", "ended"], "hold ended: nobody drives it"),
    ] {
        let mut command = place.command(env!("CARGO_BIN_EXE_zdu"), words);
        command.env("ANM_PASSWORD", "planted").env("DOMAIN_PASSPHRASE", "planted");
        let told = answer(&mut command);
        assert!(snapshot() == before, "{words:?} changed something: {told:?}");
        let told = told.ends(64).gives_nothing().says(why);
        let _told = told.says(&format!("zdu status {}", words[1]));
    }
}

#[test]
fn a_resume_needs_no_hold_where_the_controller_died() {
    let place = Place::new();
    let journal = rollout(&place, "r1");
    let records = zdu_conductor::journal::read_only(&journal).expect("a journal").records;
    let asked = |record: &Record| matches!(record.event, Event::Requested { .. });
    let died = records[..records.iter().position(asked).expect("the hold")].to_vec();
    let plan = Arc::new(plan(&place));
    let owner = Owner { user: "op".into(), host: "desk".into(), pid: 8 };
    let now = records.last().expect("some").at;
    let claim = Claim::new(owner, now, Millis::from_secs(30));
    let id = RolloutId::new("r1").expect("a name");
    let foresee = |records: &[Record], request: &Request| {
        let (digest, records) = (plan_digest(&plan), records.to_vec());
        zdu_conductor::foresee(&plan, &digest, records, &claim, (&id, request)).expect("foreseen")
    };
    assert_eq!(foresee(&died, &Request::Resume), Prospect::GoesOn);
    assert_eq!(foresee(&records, &Request::Resume), Prospect::Granted);
    assert_eq!(foresee(&died, &Request::Abort), Prospect::Granted);
    let approve = Request::Approve(StepNo(3));
    assert!(matches!(foresee(&died, &approve), Prospect::Refused(_)));
}

// --- zdupgrade ---

#[test]
fn zdupgrade_has_the_options_and_codes_of_the_document() {
    let place = Place::new();
    let help = place.zdupgrade(&["--help"]).ends(0);
    let help = help.gives("--old_install_dir").gives("--new_install_dir").gives("--config");
    let _codes = help.gives("70  EXPORT_FAILED").gives("80  FATAL_ERROR");
    let _case = place.zdupgrade(&["--Old_install_dir", "/a"]).ends(80).gives_nothing();
}

#[test]
fn zdupgrade_logs_what_went_wrong_in_the_current_directory() {
    let place = Place::new();
    place.write("zdu.yaml", "fleet: 1\n");
    let words = ["--old_install_dir", "/a", "--new_install_dir", "/b", "--config", "zdu.yaml"];
    let _failed = place.zdupgrade(&words).ends(80).gives_nothing().says("zdu.yaml:1:8");
    let logs: Vec<PathBuf> = std::fs::read_dir(place.path("logs"))
        .expect("made")
        .map(|e| e.expect("one").path())
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    let text = std::fs::read_to_string(&logs[0]).expect("a log");
    assert!(text.contains("zdupgrade begins") && text.contains("zdupgrade failed: "), "{text}");
}
