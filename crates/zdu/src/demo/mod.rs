//! The pieces of `zdu demo`: the reference configuration on this machine, with nothing installed.
//!
//! [`fleet`] lays out three stand-in gateways and starts them, [`balancer`] is a small reverse
//! proxy that answers HAProxy's runtime API, [`traffic`] asks through it without a retry and
//! counts, [`directory`] is where all of it lies. Nothing here decides about a node: the rollout
//! that runs over these pieces is the same as for any other fleet, with the same drivers.

pub(crate) mod balancer;
pub(crate) mod directory;
pub(crate) mod fleet;
pub(crate) mod traffic;
