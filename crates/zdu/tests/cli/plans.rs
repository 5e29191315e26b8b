//! What is said of plans, of their files and of what stands in a configuration, before anything is
//! begun.

use crate::Place;
use zdu::failure::EXIT_CODES;
use zdu_config::parse_procedure;
use zdu_model::verdict::exit;

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
