//! zdu-runtime
