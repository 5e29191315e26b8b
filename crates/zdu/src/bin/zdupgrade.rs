//! The `zdupgrade` binary: the command line of the Axway source document.

use std::process::ExitCode;

fn main() -> ExitCode {
    zdu::zdupgrade::main(std::env::args_os())
}
