//! May this node be taken out? Law 1, from a live reading of every balancer instance.
//!
//! The reading is some milliseconds old when the drain lands. Another hand can take a node out in
//! between; nothing short of a lock inside the balancer excludes that. It is tolerated because
//! the engine lets only one node of a group pass from guard to drain at a time, so that we never
//! race ourselves, and the next guard sees what others did.

use crate::state::Rollout;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use zdu_model::fleet::Group;
use zdu_model::ids::NodeName;
use zdu_model::report::{End, Evidence, InstanceReading, MemberReading, MemberState, Report};

impl Rollout {
    /// What the guard's reading means: the report as it stands when the node may go out, or with an
    /// ending that says why it must wait or cannot.
    pub(crate) fn judge(&self, group: &Group, node: &NodeName, report: &Report) -> Report {
        if !matches!(report.end, End::Done) {
            return report.clone();
        }
        let Evidence::Balancers(readings) = &report.evidence else {
            let end = End::NotMet("the guard read no balancer".into());
            return Report { end, ..report.clone() };
        };
        // Where the node is no member it takes nothing away.
        let declared = self.places.node(&self.plan, node);
        let members = declared.map(|node| node.members.as_slice()).unwrap_or_default();
        let here = |reading: &&InstanceReading| {
            members.iter().any(|member| member.balancer == reading.balancer)
        };
        let objection =
            readings.iter().filter(here).find_map(|reading| self.objection(group, node, reading));
        let Report { end, matched, tail, output_bytes, captured, evidence: _ } = report;
        Report {
            end: objection.unwrap_or_else(|| end.clone()),
            matched: matched.clone(),
            tail: tail.clone(),
            output_bytes: *output_bytes,
            captured: captured.clone(),
            evidence: Evidence::Balancers(readings.iter().map(|read| kept(node, read)).collect()),
        }
    }

    fn objection(&self, group: &Group, node: &NodeName, reading: &InstanceReading) -> Option<End> {
        let InstanceReading { balancer: _, instance, error, members } = reading;
        if let Some(error) = error {
            let why = format!("balancer instance {instance} cannot be read: {error}");
            return Some(End::Waiting(why));
        }
        let absent = members.iter().find(|m| m.node == *node && m.state == MemberState::Absent);
        if let Some(absent) = absent {
            return Some(End::NotMet(format!("{instance} has no member {}", absent.member)));
        }
        let wanted = usize::try_from(group.min_available).unwrap_or(usize::MAX);
        let count = self.others_serving(group, node, members, wanted);
        (count < wanted).then(|| End::Waiting(self.explain(group, node, reading, count)))
    }

    /// How many other nodes of the group have members here of which all serve, counted up to
    /// `wanted`: the rest of a group of some thousand need not be looked at. A node without members
    /// serves in no balancer we can see; it does not count. Nor does one that we hold out: a reload
    /// that forgot the drain shows it in traffic until that is put back.
    fn others_serving(
        &self,
        group: &Group,
        node: &NodeName,
        members: &[MemberReading],
        wanted: usize,
    ) -> usize {
        let serves = |m: &&MemberReading| m.state == MemberState::Serving;
        let halved: BTreeSet<&NodeName> =
            members.iter().filter(|m| !serves(m)).map(|m| &m.node).collect();
        let whole = members.iter().filter(serves).map(|m| &m.node).filter(|other| {
            *other != node
                && !halved.contains(other)
                && !self.out.contains(*other)
                && self.places.stands_in(&self.plan, other, group)
        });
        let mut serving: BTreeSet<&NodeName> = BTreeSet::new();
        for other in whole {
            if serving.len() >= wanted {
                break;
            }
            serving.insert(other);
        }
        serving.len()
    }

    fn explain(
        &self,
        group: &Group,
        node: &NodeName,
        reading: &InstanceReading,
        count: usize,
    ) -> String {
        let text = format!(
            "without {node} only {count} of group {} would serve on {}, min_available is {}",
            group.name, reading.instance, group.min_available
        );
        let others = reading.members.iter().filter(|m| m.node != *node);
        others.fold(text, |text, m| match m.state {
            MemberState::Serving if self.out.contains(&m.node) => {
                format!("{text}; {} is to be out and shows {}", m.member.server, m.detail)
            }
            MemberState::Serving => text,
            MemberState::ZeroWeight
            | MemberState::Draining
            | MemberState::Maintenance
            | MemberState::Down
            | MemberState::Absent
            | MemberState::Unclear => format!("{text}; {} is {}", m.member.server, m.detail),
        })
    }
}

/// What the journal keeps of a reading: the node's own members, which an undrain mirrors, and those
/// of others that did not serve. Whoever is not listed served; written down whole for each of its
/// nodes, a group of some thousand would fill the disk.
fn kept(node: &NodeName, reading: &InstanceReading) -> InstanceReading {
    let InstanceReading { balancer, instance, error, members } = reading;
    let kept = members.iter().filter(|m| m.node == *node || m.state != MemberState::Serving);
    InstanceReading {
        balancer: balancer.clone(),
        instance: instance.clone(),
        error: error.clone(),
        members: kept.cloned().collect(),
    }
}
