//! How far an act over several balancer instances has come: what becomes of it when it may no
//! longer begin, or go on.

use crate::report::End;

/// How far a drain or an undrain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No instance has taken anything.
    Nowhere,
    /// An instance was asked and did not say what it made of it.
    Perhaps,
    /// Some instance has taken it.
    Landed,
}

impl Reach {
    /// The end of an act that may no longer begin, or go on: what it goes by (the capacity of a
    /// group, readiness) is of another time, also where a part of it has landed.
    #[must_use]
    pub fn withdrawn(self) -> End {
        match self {
            Self::Nowhere => End::Never,
            Self::Perhaps => {
                let why = "no balancer said that it took it, and it may no longer begin";
                End::Unreachable(why.into())
            }
            Self::Landed => {
                let why = "some balancers took it, and it may no longer go on";
                End::Unreachable(why.into())
            }
        }
    }
}
