//! Whole rollouts of a toy machine: crashes, failing disks, rival controllers.

mod controllers;
mod crash;
mod faults;
mod toy;
