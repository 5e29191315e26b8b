use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

/// Answers like a balancer whose commands work, and keeps what it was asked to run.
struct Recorder {
    state: Mutex<String>,
    ran: Mutex<Vec<Vec<String>>>,
}

impl Runner for Recorder {
    fn run<'a>(&'a self, argv: &'a [String], _: Duration) -> BoxFuture<'a, Result<Ran, String>> {
        self.ran.lock().unwrap().push(argv.to_vec());
        let mut state = self.state.lock().unwrap();
        let (exit, stdout) = match argv.first().map(String::as_str) {
            Some("on") => (0, std::mem::replace(&mut *state, "state=serving".to_owned())),
            Some("off") => {
                (0, std::mem::replace(&mut *state, "state=draining sessions=2".to_owned()))
            }
            Some("show") => (0, state.clone()),
            Some("refuse") => (3, String::new()),
            _ => return Box::pin(async { Err("no such program".to_owned()) }),
        };
        let ran = Ran { exit, stdout: stdout.into_bytes(), stderr: b"because\n".to_vec() };
        Box::pin(async move { Ok(ran) })
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn hook(enable: &str, disable: &str, state: &str) -> (Arc<Recorder>, Hook) {
    let recorder = Arc::new(Recorder {
        state: Mutex::new("state=serving sessions=5".to_owned()),
        ran: Mutex::new(Vec::new()),
    });
    let commands = Commands { enable: words(enable), disable: words(disable), state: words(state) };
    let runner: Arc<dyn Runner> = Arc::<Recorder>::clone(&recorder);
    (recorder, Hook::new("h", commands, runner, Duration::from_secs(1)))
}

#[test]
fn a_state_is_read_from_words_and_from_json() {
    let words = parse_state(b"state=draining\nsessions=3 idle=1 colour=blue\n").unwrap();
    let json = parse_state(br#"{"state":"draining","sessions":3,"idle":1,"x":[1]}"#).unwrap();
    assert_eq!(words, json);
    assert_eq!(words.state, PrintedState::Draining);
    assert_eq!((words.sessions, words.queued, words.idle), (Some(3), None, Some(1)));
    let with_process = parse_state(b"state=out pid=7 started=100").unwrap();
    assert_eq!(with_process.identity.map(|identity| identity.pid), Some(7));
}

#[test]
fn an_unknown_state_or_number_is_an_error_and_no_guess() {
    for output in
        ["", "state=maybe", "sessions=1", "state=out sessions=many", "serving", "{\"state\":", "[]"]
    {
        assert!(parse_state(output.as_bytes()).is_err(), "{output:?}");
    }
    assert!(parse_state(b"state=out \xff").is_err());
}

#[tokio::test]
async fn a_hook_drains_and_goes_back_with_the_members_names_in_its_arguments() {
    let (recorder, hook) = hook("on {backend}/{server}", "off --server={server}", "show");
    // A name that looks like a placeholder is not replaced a second time.
    let member = MemberName::new("{server}", "a");
    let before = BalancerInstance::look(&hook, &member).await.unwrap();
    assert_eq!(before.hold, Hold::Ready);
    BalancerInstance::hold(&hook, &member, before.hold_while_out()).await.unwrap();
    let members = [member];
    let observation = hook.observe(&members).await.unwrap();
    let reading = observation.members.first().unwrap().1.clone().unwrap();
    assert_eq!((reading.state, reading.sessions), (MemberState::Draining, Some(2)));
    let undone = hook.undrain(&before).await.unwrap();
    assert_eq!(undone.state_set, Some(Hold::Ready));
    let ran = recorder.ran.lock().unwrap().clone();
    assert!(ran.contains(&words("off --server=a")), "{ran:?}");
    assert!(ran.contains(&words("on {server}/a")), "{ran:?}");
}

#[tokio::test]
async fn a_hook_command_that_fails_keeps_its_exit_status_and_stderr() {
    let (_, hook) = hook("on", "refuse", "show");
    let result = hook.hold(&MemberName::new("b", "a"), Hold::Drain).await;
    let failed =
        HookError::Failed { command: "disable".to_owned(), exit: 3, stderr: "because".to_owned() };
    assert_eq!(result, Err(InstanceError::Hook(failed)));
}

proptest! {
    #[test]
    fn no_output_of_a_hook_can_panic(output in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse_state(&output));
    }
}
