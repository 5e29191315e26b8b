//! The report as Markdown: the same facts as the JSON, for the change ticket and the mail.

use crate::front::{FrontReport, Latency, WayReport};
use crate::moment::span;
use crate::report::{
    AttemptReport, CertificateReport, NodeReport, RolloutReport, Said, SampleReport,
};
use std::fmt::Write;
use zdu_model::time::Millis;

/// The report as Markdown, ending with a newline. Sections without facts are left out.
#[must_use]
pub fn markdown(report: &RolloutReport) -> String {
    let mut page = Page(String::new());
    head(&mut page, report);
    page.list("What to do next", report.next.iter().map(|line| format!("`{}`", code(line))));
    page.section("Summary");
    page.0.push_str("```text\n");
    page.0.push_str(&report.summary);
    page.0.push_str("```\n");
    report.fronts.iter().for_each(|front| one_front(&mut page, front));
    for node in &report.nodes {
        one_node(&mut page, node);
    }
    page.attempts("Fleet-wide steps and gates", &report.fleet);
    course(&mut page, report);
    times(&mut page, report);
    page.0
}

fn head(page: &mut Page, report: &RolloutReport) {
    let (ran, outcome) = (&report.rollout, &report.outcome);
    let absent = || "-".to_owned();
    let id = ran.id.clone().unwrap_or_else(absent);
    page.line(&format!("# Rollout {}: {}", text(&id), outcome.status));
    page.line("");
    let exit = outcome.exit.map_or_else(absent, |exit| exit.to_string());
    let facts = [
        ("Verdict", text(&outcome.verdict)),
        ("Exit code", exit),
        ("Procedure", format!("{} ({})", ran.procedure, short(&ran.procedure_digest))),
        ("Releases", format!("{} -> {}", text(&ran.from), text(&ran.to))),
        ("Fleet", ran.fleet.clone()),
        ("Started by", text(&ran.by.clone().unwrap_or_else(absent))),
        ("Started", ran.started.clone().unwrap_or_else(absent)),
        ("Ended", ran.ended.clone().unwrap_or_else(absent)),
        ("Duration", span(Millis(ran.took_ms))),
        ("Plan", format!("`{}`", ran.plan.clone().unwrap_or_else(absent))),
        ("Journal", journal(report)),
        ("Planned by", format!("zdu {}", text(&ran.tool))),
    ];
    page.line("| | |");
    page.line("|---|---|");
    for (what, fact) in facts {
        page.line(&format!("| {what} | {fact} |"));
    }
}

fn journal(report: &RolloutReport) -> String {
    let journal = &report.journal;
    let digest = journal.digest.as_deref().unwrap_or("not given");
    let skipped = match journal.skipped {
        0 => String::new(),
        count => format!(", {count} records not understood"),
    };
    format!("record {}, head `{digest}`{skipped}", journal.seq)
}

/// What users saw: the proof, and its limits.
fn one_front(page: &mut Page, front: &FrontReport) {
    page.section(&format!("What users saw at {}", text(&front.url)));
    let absent = "-".to_owned();
    let (since, until) = (front.since.as_ref(), front.until.as_ref());
    page.line(&format!(
        "Watched from {} to {}.",
        since.unwrap_or(&absent),
        until.unwrap_or(&absent)
    ));
    page.line("");
    page.line(
        "| Connections | Sent | Failed | Not sent | Late | Longest gap | Before | During | After |",
    );
    page.line("|---|---|---|---|---|---|---|---|---|");
    let latency = |latency: &Option<Latency>| {
        latency.map_or_else(|| "-".into(), |l| format!("{} / {} ms", l.p50_ms, l.p99_ms))
    };
    for way in &front.ways {
        let WayReport { sent, failed, unsent, late, longest_gap_ms, .. } = way;
        let times = [&way.before, &way.during, &way.after].map(latency).join(" | ");
        page.line(&format!(
            "| {} | {sent} | {failed} | {unsent} | {late} | {} | {times} |",
            way.way,
            span(Millis(*longest_gap_ms))
        ));
    }
    page.line("");
    page.line(&format!("Times are the median and the 99th percentile. {}", text(&front.unseen)));
    page.line("");
    let lists = [("failed", &front.failures), ("release", &front.versions), ("hole", &front.holes)];
    for (what, list) in lists {
        list.iter().for_each(|line| page.line(&format!("- {what}: {}", text(line))));
    }
    if front.more_failures > 0 {
        page.line(&format!("- failed: {} more requests", front.more_failures));
    }
}

fn one_node(page: &mut Page, node: &NodeReport) {
    let version = node.version.as_deref().map_or_else(String::new, |v| format!(", runs {v}"));
    page.section(&format!("Node {} ({}{})", node.node, node.state, text(&version)));
    if let Some(stuck) = &node.stuck {
        page.line(&format!("Stuck: {}", text(stuck)));
        page.line("");
    }
    page.attempt_table(&node.timeline);
    for certificate in &node.certificates {
        page.line("");
        page.line(&format!("- {}", certified(certificate)));
        for sample in &certificate.samples {
            page.line(&format!("  - {}", sampled(sample)));
        }
    }
    for drift in &node.drifts {
        let then = if drift.reasserted { "put back at once" } else { "not put back yet" };
        let what = format!("{} on {} was {}", drift.member, drift.instance, drift.seen);
        page.line(&format!("- {} drift: {}; {then}", drift.at, text(&what)));
    }
}

fn certified(certificate: &CertificateReport) -> String {
    let sockets = certificate.node_connections.map_or_else(
        || "the node's own connections could not be read".to_owned(),
        |count| format!("{count} connections on the node"),
    );
    let lost = certificate.lost.as_ref();
    let lost = lost.map_or_else(String::new, |at| format!("; cancelled by a drift at {at}"));
    format!(
        "{} drain certificate after {}: {} quiet samples, {sockets}, {} sessions cut, \
         {} left{lost}",
        certificate.at,
        Millis(certificate.took_ms),
        certificate.quiet_samples,
        certificate.cut,
        certificate.left
    )
}

fn sampled(sample: &SampleReport) -> String {
    let SampleReport { instance, error, member, sessions, queued, detail } = sample;
    match (error, member) {
        (Some(error), _) => format!("{instance}: could not be read: {}", text(error)),
        (None, None) => format!("{instance}: no member"),
        (None, Some(member)) => format!(
            "{instance}: {} {}, {} sessions, {} queued",
            text(member),
            text(detail),
            count(*sessions),
            count(*queued)
        ),
    }
}

fn count(number: Option<u64>) -> String {
    number.map_or_else(|| "uncounted".into(), |number| number.to_string())
}

fn course(page: &mut Page, report: &RolloutReport) {
    let retries = report.retries.iter();
    page.list(
        "Steps begun again",
        retries.map(|r| format!("{} {}: {}, due {}", r.at, r.step, r.cause, r.due)),
    );
    let unknowns = report.unknowns.iter();
    page.list(
        "Outcomes nobody knew",
        unknowns.map(|u| {
            let class = u.class.as_deref().unwrap_or("not resolved");
            let step = format!("{} (attempt {})", u.step, u.attempt);
            format!("{} {step}: {}; {}; then: {class}", u.at, text(&u.cause), u.how)
        }),
    );
    page.list("Decisions", report.decisions.iter().map(said));
    let requests = report.requests.iter();
    page.list(
        "Requests",
        requests.map(|r| {
            let reason = if r.reason.is_empty() { "no reason given" } else { &r.reason };
            format!("{} {}: {}: {}", r.at, text(&r.by), r.request, text(reason))
        }),
    );
    let holds = report.holds.iter();
    page.list(
        "Holds",
        holds.map(|h| {
            let open = if h.ended.is_none() { ", still" } else { "" };
            format!("{} for {}{open}: {}", h.at, span(Millis(h.took_ms)), h.cause)
        }),
    );
    let rollbacks = report.rollbacks.iter();
    page.list(
        "Rollbacks",
        rollbacks.map(|r| {
            let ended = r.ended.as_deref().unwrap_or("not complete");
            let steps = r.steps.join(", ");
            format!("{} to {ended}, {}: {}; steps: {steps}", r.at, r.scope, text(&r.cause))
        }),
    );
    page.list("Balancer instances", report.instances.iter().map(said));
    page.list("Stood still", report.stood_still.iter().map(said));
    page.list("Controllers", report.controllers.iter().map(said));
}

fn said(said: &Said) -> String {
    format!("{} {}", said.at, text(&said.what))
}

fn times(page: &mut Page, report: &RolloutReport) {
    let waited = &report.waited;
    let spent = [
        ("held", waited.held_ms),
        ("soaking", waited.soaked_ms),
        ("waiting for capacity", waited.capacity_ms),
        ("draining", waited.drained_ms),
        ("returning to traffic", waited.returned_ms),
        ("pausing before another attempt", waited.paused_ms),
    ];
    let spent = spent.iter().filter(|(_, ms)| *ms > 0);
    page.list(
        "Where the time went",
        spent.map(|(what, ms)| format!("{what}: {}", span(Millis(*ms)))),
    );
    let slowest = report.slowest.iter();
    page.list(
        "Slowest steps",
        slowest.map(|s| {
            let tries = match s.attempts {
                1 => String::new(),
                count => format!(" in {count} attempts"),
            };
            format!("{}: {}{tries}", s.step, span(Millis(s.took_ms)))
        }),
    );
}

/// The page being written.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn section(&mut self, title: &str) {
        let _ = write!(self.0, "\n## {title}\n\n");
    }

    fn list(&mut self, title: &str, items: impl Iterator<Item = String>) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.section(title);
        for item in items {
            self.line(&format!("- {item}"));
        }
    }

    fn attempts(&mut self, title: &str, attempts: &[AttemptReport]) {
        if !attempts.is_empty() {
            self.section(title);
            self.attempt_table(attempts);
        }
    }

    fn attempt_table(&mut self, attempts: &[AttemptReport]) {
        if attempts.is_empty() {
            self.line("Nothing was begun.");
            return;
        }
        self.line("| begun | phase | step | attempt | outcome | took |");
        self.line("|---|---|---|---|---|---|");
        for attempt in attempts {
            let took = attempt.took_ms.map_or_else(|| "-".into(), |ms| span(Millis(ms)));
            let outcome = match (&attempt.class, &attempt.end) {
                (Some(class), Some(end)) => text(&format!("{class} ({end})")),
                _ => "not ended".into(),
            };
            let AttemptReport { at, phase, key, .. } = attempt;
            let number = attempt.attempt;
            self.line(&format!("| {at} | {phase} | {key} | {number} | {outcome} | {took} |"));
        }
        for attempt in attempts.iter().filter(|attempt| !attempt.tail.is_empty()) {
            self.line("");
            self.line(&format!("Last output of {} (attempt {}):", attempt.key, attempt.attempt));
            self.line("");
            // Indented, not fenced: output of a node may hold a fence of its own.
            for line in &attempt.tail {
                self.line(&format!("    {}", crate::lines::printable(line)));
            }
        }
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Inside backquotes a backquote cannot be escaped.
fn code(text: &str) -> String {
    crate::lines::printable(text).replace('`', "'")
}

/// Words of nodes, balancers and persons must not become markup.
fn text(raw: &str) -> String {
    let mut safe = String::new();
    for c in crate::lines::printable(raw).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '|' | '<' | '[' | ']' | '#') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}
