//! stub
mod demo;
fn main() {}
