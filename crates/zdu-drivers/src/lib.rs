//! zdu-drivers
pub mod balancer;
