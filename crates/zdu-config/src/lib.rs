//! zdu-config
