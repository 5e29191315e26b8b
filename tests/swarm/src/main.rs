//! Plays random rollouts on every core and says which law broke with which seed.
//!
//! `cargo xtask sim` builds it optimised and starts it.

mod examples;
mod play;
mod say;

use std::process::ExitCode;

const USAGE: &str = "usage: zdu-swarm [--seeds N] [--seed S] [--seconds T] [--nodes N] [--trace]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match order(&args) {
        Some(order) => play::play(&order),
        None => {
            say::error(USAGE);
            ExitCode::from(64)
        }
    }
}

/// What the arguments ask for; none when one is not understood.
fn order(words: &[String]) -> Option<play::Order> {
    let mut order =
        play::Order { seeds: 1_000, first: 1, seconds: None, nodes: None, trace: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--seeds" => order.seeds = number()?,
            "--seed" => order.first = number()?,
            "--seconds" => (order.seconds, order.seeds) = (Some(number()?), u64::MAX),
            "--nodes" => order.nodes = Some(number()?),
            "--trace" => order.trace = true,
            _ => return None,
        }
    }
    Some(order)
}
