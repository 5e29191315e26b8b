//! What must hold of everything that reads bytes zdu did not write.
//!
//! Each target takes any bytes, says whether what it tries took them for what it reads, and panics
//! when something does not hold. The test beside this
//! runs all of them over their seeds and over seeds with small changes; libFuzzer does the same
//! for as long as it is let (`fuzz/`, a workspace of its own, because it is built with other flags
//! and needs other tools). Start reading at [`TARGETS`].

mod configuration;
mod haproxy;
mod haproxy_file;
mod inventory;
mod journal;
mod node;
mod plan_file;
mod procedure;
mod templates;

pub use configuration::configuration;
pub use haproxy::haproxy;
pub use haproxy_file::haproxy_file;
pub use inventory::inventory;
pub use journal::journal;
pub use node::node;
pub use plan_file::plan_file;
pub use procedure::procedure;
pub use templates::templates;

/// A reader of foreign bytes, and what must hold of it.
pub type Target = fn(&[u8]) -> bool;

/// Every target by the name of its seeds' directory.
pub const TARGETS: [(&str, Target); 9] = [
    ("configuration", configuration),
    ("haproxy", haproxy),
    ("haproxy_file", haproxy_file),
    ("inventory", inventory),
    ("journal", journal),
    ("node", node),
    ("plan_file", plan_file),
    ("procedure", procedure),
    ("templates", templates),
];
