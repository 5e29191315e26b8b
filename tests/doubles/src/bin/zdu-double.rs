//! The stand-ins as a program of their own: `zdu-double TOOL INSTALL_DIR ARGS..`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = zdu_doubles::main(std::env::args_os().skip(1).collect());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
