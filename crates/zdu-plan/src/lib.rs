//! Fleet, procedure, policy and what preflight observed, to a total plan and a report about it.
//!
//! This crate decides everything that can be decided before a rollout begins: which nodes, in
//! which order and waves, with which exact commands and which compensations. It never reads a
//! clock, a file or a socket, it does not render templates itself (that is
//! [`Render`](zdu_model::render::Render)), and it knows nothing of execution.
//!
//! Start reading at [`plan`]; [`Refusal`] lists what makes a plan impossible, [`lint`] is the
//! independent check of a finished plan.
#![no_std]
extern crate alloc;

mod assume;
mod build;
mod capacity;
mod captures;
mod diff;
mod fleet_checks;
mod input;
mod lanes;
mod lint;
mod order;
mod planner;
mod preflight;
mod procedure_checks;
mod refusal;
mod refusal_words;
mod report;
mod report_text;
mod scope;
mod warning;
mod waves;
mod wording;
mod work;

pub use assume::Assumed;
pub use diff::diff;
pub use input::{Input, Observed};
pub use lint::{Finding, LintRule, lint};
pub use planner::{Planned, plan};
pub use preflight::{NodeCheck, RoleQuestion, node_checks, role_questions};
pub use refusal::{CaptureFault, Refusal, Refusals};
pub use report::{
    DrainReport, PlanReport, PointReport, StageReport, StepReport, Waiting, WaitingOn, WaveReport,
};
pub use report_text::render_text;
pub use warning::Warning;
