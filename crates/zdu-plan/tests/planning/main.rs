//! What the planner promises, as sentences.

mod captures;
mod differences;
mod fixture;
mod goldens;
mod lints;
mod properties;
mod questions;
mod refusals;
mod reports;
mod roles;
