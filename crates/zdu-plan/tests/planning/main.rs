//! What the planner promises, as sentences.

mod fixture;
mod goldens;
mod lints;
mod properties;
mod refusals;
mod reports;
