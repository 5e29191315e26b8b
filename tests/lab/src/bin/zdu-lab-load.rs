//! The load client of the lab; see `zdu_lab::load`.

use std::process::ExitCode;

fn main() -> ExitCode {
    zdu_lab::load::main(std::env::args().skip(1))
}
