//! `zdu rehearse` by the built binary: what it says about the reference, about plans with a planted
//! weakness, and about one failure.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use zdu_model::verdict::exit;

const REFERENCE: &str = include_str!("rehearse/reference.txt");

/// A directory without anything, or with a configuration.
struct Place(TempDir);

struct Answer {
    code: u8,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (name, text) in files {
            std::fs::write(place.0.path().join(name), text).expect("written");
        }
        place
    }

    fn zdu(&self, words: &[&str]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_zdu"))
            .args(words)
            .env_clear()
            .env("HOME", self.0.path())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary was built");
        let code = output.status.code().expect("it was not killed");
        Answer {
            code: u8::try_from(code).expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

fn document(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manual").join(name);
    std::fs::read_to_string(path).expect("a document")
}

/// Two nodes behind one balancer, which switch a link: the procedure of the manual, simplified.
const FLEET: &str = "\
fleet:
  balancers:
    edge: { driver: haproxy, instances: [{ socket: \"unix:/run/haproxy/admin.sock\" }] }
  groups:
    web:
      min_available: 1
      nodes:
        web-1: { address: 10.0.0.1, members: [edge/web/web-1], service_ports: [8080] }
        web-2: { address: 10.0.0.2, members: [edge/web/web-2], service_ports: [8080] }
  ssh: { user: web }
procedure: ./switch.yaml
release: { from: \"1\", to: \"2\" }
policy: { wave: [1], soak: 5s, accept_no_undo: [switch] }
";

const SWITCH: &str = "\
name: switch
summary: switches
phases: [{ name: APPLY, exit: 73 }, { name: POST-APPLY, exit: 74 }, { name: ROLLBACK, exit: 75 }]
rollback_phase: ROLLBACK
stages:
  - name: switch
    over: rolling
    drain_phase: APPLY
    return_phase: POST-APPLY
    ready: [{ tcp: \"{{ node.address }}:8080\" }]
    ready_old: [{ tcp: \"{{ node.address }}:8080\" }]
    steps:
      - id: switch
        phase: APPLY
        run: { argv: [switch, \"2\"] }
        deadline: 2m
        takes: 40s
        UNDO
on_failure:
  - { class: [unknown], do: hold }
  - { do: rollback_node }
";

const UNDO: &str = "undo: [{ id: switch-back, run: { argv: [switch, \"1\"] }, attempts: 3 }]";

fn switching(undo: &str) -> Place {
    Place::with(&[("zdu.yaml", FLEET), ("switch.yaml", &SWITCH.replace("UNDO", undo))])
}

#[test]
fn the_reference_is_rehearsed_where_there_is_no_configuration() {
    let Answer { code, out, err } = Place::new().zdu(&["rehearse"]);
    assert!(err.contains("the built-in reference is rehearsed"), "{err}");
    if std::env::var_os("BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rehearse/reference.txt");
        std::fs::write(path, &out).expect("blessed");
        return;
    }
    same_lines(REFERENCE, &out);
    let wide = out.lines().find(|line| line.chars().count() > 100);
    assert_eq!((code, wide), (exit::SUCCESS, None));
}

#[test]
fn who_has_a_built_in_procedure_is_told_how_to_change_it_and_does_as_is_said() {
    let said = |answer: &Answer| one_line(&answer.out);
    let place = Place::new();
    let of_built_in = place.zdu(&["rehearse", "--pairs", "0"]);
    let (write, uses) = (
        "`zdu procedures axway-apigateway > axway-apigateway.yaml`",
        "`procedure: axway-apigateway.yaml`",
    );
    assert!(said(&of_built_in).contains(write), "{}", of_built_in.out);
    assert!(said(&of_built_in).contains(uses), "{}", of_built_in.out);
    let written = place.zdu(&["procedures", "axway-apigateway"]).out;
    let changed = written.replace("  - id: export\n", "  - id: export\n        takes: 1m\n");
    assert_ne!(written, changed);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/axway-reference.yaml");
    let fleet = std::fs::read_to_string(example).expect("an example");
    let fleet =
        fleet.replace("procedure: axway-apigateway\n", "procedure: axway-apigateway.yaml\n");
    let own = Place::with(&[("zdu.yaml", &fleet), ("axway-apigateway.yaml", &changed)]);
    let of_own = own.zdu(&["rehearse", "--pairs", "0"]);
    assert!(said(&of_own).contains("hint: how long some steps take"), "{}", of_own.err);
    assert!(!of_own.out.contains("zdu procedures"), "{}", of_own.out);
}

#[test]
fn a_missing_undo_and_a_budget_without_room_are_named() {
    let Answer { code, out, err } = switching("rollback: none").zdu(&["rehearse", "--pairs", "0"]);
    let hint = "hint (to end with 0): switch disturbs its node and has no undo";
    assert!(out.contains(hint), "{out}{err}");
    assert!(out.contains("hint: group web: min_available is 1 of 2: with one node sick"), "{out}");
    assert!(out.contains("  undo     missing: switch (2 in the plan, disturbs its node)"), "{out}");
    assert_eq!(code, exit::REHEARSAL_FOUND);
    let Answer { out, .. } = switching(UNDO).zdu(&["rehearse", "--pairs", "0"]);
    assert!(!out.contains("has no undo"), "{out}");
}

/// The last paragraph as one line.
fn last_words(out: &str) -> String {
    one_line(out.rsplit("\n\n").next().expect("a paragraph"))
}

/// Where a line ends is a matter of the words before.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn where_a_step_has_no_undo_nothing_promises_that_everything_is_put_back() {
    let everything = "everything can be put back at any time";
    let Answer { out, .. } = switching(UNDO).zdu(&["rehearse", "--pairs", "0"]);
    assert!(out.contains(everything), "{out}");
    let warm = "{ id: warm, phase: POST-APPLY, disruptive: false, run: { argv: [warm] } }";
    let steps = format!("{UNDO}\n      - {warm}");
    let Answer { out, .. } = switching(&steps).zdu(&["rehearse", "--pairs", "0"]);
    assert!(out.contains("  undo     missing: warm (2 in the plan)\n"), "{out}");
    let stays = "  return   no point of no return, but what is not undone stays\n";
    assert!(out.contains(stays) && !out.contains(everything), "{out}");
    assert!(out.contains("hint: warm has no undo"), "{out}");
}

/// The example of the manual.
fn example() -> Place {
    let config = block(&document("rehearse.md"), "yaml config");
    let procedure = block(&document("procedures.md"), "yaml procedure=switch-release.yaml");
    Place::with(&[("zdu.yaml", &config), ("switch-release.yaml", &procedure)])
}

#[test]
fn a_plan_that_outlasts_every_single_failure_is_rehearsed_with_exit_code_0() {
    let place = example();
    let Answer { code, out, .. } = place.zdu(&["rehearse", "--pairs", "0"]);
    let verdict = "verdict: exit code 0: nothing that was played leaves a node stuck, cuts a \
                   session or cannot be resumed, but for serving sick: no plan can repair a node: \
                   it stays out of traffic, which is right";
    assert_eq!(last_words(&out), verdict);
    assert_eq!(code, exit::SUCCESS);
    let Answer { code, out, .. } = place.zdu(&["rehearse"]);
    let counts = "hint (to end with 0): ";
    let hints: Vec<&str> = out.lines().filter(|line| line.starts_with("hint")).collect();
    assert!(hints[0].starts_with(&format!("{counts}an undo that is tried once leaves")), "{out}");
    assert_eq!(hints.iter().filter(|hint| hint.starts_with(counts)).count(), 1, "{out}");
    let verdict = "verdict: exit code 18 REHEARSAL_FOUND: 1 pair leaves a node stuck \
                   (ROLLBACK/switch-back fail)";
    assert_eq!(last_words(&out), verdict);
    assert_eq!(code, exit::REHEARSAL_FOUND);
    // What the hint says is enough, for pairs too.
    let path = place.0.path().join("switch-release.yaml");
    let text = std::fs::read_to_string(&path).expect("written");
    let back = "          - id: switch-back\n";
    let often = text.replace(back, &format!("{back}            attempts: 3\n"));
    assert_ne!(often, text);
    std::fs::write(&path, often).expect("written");
    let Answer { code, out, .. } = place.zdu(&["rehearse"]);
    assert_eq!(code, exit::SUCCESS, "{out}");
}

#[test]
fn an_instance_that_is_down_longer_than_the_policy_waits_leaves_a_node_stuck() {
    let hasty = FLEET.replace("soak: 5s,", "soak: 5s, capacity_deadline: 2m,");
    let place =
        Place::with(&[("zdu.yaml", &hasty), ("switch.yaml", &SWITCH.replace("UNDO", UNDO))]);
    let Answer { code, out, .. } = place.zdu(&["rehearse", "--pairs", "0"]);
    let said = one_line(&out);
    assert!(said.contains("hint (to end with 0): a balancer instance that is down at"), "{out}");
    assert!(said.contains("raise capacity_deadline (2m)"), "{out}");
    assert_eq!(code, exit::REHEARSAL_FOUND);
}

#[test]
fn the_rule_that_a_hint_names_for_a_sick_node_makes_it_wait_for_a_person() {
    let Answer { code, out, .. } = switching(UNDO).zdu(&["rehearse", "--pairs", "0"]);
    let rule = "[{ phase: POST-APPLY, do: hold }]";
    let said = one_line(&out);
    assert!(said.contains(&format!("`policy.on_failure: {rule}`")), "{out}");
    assert!(out.contains("STUCK"), "{out}");
    assert_eq!(code, exit::SUCCESS);
    let fleet = FLEET.replace("soak: 5s,", &format!("soak: 5s, on_failure: {rule},"));
    let place =
        Place::with(&[("zdu.yaml", &fleet), ("switch.yaml", &SWITCH.replace("UNDO", UNDO))]);
    let Answer { code, out, .. } = place.zdu(&["rehearse", "--pairs", "0"]);
    assert!(!out.contains("STUCK"), "{out}");
    assert_eq!(code, exit::SUCCESS, "{out}");
}

#[test]
fn how_long_it_takes_follows_from_what_the_steps_declare() {
    let Answer { out, .. } = switching(UNDO).zdu(&["rehearse", "--pairs", "0", "--json"]);
    let json: Value = serde_json::from_str(&out).expect("JSON on stdout");
    let forecast = &json["rehearsal"]["forecast"];
    let steps = forecast["steps"].as_array().expect("steps");
    let switch = steps.iter().find(|step| step["key"] == "switch").expect("the step");
    assert_eq!((&switch["time"], &switch["known"]), (&40_000.into(), &"declared".into()));
    let at_least = forecast["at_least"].as_u64().expect("a time");
    // Two nodes, a soak behind each, and some seconds for drains and starts.
    assert!((90_000..130_000).contains(&at_least), "{at_least}");
    assert_eq!(json["exit"], exit::SUCCESS);
    let verdict = json["verdict"].as_str().expect("a text");
    assert!(verdict.starts_with("exit code 0: nothing"), "{verdict}");
    assert_eq!(json["defects"], Value::Array(Vec::new()));
}

#[test]
fn a_plan_file_is_rehearsed_as_it_is() {
    let place = switching(UNDO);
    assert_eq!(place.zdu(&["plan", "--offline", "--out", "plan.json"]).code, exit::SUCCESS);
    let of_plan = place.zdu(&["rehearse", "--plan", "plan.json", "--pairs", "0"]);
    let of_config = place.zdu(&["rehearse", "--pairs", "0"]);
    assert_eq!(of_plan.out, of_config.out);
    let old = std::fs::read_to_string(place.0.path().join("plan.json")).expect("written");
    assert!(old.contains("\"takes\""), "the plan carries what was declared");
}

#[test]
fn a_plan_made_offline_takes_the_only_candidate_for_a_role_and_says_so() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/axway-reference.yaml");
    let two = std::fs::read_to_string(example).expect("an example");
    let Answer { code, err, .. } =
        Place::with(&[("zdu.yaml", &two)]).zdu(&["plan", "--offline", "--out", "plan.json"]);
    assert!(err.contains("nobody knows yet which of"), "{err}");
    assert_eq!(code, exit::PLAN_REFUSED);
    let one = two.replacen("roles: [anm]", "roles: []", 1);
    assert_ne!(one, two);
    let place = Place::with(&[("zdu.yaml", &one)]);
    let Answer { code, out, err } = place.zdu(&["plan", "--offline", "--out", "plan.json"]);
    let warning = "the role first_anm is taken to lie with node-c, the only node that may have it: \
                   nobody was asked";
    let said = one_line(&out);
    assert!(said.contains(warning), "{out}{err}");
    assert_eq!(code, exit::SUCCESS, "{err}");
    let words = ["plan", "--offline", "--diff", "plan.json"];
    assert!(place.zdu(&words).err.contains(warning), "also where only differences are told");
}

#[test]
fn one_failure_is_told_with_its_story_and_its_end() {
    let place = Place::new();
    for (fault, end) in [
        ("node-b:APPLY=fail(3)", "end: exit code 73 APPLY_FAILED"),
        ("node-b:apply=half(1)", "end: exit code 73 APPLY_FAILED"),
        ("node-b:apply=hang", "end: exit code 73 APPLY_FAILED"),
        ("node-b:apply=lost", "end: exit code 0 SUCCESS"),
        ("node-b:apply=cut", "end: exit code 0 SUCCESS"),
        ("node-b:apply=reboot", "end: exit code 10 HELD: a person is needed"),
        ("*:drain=reload", "end: exit code 0 SUCCESS"),
    ] {
        let Answer { code, out, err } = place.zdu(&["rehearse", "--fault", fault]);
        assert!(out.contains(end), "{fault}: {out}{err}");
        assert_eq!(code, exit::SUCCESS, "{fault}: nothing is stuck or lost");
    }
    let both = |undo| ["rehearse", "--fault", "node-b:apply=fail", "--fault", undo];
    let Answer { code, out, .. } = place.zdu(&both("node-b:ROLLBACK/serving=lbstop"));
    let verdict = "\nverdict: exit code 0: it leaves no node stuck and cuts no session\n";
    assert!(out.ends_with(verdict), "an instance is waited for: {out}");
    assert_eq!(code, exit::SUCCESS);
    let policy = "soak: 30s, capacity_deadline: 2m }";
    let hasty =
        include_str!("../../../examples/axway-reference.yaml").replace("soak: 30s }", policy);
    let hasty = Place::with(&[("zdu.yaml", &hasty)]);
    let Answer { code, out, .. } = hasty.zdu(&both("node-b:ROLLBACK/serving=lbstop"));
    assert!(out.contains("end: exit code 75 ROLLBACK_FAILED"), "{out}");
    let verdict = "\nverdict: exit code 18 REHEARSAL_FOUND: it leaves a node stuck\n";
    assert!(out.ends_with(verdict), "{out}");
    assert_eq!(code, exit::REHEARSAL_FOUND);
    let Answer { code, out, .. } = place.zdu(&["rehearse", "--fault", "node-b:serving=sick"]);
    let verdict = "\nverdict: exit code 0: no plan can repair a node: it stays out of traffic, \
                   which is right\n";
    assert!(out.contains("end: exit code 75") && out.ends_with(verdict), "{out}");
    assert_eq!(code, exit::SUCCESS);
}

#[test]
fn an_undo_of_the_built_in_procedure_that_fails_once_is_tried_again() {
    let place = Place::new();
    let ids = [
        "stop-new-instance",
        "stop-new-nodemanager",
        "start-old-instance",
        "start-old-nodemanager",
    ];
    for undo in ids.map(|id| format!("node-b:ROLLBACK/{id}=fail")) {
        let words = ["rehearse", "--fault", "node-b:apply=fail", "--fault", &undo];
        let Answer { code, out, .. } = place.zdu(&words);
        assert!(out.contains("end: exit code 73 APPLY_FAILED"), "{undo}: {out}");
        assert_eq!(code, exit::SUCCESS, "{undo}");
    }
    let text = place.zdu(&["procedures", "axway-apigateway"]).out;
    let (mut undo, mut again) = (0, 0);
    for line in text.lines().map(str::trim) {
        let names = ["clean", "start-old-", "stop-new-"];
        let is_undo = |id: &str| names.iter().any(|name| id.starts_with(name));
        undo += usize::from(line.strip_prefix("- id: ").is_some_and(is_undo));
        again += usize::from(line == "attempts: 3");
    }
    assert_eq!((undo, again), (6, 6));
}

#[test]
fn what_to_do_next_is_told_once_at_the_end_of_a_story() {
    let place = switching(UNDO);
    for fault in ["web-1:serving=sick", "web-1:switch=reboot", "web-1:switch=fail"] {
        let Answer { out, .. } = place.zdu(&["rehearse", "--fault", fault]);
        let lines: Vec<&str> = out.lines().collect();
        let is_next = |line: &&&str| line.trim_start().starts_with("next: ");
        let told = lines.iter().filter(is_next).count();
        let end = lines.iter().position(|line| line.starts_with("end: ")).expect("an end");
        let last = lines[..end].iter().rev().take_while(is_next).count();
        assert!(told > 0 && told == last, "{fault}: {out}");
    }
}

#[test]
fn hundreds_of_attempts_that_end_alike_are_one_line_of_the_story() {
    let place = switching(UNDO);
    let Answer { out, .. } = place.zdu(&["rehearse", "--fault", "web-1:guard=sick"]);
    let many: Vec<&str> = out.lines().filter(|line| line.contains("guard begun")).collect();
    let [first, alike, last] = many.as_slice() else { panic!("{out}") };
    assert!(first.ends_with("guard begun"), "{first}");
    let told = "guard begun, attempt 2; 299 attempts end like the one before, the last begun at \
                1970-01-01T00:09:59Z";
    assert!(alike.ends_with(told), "{alike}");
    assert!(last.ends_with("guard begun, attempt 301"), "{last}");
    let json = place.zdu(&["rehearse", "--fault", "web-1:guard=sick", "--json"]).out;
    let json: Value = serde_json::from_str(&json).expect("JSON on stdout");
    assert!(json["records"].as_array().expect("records").len() > 900, "data is never left out");
}

#[test]
fn a_failure_that_is_not_there_is_answered_with_those_that_are() {
    let place = Place::new();
    for (fault, known) in [
        ("node-x:APPLY=fail", "hint: nodes: *, fleet, node-a, node-b, node-c"),
        ("node-b:APLY=fail", "hint: phases and steps: EXPORT, export"),
        ("node-b:apply=explode", "hint: faults: fail, half, hang, lost, reboot, cut"),
        ("node-b", "hint: such as node-b:APPLY=fail(3)"),
    ] {
        let Answer { code, out, err } = place.zdu(&["rehearse", "--fault", fault]);
        assert!(err.contains(known), "{fault}: {err}");
        assert_eq!((code, out.as_str()), (exit::USAGE, ""));
    }
}

/// The first block of a document whose first line is this.
fn block(document: &str, info: &str) -> String {
    let marked = format!("\n```{info}\n");
    let rest = document.split_once(&marked).unwrap_or_else(|| panic!("no block {info}")).1;
    rest.split_once("```\n").expect("a block ends").0.to_owned()
}

/// A block that begins with ```` ```text zdu rehearse WORDS | N ```` shows what these words print;
/// of a long answer the last N lines.
#[test]
fn the_examples_of_the_manual_are_what_is_printed() {
    let text = document("rehearse.md");
    let place = example();
    let mut parts = text.split("\n```text zdu ");
    let mut blessed = parts.next().expect("what stands before").to_owned();
    for part in parts {
        let (line, rest) = part.split_once('\n').expect("a first line");
        let (words, lines) = line.split_once(" | ").unwrap_or((line, "all"));
        let after = rest.split_once("```").expect("a block ends").1;
        let words: Vec<&str> = words.split_whitespace().collect();
        let Answer { out, err, .. } = place.zdu(&words);
        let all: Vec<&str> = out.lines().collect();
        let from = lines.parse().map_or(0, |last: usize| all.len().saturating_sub(last));
        assert!(!all.is_empty(), "{words:?}: {err}");
        let shown = all[from..].join("\n");
        blessed.extend(["\n```text zdu ", line, "\n", &shown, "\n```", after]);
    }
    if std::env::var_os("BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manual/rehearse.md");
        std::fs::write(path, &blessed).expect("blessed");
        return;
    }
    same_lines(&text, &blessed);
}

/// The most lines of a difference: who wants more blesses and reads `git diff`.
const DIFFERENCE_LINES_MAX: usize = 12;

/// Panics with the lines that differ, not with the whole page twice.
fn same_lines(expected: &str, printed: &str) {
    let differences = differences(expected, printed);
    let shown: Vec<&str> =
        differences.iter().take(DIFFERENCE_LINES_MAX).map(String::as_str).collect();
    let more = match differences.len() - shown.len() {
        0 => String::new(),
        more => format!("\nand {more} more lines"),
    };
    let hint = "`-` was expected, `+` was printed; BLESS=1 accepts what was printed";
    assert!(differences.is_empty(), "{hint}\n{}{more}", shown.join("\n"));
    // What differs in no line: how they end.
    assert!(expected == printed, "only the ends of lines differ");
}

/// The lines that are in one text and not in the other, with their numbers: what is left beside
/// the longest common run of lines.
fn differences(expected: &str, printed: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), printed.lines().collect());
    // How many lines the rests from (i, j) on have in common.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut differences) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            differences.push(format!("{i:>4} -{}", old[i - 1]));
        } else {
            j += 1;
            differences.push(format!("{j:>4} +{}", new[j - 1]));
        }
    }
    differences
}

#[test]
fn a_difference_from_a_golden_page_is_told_by_its_lines() {
    let page: String = (1..=200).map(|number| format!("line {number}\n")).collect();
    let changed = page.replace("line 7\n", "line seven\n").replace("line 90\n", "");
    let told = ["   7 -line 7", "   7 +line seven", "  90 -line 90"];
    assert_eq!(differences(&page, &changed), told);
    let panic = std::panic::catch_unwind(|| same_lines(&page, &page.replace("line", "row")));
    let said = *panic.expect_err("they differ").downcast::<String>().expect("a text");
    assert!(said.lines().count() <= DIFFERENCE_LINES_MAX + 2, "{said}");
    assert!(said.ends_with("and 388 more lines"), "{said}");
    assert!(std::panic::catch_unwind(|| same_lines("a\n", "a")).is_err(), "an end is a difference");
}
