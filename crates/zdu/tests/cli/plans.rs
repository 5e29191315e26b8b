//! What is said of plans, of their files and of what stands in a configuration, before anything is
//! begun.

use crate::{Place, START, plan};
use zdu::failure::EXIT_CODES;
use zdu::prepare;
use zdu_conductor::plan_file::write_plan;
use zdu_conductor::refused::{Refusal, RefusedReleases};
use zdu_config::{parse_procedure, reference_config};
use zdu_model::ids::{FleetName, RolloutId};
use zdu_model::verdict::exit;

/// The reference with one node only that may have the role that is looked up, so that it can be
/// planned offline.
fn offline() -> String {
    let text = reference_config().replacen("roles: [anm]", "roles: []", 1);
    assert_ne!(text, reference_config());
    text
}

#[test]
fn a_bare_command_and_a_word_far_from_any_name_no_command_that_is_not_for_people() {
    let place = Place::new();
    for bare in [&[][..], &["--quiet"]] {
        let bare = place.zdu(bare).ends(64).gives_nothing().says("rollback");
        assert!(!bare.err.contains("double"), "{}", bare.err);
    }
    let far = place.zdu(&["frob"]).ends(64).gives_nothing().says("'frob'");
    assert!(!far.err.contains("similar") && !far.err.contains("rollback"), "{}", far.err);
    let _near = place.zdu(&["rolback"]).ends(64).says("'rollback'");
    let nearly = place.zdu(&["doubel"]).ends(64);
    assert!(!nearly.err.contains("'double'"), "{}", nearly.err);
}

#[test]
fn a_plan_file_that_is_not_there_is_told_in_words() {
    let place = Place::new();
    place.write("zdu.yaml", &offline());
    for words in [
        &["rehearse", "--plan", "x.json"][..],
        &["run", "--plan", "x.json"],
        &["plan", "--offline", "--diff", "x.json"],
    ] {
        let told = place.zdu(words).ends(66).gives_nothing();
        let told = told.says("read x.json").says("there is no such file");
        assert!(!told.err.contains("entity"), "{}", told.err);
    }
}

#[test]
fn a_file_that_is_no_plan_is_told_what_a_plan_is() {
    let place = Place::new();
    place.write("zdu.yaml", &offline());
    let told = place.zdu(&["rehearse", "--plan", "zdu.yaml"]).ends(65).gives_nothing();
    let told = told.says("read zdu.yaml: it is no plan file").says("a plan is JSON");
    let told = told.says("hint: make one with `zdu plan --out FILE`").says("--config FILE");
    assert!(!told.err.contains("expected ident"), "{}", told.err);
    place.write("cut.json", "{ \"format\": 1,");
    let _cut = place.zdu(&["rehearse", "--plan", "cut.json"]).ends(65).says("in the middle");
}

/// A release of the reference that was rolled back on the fleet of this name.
fn refuse(place: &Place, fleet: &str) {
    let fleet = FleetName::new(fleet).expect("a name");
    let refusal = Refusal {
        release: "7.7".into(),
        rollout: RolloutId::new("r1").expect("a name"),
        reason: "APPLY failed and node-b went back".into(),
        at: START,
    };
    RefusedReleases::new(place.state().fleet(&fleet)).refuse(refusal).expect("written");
}

const REFUSED: &str = "release 7.7 is refused since rollout r1: APPLY failed and node-b went back";

#[test]
fn a_release_that_was_rolled_back_is_refused_before_anybody_is_asked() {
    let place = Place::new();
    let plan = plan(&place);
    write_plan(&place.path("plan.json"), &plan).expect("written");
    refuse(&place, plan.fleet.name.as_str());
    for words in [
        &["run", "--plan", "plan.json"][..],
        &["run", "--plan", "plan.json", "--config", "reference.yaml"],
        &["run", "--config", "reference.yaml"],
        &["run", "--config", "reference.yaml", "--clear-refused", " "],
    ] {
        let told = place.zdu(words).ends(15).gives_nothing();
        let told = told.says(&format!("begin: {REFUSED}")).says("--clear-refused");
        assert!(!told.err.contains("begin? "), "{}", told.err);
    }
    // With a reason it goes on, as far as it comes without the secrets.
    let words = ["run", "--plan", "plan.json", "--clear-refused", "build 812 has the fix"];
    let _goes_on = place.zdu(&words).ends(78);
}

#[test]
fn a_plan_of_a_release_that_was_rolled_back_is_made_with_a_warning() {
    let place = Place::new();
    place.write("zdu.yaml", &offline());
    let words = ["plan", "--offline", "--out", "plan.json"];
    let fine = place.zdu(&words).ends(0);
    assert!(!fine.err.contains("refused"), "{}", fine.err);
    refuse(&place, "zdu");
    let told = place.zdu(&words).ends(0).gives("digest");
    let _told = told.says(&format!("warning: {REFUSED}")).says("--clear-refused");
}

#[test]
fn a_warning_about_a_configuration_is_called_one_once() {
    let place = Place::new();
    let tight = reference_config().replace("min_available: 1", "min_available: 2");
    place.write("zdu.yaml", &tight);
    for words in [&["rehearse"][..], &["run"]] {
        let told = place.zdu(words).says(": warning: min_available is 2 of 2");
        assert_eq!(told.err.matches("warning").count(), 1, "{}", told.err);
    }
}

#[test]
fn the_built_in_reference_is_not_called_a_file() {
    let place = Place::new();
    let words = ["--old_install_dir", "/a", "--new_install_dir", "/b"];
    let told = place.zdupgrade(&words).ends(80).says("declared at builtin:reference:");
    assert!(!told.err.contains(".yaml"), "{}", told.err);
    let reference = prepare::reference().expect("it loads");
    assert_eq!(reference.fleet.name.as_str(), "reference");
}

#[test]
fn every_exit_code_of_zdus_own_is_refused_for_a_phase() {
    let procedure = |code: u8| {
        format!(
            "name: p\nsummary: s\nphases: [{{ name: A, exit: {code} }}, {{ name: R, exit: 79 }}]\n\
             rollback_phase: R\nstages: [{{ name: s, over: once, steps: [{{ id: a, phase: A, \
             manual: {{ instruction: i }} }}] }}]\n"
        )
    };
    let phases = exit::EXPORT_FAILED..=exit::POST_APPLY_FAILED;
    for (code, meaning) in EXIT_CODES {
        let found = parse_procedure(&procedure(*code), "p.yaml");
        assert_eq!(found.is_ok(), phases.contains(code), "{code}: {meaning}: {found:?}");
    }
}
