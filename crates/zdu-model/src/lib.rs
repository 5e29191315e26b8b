//! zdu-model
#![no_std]
extern crate alloc;
