//! Every kind of mistake in a procedure, and what a person reads about it.

use zdu_config::parse_procedure;
use zdu_model::procedure::Deadline;
use zdu_model::time::Millis;

const GOOD: &str = "\
name: simple
summary: restarts
phases: [ { name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 } ]
rollback_phase: ROLLBACK
vars: { dir: { help: where, default: /opt } }
secrets: { pw: the password }
roles: { anm: { help: managers } }
stages:
  - name: apply
    over: rolling
    drain_phase: APPLY
    return_phase: APPLY
    first: [anm]
    steps:
      - id: restart
        phase: APPLY
        run: { argv: [restart, '{{ vars.dir }}'], stdin: '{{ secret(\"pw\") }}' }
        rollback: redo
        undo: [ { id: back, run: { argv: [back] } } ]
";

#[track_caller]
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from:?} is not in the good text");
    match parse_procedure(&GOOD.replacen(from, to, 1), "p.yaml") {
        Ok(_) => String::new(),
        Err(list) => {
            let lines: Vec<String> = list.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}

#[test]
fn a_step_may_say_how_long_it_takes() {
    let text = GOOD.replacen("rollback: redo", "rollback: redo\n        takes: 40s", 1);
    let procedure = parse_procedure(&text, "p.yaml").expect("it is good");
    let step = &procedure.stages[0].steps[0];
    assert_eq!(step.takes, Some(Millis::from_secs(40)));
    assert_eq!(step.undo[0].takes, None);
}

#[test]
fn defaults_of_a_step_are_those_of_its_stage() {
    let procedure = parse_procedure(GOOD, "p.yaml").expect("it is good");
    let step = &procedure.stages[0].steps[0];
    assert!(step.disruptive && step.undo[0].disruptive);
    assert_eq!(step.undo[0].phase.as_str(), "ROLLBACK");
    assert_eq!(step.undo[0].unknown, zdu_model::procedure::UnknownRule::Rerun);
}

#[test]
fn a_person_has_an_hour_where_no_deadline_is_named_and_a_command_five_minutes() {
    let deadline = |text: &str| {
        let procedure = parse_procedure(text, "p.yaml").expect("it is good");
        procedure.stages[0].steps[0].undo[0].deadline.clone()
    };
    let run = "run: { argv: [back] }";
    assert_eq!(deadline(GOOD), Deadline::Span(Millis::from_secs(5 * 60)));
    let person = GOOD.replacen(run, "manual: { instruction: turn it off }", 1);
    assert_eq!(deadline(&person), Deadline::Span(Millis::from_secs(60 * 60)));
    let named = GOOD.replacen(run, "manual: { instruction: turn it off }, deadline: 2m", 1);
    assert_eq!(deadline(&named), Deadline::Span(Millis::from_secs(2 * 60)));
}

/// The good procedure with a variable of spans and this deadline of the step.
#[track_caller]
fn with_deadline(default: &str, deadline: &str) -> String {
    let span = format!("wait: {{ type: span, help: h, default: {default} }}");
    let text = GOOD.replacen("default: /opt }", &format!("default: /opt }}, {span}"), 1).replacen(
        "rollback: redo",
        &format!("rollback: redo\n        deadline: {deadline}"),
        1,
    );
    match parse_procedure(&text, "p.yaml") {
        Ok(procedure) => format!("{:?}", procedure.stages[0].steps[0].deadline),
        Err(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

/// Tests of one mistake each: what is found, and all that is said about it.
macro_rules! mistakes {
    ($($name:ident: $found:expr => $said:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!($found, $said);
        }
    )*};
}

mistakes! {
    a_deadline_may_be_made_of_a_variable: with_deadline(
        "30s",
        "\"{{ vars.wait | plus('5m') }}\""
    ) => "\
Template(Template(\"{{ vars.wait | plus('5m') }}\"))";
    a_default_that_is_no_span: with_deadline("30", "5m") => "\
p.yaml:5:84: `30` is not a span of time\n\
hint: a unit is missing: `30s`, `30ms` or `30m`?";
    a_deadline_of_a_variable_that_is_any_text: with_deadline("30s", "'{{ vars.dir }}'") => "\
p.yaml:19:19: `vars.dir` in a deadline is no span of time\n\
hint: declare it: `dir: { type: span, ... }`";
    a_deadline_of_something_else: with_deadline("30s", "'{{ node.name }}'") => "\
p.yaml:19:19: `node.name` in a deadline is no span of time\n\
hint: only variables of the type `span` may be used: wait";
    a_deadline_that_gives_no_span: with_deadline("30s", "'{{ vars.wait }} * 2'") => "\
p.yaml:19:19: this deadline gives no span of time: with `1s` for each variable it gives `1s * 2`\n\
hint: write `{{ vars.NAME }}` or `{{ vars.NAME | plus('5m') }}`";
    a_margin_that_is_no_span: with_deadline("30s", "\"{{ vars.wait | plus('5') }}\"") => "\
p.yaml:19:19: this deadline gives no span of time: `5` is not a span of time\n\
hint: write `{{ vars.NAME }}` or `{{ vars.NAME | plus('5m') }}`";
    a_secret_in_a_deadline: with_deadline("30s", "'{{ secret(\"pw\") }}'") => "\
p.yaml:19:19: the secret `pw` is used in a deadline\n\
hint: secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
    an_unknown_key: with("rollback: redo", "rolback: redo") => "\
p.yaml:18:9: unknown key `rolback` in `stages.steps`\n\
hint: did you mean `rollback`?";
    two_steps_with_one_id: with("id: back", "id: restart") => "\
p.yaml:19:23: there are two steps `restart`\n\
hint: the first is at p.yaml:15:13";
    an_id_zdu_uses_itself: with("id: back", "id: drain") => "\
p.yaml:19:23: `drain` is the name of an act zdu adds itself";
    an_unknown_phase: with("phase: APPLY\n        run", "phase: APLY\n        run") => "\
p.yaml:16:16: there is no phase `APLY`\n\
hint: did you mean `APPLY`?";
    an_undefined_variable: with("vars.dir", "vars.dri") => "\
p.yaml:17:32: unknown name `vars.dri` in a template\n\
hint: did you mean `dir`?";
    an_undefined_name: with("vars.dir", "var.dir") => "\
p.yaml:17:32: unknown name `var` in a template\n\
hint: did you mean `vars`?";
    a_template_that_does_not_end: with("vars.dir }}", "vars.dir }") => "\
p.yaml:17:32: this is not a template: unexpected `}`, expected end of variable block";
    an_unknown_role_in_a_template: with("vars.dir", "role(\"amn\")[0].name") => "\
p.yaml:17:32: there is no role `amn`\n\
hint: did you mean `anm`?";
    an_unknown_role: with("first: [anm]", "first: [amn]") => "\
p.yaml:13:13: there is no role `amn`\n\
hint: did you mean `anm`?";
    a_bad_regular_expression: with(
        "rollback: redo",
        "rollback: redo\n        outcome: [ { output: '(a', as: failed } ]"
    ) => "\
p.yaml:19:30: this is not a regular expression: unclosed group";
    a_rule_without_a_condition: with(
        "rollback: redo",
        "rollback: redo\n        outcome: [ { as: failed } ]"
    ) => "\
p.yaml:19:26: this rule has no condition and never fits\n\
hint: give `exit`, `status`, `output` or `json`";
    a_disruptive_step_outside_a_rolling_stage: with(
        "over: rolling\n    drain_phase: APPLY\n    return_phase: APPLY\n    \
         first: [anm]\n    steps:\n      - id: restart",
        "over: nodes\n    steps:\n      - id: restart\n        disruptive: true"
    ) => "\
p.yaml:13:21: the step `restart` disturbs traffic outside a rolling stage\n\
hint: only a rolling stage drains nodes: set `over: rolling` for its stage";
    a_phase_whose_failure_would_end_with_success: with("exit: 73", "exit: 0") => "\
p.yaml:3:32: the phase `APPLY` has the exit code 0: with it zdu says that all is well\n\
hint: 70 is free";
    a_phase_with_a_code_of_zdus_own: with("exit: 73", "exit: 78") => "\
p.yaml:3:32: the phase `APPLY` has the exit code 78: with it zdu says that the configuration is \
wrong\n\
hint: 70 is free";
    a_phase_with_a_code_of_shells: with("exit: 73", "exit: 255") => "\
p.yaml:3:32: the phase `APPLY` has the exit code 255: with it shells and `ssh` say what became of \
a program\n\
hint: 70 is free";
    a_phase_with_the_code_of_a_failed_undo: with(
        "{ name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 }",
        "{ name: APPLY, exit: 75 }, { name: ROLLBACK, exit: 70 }"
    ) => "\
p.yaml:3:32: the phase `APPLY` has the exit code 75: with it zdu says that an undo failed\n\
hint: 71 is free";
    two_phases_with_one_exit_code: with("exit: 75", "exit: 73") => "\
p.yaml:3:62: the phases `APPLY` and `ROLLBACK` have one exit code, 73\n\
hint: the first is at p.yaml:3:32; 70 is free";
    a_drain_in_a_stage_that_drains_nothing: with("over: rolling", "over: nodes") => "\
p.yaml:11:18: `drain_phase` is of a rolling stage, and this one is `nodes`\n\
hint: only a rolling stage drains nodes: set `over: rolling` for its stage\n\
p.yaml:12:19: `return_phase` is of a rolling stage, and this one is `nodes`\n\
hint: only a rolling stage drains nodes: set `over: rolling` for its stage";
    a_proof_of_readiness_in_a_stage_from_which_no_node_returns: with(
        "over: rolling\n    drain_phase: APPLY\n    return_phase: APPLY\n    first: [anm]\n",
        "over: once\n    ready: [{ tcp: 'x:1' }]\n    ready_old: [{ tcp: 'x:2' }]\n"
    ) => "\
p.yaml:11:13: `ready` is of a rolling stage, and this one is `once`\n\
hint: only a rolling stage drains nodes: set `over: rolling` for its stage\n\
p.yaml:12:17: `ready_old` is of a rolling stage, and this one is `once`\n\
hint: only a rolling stage drains nodes: set `over: rolling` for its stage";
    a_rolling_stage_that_a_node_would_keep: with(
        "over: rolling\n",
        "over: rolling\n    goes_back: with_rollout\n"
    ) => "\
p.yaml:9:11: only a stage over `nodes` can go back with the rollout alone\n\
hint: what a `rolling` stage changes on a node goes back with it; what is done `once` is of none";
    a_stage_that_a_node_would_keep_behind_the_one_that_rolls: with(
        "stages:\n",
        "stages:\n  - name: first\n    over: rolling\n    drain_phase: APPLY\n    \
         return_phase: APPLY\n    steps: []\n  - name: tidy\n    over: nodes\n    \
         goes_back: with_rollout\n    steps: []\n"
    ) => "\
p.yaml:14:11: a stage behind one that rolls cannot go back with the rollout alone\n\
hint: a node is put back newest first, so nothing done after it rolled can stay: leave out \
`goes_back`, or have the stage before every `rolling` one";
    a_step_that_takes_longer_than_it_may: with(
        "rollback: redo",
        "takes: 9m\n        rollback: redo"
    ) => "\
p.yaml:18:16: `takes` is 9m and the deadline of the step 5m\n\
hint: an attempt is ended at its deadline: give it a longer one";
    a_rollback_without_an_undo: with(
        "        undo: [ { id: back, run: { argv: [back] } } ]\n",
        ""
    ) => "\
p.yaml:18:19: a rollback is promised and there is no `undo`\n\
hint: give `undo` steps, or say `rollback: none`";
    a_secret_in_an_argument: with("vars.dir", "secret(\"pw\")") => "\
p.yaml:17:32: the secret `pw` is used in an argument\n\
hint: secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
    a_secret_in_the_environment: with(
        "stdin: ",
        "env: { P: '{{ secret(\"pw\") }}' }, stdin: "
    ) => "\
p.yaml:17:61: the secret `pw` is used in the environment\n\
hint: secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
    a_secret_in_a_directory: with("stdin: ", "cwd: ") => "\
p.yaml:17:56: the secret `pw` is used in a directory\n\
hint: secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
    a_secret_in_a_url: with(
        "run: { argv: [back] }",
        "http: { url: 'http://x/{{ secret(\"pw\") }}' }"
    ) => "\
p.yaml:19:42: the secret `pw` is used in a URL\n\
hint: secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
    a_secret_in_a_default: with("default: /opt", "default: '{{ secret(\"pw\") }}'") => "\
p.yaml:5:38: the secret `pw` is used in a default\n\
hint: secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
    a_filtered_secret: with("secret(\"pw\") }}", "secret(\"pw\") | upper }}") => "\
p.yaml:17:58: `secret(...)` must stand alone in its braces\n\
hint: write `{{ secret('name') }}`, without filters: its value is not known yet";
    a_secret_function_under_another_name: with(
        "{{ secret(\"pw\") }}",
        "{% set s = secret %}{{ s(\"pw\") | trim }}"
    ) => "\
p.yaml:17:58: `secret(...)` must stand alone in its braces\n\
hint: write `{{ secret('name') }}`, without filters: its value is not known yet";
    an_undeclared_secret: with("secret(\"pw\") }}", "secret(\"pww\") }}") => "\
p.yaml:17:58: unknown name `pww` in secret()\n\
hint: did you mean `pw`?";
    a_step_with_two_actions: with("run: { argv: [back] }", "run: { argv: [back] }, shell: x") => "\
p.yaml:19:23: the step `back` has more than one action\n\
hint: exactly one of: run, shell, http, upload, backup, wait, manual";
    a_condition_in_braces: with(
        "rollback: redo",
        "rollback: redo\n        when: '{{ vars.dir }}'"
    ) => "\
p.yaml:19:15: braces in a condition\n\
hint: a condition is an expression: leave out the braces";
    a_pointer_with_dots: with(
        "run: { argv: [back] }",
        "wait: { tcp: 'x:1', want: { json: [ { pointer: result.id, value: 1 } ] } }"
    ) => "\
p.yaml:19:76: `result.id` is not a JSON pointer\n\
hint: write `/result/id`";
}
