//! The `zdu` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    zdu::commands::main(std::env::args_os())
}
