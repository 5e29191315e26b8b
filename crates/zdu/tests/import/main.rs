//! `zdu init --from`: what other tools know becomes a configuration that `zdu check` accepts, and
//! what they could not know is said.

mod ansible;
mod ansible_refused;
mod haproxy;
mod haproxy_real;
mod place;
