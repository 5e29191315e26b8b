//! The small application the lab upgrades; see `zdu_lab::app`.

use std::process::ExitCode;

fn main() -> ExitCode {
    zdu_lab::app::main(std::env::args().skip(1))
}
