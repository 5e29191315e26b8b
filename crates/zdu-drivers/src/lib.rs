//! zdu-drivers
pub mod exec;
