//! May this node be taken out? Law 1, from a live reading of every balancer instance.
//!
//! The reading is some milliseconds old when the drain lands. Another hand can take a node out in
//! between; nothing short of a lock inside the balancer excludes that. It is tolerated because
//! the engine lets only one node of a group pass from guard to drain at a time, so that we never
//! race ourselves, and the next guard sees what others did.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use zdu_model::fleet::{Fleet, Group};
use zdu_model::ids::NodeName;
use zdu_model::report::{End, Evidence, InstanceReading, MemberState, Report};

/// What the guard's reading means: the report as it stands when the node may go out, or with an
/// ending that says why it must wait or cannot.
pub(crate) fn judge(fleet: &Fleet, group: &Group, node: &NodeName, report: Report) -> Report {
    if !matches!(report.end, End::Done) {
        return report;
    }
    let Evidence::Balancers(readings) = &report.evidence else {
        return Report { end: End::NotMet("the guard read no balancer".into()), ..report };
    };
    // Where the node is no member it takes nothing away.
    let members = fleet.node(node).map(|node| node.members.as_slice()).unwrap_or_default();
    let here = |reading: &&InstanceReading| {
        members.iter().any(|member| member.balancer == reading.balancer)
    };
    let objection =
        readings.iter().filter(here).find_map(|reading| objection(group, node, reading));
    let report = kept(node, report);
    match objection {
        Some(end) => Report { end, ..report },
        None => report,
    }
}

/// What the journal keeps of a reading: the node's own members, which an undrain mirrors, and those
/// of others that did not serve. Whoever is not listed served; written down whole for each of its
/// nodes, a group of some thousand would fill the disk.
fn kept(node: &NodeName, mut report: Report) -> Report {
    if let Evidence::Balancers(readings) = &mut report.evidence {
        for reading in readings {
            reading.members.retain(|m| m.node == *node || m.state != MemberState::Serving);
        }
    }
    report
}

fn objection(group: &Group, node: &NodeName, reading: &InstanceReading) -> Option<End> {
    let InstanceReading { balancer: _, instance, error, members } = reading;
    if let Some(error) = error {
        return Some(End::Waiting(format!("balancer instance {instance} cannot be read: {error}")));
    }
    let absent = members.iter().find(|m| m.node == *node && m.state == MemberState::Absent);
    if let Some(absent) = absent {
        return Some(End::NotMet(format!("{instance} has no member {}", absent.member)));
    }
    let serving = serving_nodes(reading, node);
    let others = group.nodes.iter().filter(|other| other.name != *node);
    // A node without members serves in no balancer we can see; it must not count as serving.
    let count = others.filter(|other| serving.contains(&other.name)).count();
    let wanted = usize::try_from(group.min_available).unwrap_or(usize::MAX);
    (count < wanted).then(|| End::Waiting(explain(group, node, reading, count)))
}

/// Nodes all of whose members serve on this instance.
fn serving_nodes<'r>(reading: &'r InstanceReading, except: &NodeName) -> BTreeSet<&'r NodeName> {
    let of = |serves: bool| {
        let members = reading.members.iter();
        members
            .filter(move |m| (m.state == MemberState::Serving) == serves && m.node != *except)
            .map(|m| &m.node)
            .collect::<BTreeSet<_>>()
    };
    let mut serving = of(true);
    for not in of(false) {
        serving.remove(not);
    }
    serving
}

fn explain(group: &Group, node: &NodeName, reading: &InstanceReading, count: usize) -> String {
    let text = format!(
        "without {node} only {count} of group {} would serve on {}, min_available is {}",
        group.name, reading.instance, group.min_available
    );
    let sick = reading.members.iter().filter(|m| m.state != MemberState::Serving);
    let sick = sick.filter(|m| m.node != *node);
    sick.fold(text, |text, m| format!("{text}; {} is {}", m.member.server, m.detail))
}
