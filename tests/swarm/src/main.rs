//! Plays random rollouts on every core and says which law broke with which seed; plays scripts;
//! makes a seed that breaks a law small; cuts rollouts at every record.
//!
//! `cargo xtask sim` and `cargo xtask crash` build it optimised and start it.

mod crash;
mod play;
mod say;
mod seeds;
mod small;
mod speed;

use std::process::ExitCode;

const USAGE: &str = "\
usage: zdu-swarm [--seeds N] [--seed S] [--seconds T] [--nodes N] [--fleet PATH] [--trace]
       zdu-swarm --shrink --seed S [--nodes N] [--fleet PATH]
       zdu-swarm --script PATH [--trace]
       zdu-swarm crash [--seeds N] [--seed S] [--seconds T] [--nodes N]
       zdu-swarm speed";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--script", path] => small::told(path, false),
        ["--script", path, "--trace"] => small::told(path, true),
        ["--shrink", rest @ ..] => order(rest).map_or_else(usage, |order| small::small(&order)),
        ["crash", rest @ ..] => {
            let order = order(rest).filter(|order| order.fleet.is_none());
            order.map_or_else(usage, |order| crash::crash(&order))
        }
        ["speed"] => speed::told(),
        rest => order(rest).map_or_else(usage, |order| play::play(&order)),
    }
}

fn usage() -> ExitCode {
    say::error(USAGE);
    ExitCode::from(64)
}

/// What the arguments ask for; none when one is not understood.
fn order(words: &[&str]) -> Option<play::Order> {
    let mut order = play::Order::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match *word {
            "--seeds" => order.seeds = number()?,
            "--seed" => order.first = number()?,
            "--seconds" => (order.seconds, order.seeds) = (Some(number()?), u64::MAX),
            "--nodes" => order.nodes = Some(number()?),
            "--fleet" => order.fleet = Some((*words.next()?).to_owned()),
            "--trace" => order.trace = true,
            _ => return None,
        }
    }
    Some(order)
}
