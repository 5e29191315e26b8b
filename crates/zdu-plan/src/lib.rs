//! zdu-plan
#![no_std]
extern crate alloc;
