//! The stand-in for Axway API Gateway, used the way an operator or an orchestrator uses the real
//! tools: wrapper scripts, exit codes, texts, HTTP. One module per subject.

mod apply;
mod export;
mod failures;
mod fleet;
mod management;
mod processes;
mod rerun;
mod upgrade;
mod whole_upgrade;
