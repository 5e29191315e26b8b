//! What comes out of a node's shell: streams cut by a mark, the supervisor's words, the kernel's
//! socket tables, a hook's state.

use zdu_drivers::balancer::hook::parse_state;
use zdu_drivers::exec::sockets::count_established;
use zdu_drivers::foreign::{channel_reply, supervisor_list, supervisor_poll};

/// Stands for the random word; a seed may know it, a node cannot.
const WORD: &str = "0123456789abcdef";

/// All of them read the same bytes: which of them a seed is for is told by how it begins.
pub fn node(bytes: &[u8]) -> bool {
    let framed = stream(bytes);
    let told = poll(bytes) || list(bytes);
    let text = String::from_utf8_lossy(bytes);
    let counted = count_established(&text, &[8080, 443]);
    if let Ok(counts) = &counted {
        assert_eq!(counts.len(), 2, "every port has an entry");
        for connections in counts.values() {
            assert_eq!(connections.count, connections.remotes.values().sum::<usize>());
            assert!(connections.count <= text.lines().count());
        }
    }
    let state = parse_state(bytes);
    if let Err(error) = &state {
        assert!(!error.to_string().is_empty());
    }
    framed || told || counted.is_ok() || state.is_ok()
}

/// A stream means the same however its bytes arrive.
fn stream(bytes: &[u8]) -> bool {
    let whole = channel_reply(WORD, &[bytes]);
    for size in [1, 2, 7, 31] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        assert_eq!(channel_reply(WORD, &pieces), whole, "in pieces of {size}");
    }
    let framed = [bytes, b"\n", WORD.as_bytes(), b" 7\n"].concat();
    let read = channel_reply(WORD, &[&framed]).expect("the mark is there");
    if whole.is_none() && !bytes.windows(WORD.len()).any(|part| part == WORD.as_bytes()) {
        assert_eq!(read, (7, bytes.to_vec()), "every byte before the mark, and no other");
    }
    whole.is_some()
}

fn poll(bytes: &[u8]) -> bool {
    let Ok(poll) = supervisor_poll(bytes, WORD) else { return false };
    let line = bytes.iter().position(|byte| *byte == b'\n').expect("it has a first line");
    let parts = [&bytes[..=line], &poll.stdout, WORD.as_bytes(), &poll.stderr].concat();
    assert_eq!(parts, bytes, "no byte of the output is lost or made up");
    true
}

/// A record that is listed is found again by its name.
fn list(bytes: &[u8]) -> bool {
    let Ok(entries) = supervisor_list(bytes) else { return false };
    let text = String::from_utf8_lossy(bytes);
    for ((_, _, path), line) in entries.iter().zip(text.lines().skip(1)) {
        let (rollout, rest) = line.split_once(' ').expect("it was read");
        let (step, _) = rest.split_once(' ').expect("it was read");
        assert_eq!(*path, format!("{rollout}/{step}"), "a record goes by another name");
    }
    true
}
