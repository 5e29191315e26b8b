//! Plays on every core, and says how far it is when that takes long.

use crate::printer::Printer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use zdu_sim::rehearse::{Ending, Part, Play};

/// After how long progress is said, and how often from then on.
const LONG: Duration = Duration::from_secs(5);

/// Plays all, and answers in the order given.
pub(crate) fn play(
    printer: Printer,
    part: Part,
    plays: &[Play],
    play: &(dyn Fn(&Play) -> Ending + Sync),
) -> Vec<Ending> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(plays.len());
    let next = AtomicUsize::new(0);
    let (told, endings) = mpsc::channel();
    let work = |told: mpsc::Sender<(usize, Ending)>| {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = plays.get(at) else { return };
            if told.send((at, play(one))).is_err() {
                return;
            }
        }
    };
    let mut all: Vec<Option<Ending>> = vec![None; plays.len()];
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (told, work) = (told.clone(), &work);
            scope.spawn(move || work(told));
        }
        drop(told);
        let mut said = Instant::now();
        for (done, (at, ending)) in endings.iter().enumerate() {
            all[at] = Some(ending);
            if said.elapsed() >= LONG {
                said = Instant::now();
                printer.note(&format!("{} {} of {}", word(part), done + 1, plays.len()));
            }
        }
    });
    all.into_iter().flatten().collect()
}

fn word(part: Part) -> &'static str {
    match part {
        Part::Failures => "single failures:",
        Part::Kills => "kills of the controller:",
        Part::Pairs => "pairs of failures:",
        Part::Resumes => "resumed after a repair:",
    }
}
