//! zdu-view
