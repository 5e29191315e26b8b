//! Configurations made from what other tools know.
