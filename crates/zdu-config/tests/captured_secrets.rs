//! A captured value that is declared secret may stand only where a secret may.
#![allow(missing_docs, reason = "tests")]

use zdu_config::parse_procedure;

const LEAKS: &str = "\
name: simple
summary: restarts
phases: [ { name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 } ]
rollback_phase: ROLLBACK
stages:
  - name: apply
    over: rolling
    drain_phase: APPLY
    return_phase: APPLY
    steps:
      - id: login
        phase: APPLY
        run: { argv: [login] }
        capture: [ { name: token, from: output, secret: true } ]
        rollback: redo
        undo: [ { id: logout, run: { argv: [logout] } } ]
      - id: use
        phase: APPLY
        run: { argv: [use, '--token={{ capture(\"token\") }}'] }
        rollback: redo
        undo: [ { id: back, run: { argv: [back] } } ]
";

#[test]
fn a_captured_secret_in_argv_is_refused_like_any_secret() {
    let parsed = parse_procedure(LEAKS, "p.yaml");
    let said = match &parsed {
        Ok(_) => "accepted".to_owned(),
        Err(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    assert!(said.contains("token"), "{said}");
}
