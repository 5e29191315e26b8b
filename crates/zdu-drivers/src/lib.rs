//! zdu-drivers
