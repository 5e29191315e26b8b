//! Plans for the simulator, from files: what the swarm and the scenarios share.

mod plans;

pub use plans::{examples, plan_of, plan_of_text, root};
