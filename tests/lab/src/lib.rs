//! zdu-lab
