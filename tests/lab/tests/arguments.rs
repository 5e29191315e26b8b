//! Words of a procedure reach the program on the node as they are, whatever is in them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{NODES, Rig, RigSpec, tell};

/// Each is one argument.
const ODD: [&str; 16] = [
    "plain",
    "",
    "two words",
    "  blanks around  ",
    "it's \"quoted\"",
    "$HOME ${PATH} $(id) `id`",
    "back\\slash \\n \\",
    "first\nsecond\n",
    "\ttab\r",
    "-rf",
    "--",
    "--flag=value with blank",
    "*?[a-z]{1,2}~",
    "!history #comment ; | & < >",
    "Grüße, 日本語, 🙂",
    "%s %d 100%",
];

/// Writes down what it was called with: every word ended by a zero byte, which no word can hold.
const RECORDER: &str = "#!/bin/sh
printf '%s\\0' \"$@\" >\"/root/recorded\"
printf '%s\\0' \"$ODD\" \"$PWD\" >>/root/recorded
cat >>/root/recorded
";

#[test]
fn odd_arguments_environment_directory_and_input_reach_the_program_unchanged() {
    need_lab!();
    let rig = Rig::up("argv", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let directory = "/root/a dir'with \"quotes\" $x é";
    for node in NODES {
        let host = rig.lab().host(node);
        host.write("/root/record it.sh", RECORDER).expect("it can be written");
        host.write(&format!("{directory}/keep"), "").expect("it can be written");
        let path = host.path("/root/record it.sh").expect("the host is on");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is a file");
    }
    let names: Vec<String> = (0..ODD.len()).map(|number| format!("odd{number}")).collect();
    let declared: String =
        names.iter().map(|name| format!("  {name}: {{ help: an odd word }}\n")).collect();
    let argv: String = names.iter().map(|name| format!(", \"{{{{ vars.{name} }}}}\"")).collect();
    let procedure = format!(
        "name: recorder
summary: calls a program that writes down what it was called with
phases: [{{ name: WORK, exit: 71 }}, {{ name: UNDO, exit: 75 }}]
rollback_phase: UNDO
roles: {{ anm: {{ help: has the Admin Node Manager }} }}
vars:
  directory: {{ help: where it runs }}
{declared}
stages:
  - name: work
    over: nodes
    steps:
      - id: record
        phase: WORK
        rollback: none
        unknown: hold
        run:
          argv: [\"/root/record it.sh\"{argv}]
          cwd: \"{{{{ vars.directory }}}}\"
          env: {{ ODD: \"{{{{ vars.odd5 }}}}\" }}
          stdin: \"{{{{ vars.odd7 }}}}{{{{ vars.odd14 }}}}\"
        deadline: 1m
"
    );
    let mut vars: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(ODD).collect();
    vars.push(("directory", directory));
    let case = rig.case("argv").expect("files can be written");
    case.use_procedure(&procedure, &vars, &[]).expect("files can be written");
    case.reconfigure("  soak: 200ms\n", "  soak: 200ms\n  accept_no_undo: [record]\n")
        .expect("the policy is there");

    case.run().expect("zdu ends").ended(0);

    let mut expected: Vec<String> = ODD.iter().map(|word| format!("{word}\0")).collect();
    expected.push(format!("{}\0{directory}\0{}{}", ODD[5], ODD[7], ODD[14]));
    for node in NODES {
        let recorded = rig.lab().host(node).read("/root/recorded").expect("it was called");
        assert_eq!(recorded, expected.concat(), "on {node}");
    }
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    tell(format_args!("{} odd words reached 3 nodes unchanged", ODD.len()));
}
