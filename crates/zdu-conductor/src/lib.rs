//! zdu-conductor
