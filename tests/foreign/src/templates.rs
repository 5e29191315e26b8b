//! Templates and conditions of a procedure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use zdu_config::{Templates, parse_procedure};
use zdu_model::plan::Release;
use zdu_model::render::{NodeScope, Scope};
use zdu_model::text::{Piece, Template};

const PROCEDURE: &str = "\
name: simple
summary: restarts
phases: [ { name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 } ]
rollback_phase: ROLLBACK
vars: { dir: { help: where, default: /opt }, url: { help: u, default: 'http://{{ vars.dir }}' } }
secrets: { pw: the password }
stages:
  - name: apply
    over: rolling
    drain_phase: APPLY
    return_phase: APPLY
    steps:
      - id: restart
        phase: APPLY
        run: { argv: [restart, '{{ vars.dir }}'], stdin: '{{ secret(\"pw\") }}' }
        rollback: redo
        undo: [ { id: back, run: { argv: [back] } } ]
";

static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
    let procedure = parse_procedure(PROCEDURE, "p.yaml");
    Templates::new(&procedure.expect("the procedure of this target is good"))
});

/// A text and a condition; the same each time, and no place but those that are declared.
pub fn templates(bytes: &[u8]) -> bool {
    let template = Template(String::from_utf8_lossy(bytes).into_owned());
    let scope = scope();
    let text = TEMPLATES.text(&template, &scope);
    if let Ok(text) = &text {
        for piece in &text.0 {
            match piece {
                Piece::Secret(name) => assert_eq!(name.as_str(), "pw", "nobody declared it"),
                Piece::Literal(text) => {
                    assert!(!text.contains(['\u{E000}', '\u{E001}']), "a marker came through");
                }
                Piece::Capture(_) => {}
            }
        }
        assert!(!text.0.is_empty());
    }
    assert_eq!(TEMPLATES.text(&template, &scope), text, "another text the second time");
    let condition = TEMPLATES.condition(&template, &scope);
    assert_eq!(TEMPLATES.condition(&template, &scope), condition);
    text.is_ok() || condition.is_ok()
}

fn scope() -> Scope {
    let node = |name: &str| NodeScope {
        name: name.to_owned(),
        address: format!("{name}.example"),
        roles: BTreeSet::from(["anm".to_owned()]),
        vars: BTreeMap::from([("own".to_owned(), "1".to_owned())]),
        ..NodeScope::default()
    };
    Scope {
        vars: BTreeMap::from([("own".to_owned(), "2".to_owned())]),
        node: Some(node("a")),
        nodes: [node("a"), node("b")].into(),
        release: Release { from: "1".to_owned(), to: "2".to_owned() },
        fleet: "f".to_owned(),
    }
}
