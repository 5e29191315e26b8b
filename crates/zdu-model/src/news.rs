//! News that unsettle what was decided and has not begun (laws 1 to 3). Whoever carries effects
//! out counts them: an effect goes by what the engine had heard when it decided, and what was told
//! to it since is news.

use crate::ids::NodeName;
use alloc::collections::BTreeMap;

/// What a piece of news is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// A node that is out was seen in traffic.
    Node(&'a NodeName),
    /// An instance came or went, and with it what it held of any node.
    Instances,
}

/// What one controller was told, and what its engine has heard of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    told: Counts,
    heard: Counts,
    gaps: u64,
}

/// What an engine had heard when it decided on an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    news: u64,
    gaps: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    instances: u64,
    nodes: BTreeMap<NodeName, u64>,
}

impl Counts {
    fn count(&mut self, about: About<'_>) {
        match about {
            About::Node(node) => *self.nodes.entry(node.clone()).or_default() += 1,
            About::Instances => self.instances += 1,
        }
    }

    fn about(&self, node: Option<&NodeName>) -> u64 {
        self.instances + node.and_then(|node| self.nodes.get(node)).copied().unwrap_or_default()
    }
}

impl News {
    /// Something is on its way to the engine.
    pub fn told(&mut self, about: About<'_>) {
        self.told.count(about);
    }

    /// The engine has it, and decides with it.
    pub fn heard(&mut self, about: About<'_>) {
        self.heard.count(about);
    }

    /// The engine has heard of so many times in which its controller stood still.
    pub fn heard_gaps(&mut self, gaps: u64) {
        self.gaps = gaps;
    }

    /// Of how many such times it has heard.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// What the engine knows now that could unsettle something about a node.
    #[must_use]
    pub fn known(&self, node: Option<&NodeName>) -> Known {
        Known { news: self.heard.about(node), gaps: self.gaps }
    }

    /// Whether nothing was told about the node's drain beyond what was known.
    #[must_use]
    pub fn holds(&self, node: Option<&NodeName>, known: Known) -> bool {
        // News can be heard before it is counted as told.
        self.told.about(node) <= known.news
    }
}

impl Known {
    /// Whether the controller did not stand still since, which did so `gaps` times until now.
    #[must_use]
    pub fn watched(self, gaps: u64) -> bool {
        self.gaps == gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_of_one_node_unsettles_no_other() {
        let (a, b) = (NodeName::new("a").unwrap(), NodeName::new("b").unwrap());
        let mut news = News::default();
        let (of_a, of_b) = (news.known(Some(&a)), news.known(Some(&b)));
        news.told(About::Node(&a));
        assert!(!news.holds(Some(&a), of_a));
        assert!(news.holds(Some(&b), of_b));
        news.told(About::Instances);
        assert!(!news.holds(Some(&b), of_b));
    }
}
