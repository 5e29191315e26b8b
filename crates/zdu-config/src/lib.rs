//! Text to a validated model: `zdu.yaml` and procedures become the types of `zdu-model`, or a list
//! of everything that is wrong with them, each with file, line, column and, where one can be
//! named, the fix.
//!
//! This crate never reads a clock or a socket, and reads files only through [`Files`]. Start
//! reading at [`load`]: `tree` (YAML with places), `check` (against the schema of the raw types),
//! `decode` (to the raw types), then `fleet`, `procedure` and `policy` (to the model).

mod check;
mod deadline;
mod decode;
mod diagnostic;
mod fleet;
mod front;
pub mod import;
mod load;
mod policy;
mod procedure;
mod raw;
mod raw_procedure;
mod scan;
mod template;
mod tree;
mod values;

pub use diagnostic::{Diagnostic, Severity, nearest};
pub use load::{Config, Disk, Files, load, parse_procedure, procedure_schema, schema};
pub use template::{TemplateError, Templates};

/// The procedures that come with zdu: name and text.
#[must_use]
pub fn builtin_procedures() -> &'static [(&'static str, &'static str)] {
    &[("axway-apigateway", include_str!("../../../procedures/axway-apigateway.yaml"))]
}

/// The configuration of the three-node reference topology of the Axway upgrade guide.
#[must_use]
pub fn reference_config() -> &'static str {
    include_str!("../../../examples/axway-reference.yaml")
}
