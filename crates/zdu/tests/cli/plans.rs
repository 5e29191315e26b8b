//! What is said of plans, of their files and of what stands in a configuration, before anything is
//! begun.

use crate::Place;
use zdu::failure::EXIT_CODES;
use zdu_config::{parse_procedure, reference_config};
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
