//! What `zdu rehearse` needs beside the simulator: threads with progress, and its texts.

mod alike;
pub(crate) mod matrix;
pub(crate) mod pool;
pub(crate) mod story;
pub(crate) mod text;
pub(crate) mod verdict;
mod wrap;
