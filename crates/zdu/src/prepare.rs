//! From a configuration file to a plan, with what preflight sees in between.

use crate::failure::Failure;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;
use zdu_config::{Config, Disk, Templates};
use zdu_drivers::Access;
use zdu_drivers::balancer::haproxy::weak::{Rule, Weakness};
use zdu_drivers::capture::Captures;
use zdu_drivers::probe::{self, Values};
use zdu_drivers::secret::Secrets;
use zdu_drivers::traffic::{Weak, read_members};
use zdu_model::fleet::Fleet;
use zdu_model::ids::{BalancerName, Digest, InstanceName, NodeName, SecretName};
use zdu_model::plan::{Plan, Probe, Subject};
use zdu_model::policy::SecretSource;
use zdu_model::report::{InstanceReading, MemberState};
use zdu_model::time::Millis;
use zdu_model::verdict::exit;
use zdu_plan::{Input, Observed, Planned, lint};

/// What the built-in configuration is called where a file would be named.
pub(crate) const REFERENCE: &str = "builtin:reference";

/// A configuration with what planning needs of it.
pub struct Prepared {
    /// As loaded.
    pub config: Config,
    /// The planner's input; `observed` is filled by [`observe`].
    pub input: Input,
    templates: Templates,
    access: OnceCell<Arc<Access>>,
}

/// Loads a configuration file.
///
/// # Errors
/// Every diagnostic of the file.
pub fn load(path: &str) -> Result<Prepared, Failure> {
    let config = zdu_config::load(path, &Disk).map_err(Failure::from)?;
    Ok(prepared(config))
}

/// The configuration that is built in. What is said about it names no file: there is none.
///
/// # Errors
/// Never for the text that is built in, which a test loads.
pub fn reference() -> Result<Config, Failure> {
    let text = zdu_config::reference_config().as_bytes().to_vec();
    let files = BTreeMap::from([(REFERENCE.to_owned(), text)]);
    zdu_config::load(REFERENCE, &files).map_err(Failure::from)
}

/// Makes the planner's input of a configuration.
#[must_use]
pub fn prepared(config: Config) -> Prepared {
    let input = Input {
        fleet: config.fleet.clone(),
        procedure_digest: digest_of(&config.procedure),
        procedure: config.procedure.clone(),
        policy: config.policy.clone(),
        release: config.release.clone(),
        vars: config.vars.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        tool: env!("CARGO_PKG_VERSION").into(),
        observed: Observed::default(),
    };
    let templates = Templates::new(&config.procedure);
    Prepared { config, input, templates, access: OnceCell::new() }
}

/// What a plan says of the procedure it was made from.
pub(crate) fn digest_of(procedure: &zdu_model::procedure::Procedure) -> Digest {
    use sha2::Digest as _;
    // The model's maps are ordered, so its JSON is canonical; names and numbers cannot fail.
    let bytes = serde_json::to_vec(procedure).unwrap_or_default();
    let hash = sha2::Sha256::digest(&bytes);
    Digest(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Prepared {
    /// Plans with what was observed so far.
    ///
    /// # Errors
    /// The planner's refusals.
    pub fn plan(&self) -> Result<Planned, Failure> {
        zdu_plan::plan(&self.input, &self.templates).map_err(Failure::from)
    }

    /// Ways to everything the fleet names, with the values of its secrets: made once, so that no
    /// value is fetched twice and the rollout goes on with the channels preflight opened.
    ///
    /// # Errors
    /// A secret that has no value.
    pub fn access(&self) -> Result<Arc<Access>, Failure> {
        if let Some(made) = self.access.get() {
            return Ok(Arc::clone(made));
        }
        let places = &self.config.secret_places;
        let made = access(&self.input.fleet, &self.input.policy.secrets, places)?;
        Ok(Arc::clone(self.access.get_or_init(|| made)))
    }
}

/// Judges a plan that was read from its file: whoever made it, it must keep what every plan keeps.
///
/// # Errors
/// What is wrong with it first.
pub(crate) fn judge(plan: &Plan, path: &Path) -> Result<(), Failure> {
    match lint(plan).first() {
        None => Ok(()),
        Some(finding) => {
            let what = format!("use {}: {finding}", path.display());
            Err(Failure::new(exit::DATA, what).hint("make the plan again: `zdu plan --out`"))
        }
    }
}

/// Ways to everything a fleet names. `places` says where secrets were declared, as far as that is
/// known: a plan that is read from its file knows of no text.
///
/// # Errors
/// A secret that has no value.
pub fn access(
    fleet: &Fleet,
    sources: &BTreeMap<SecretName, SecretSource>,
    places: &BTreeMap<SecretName, String>,
) -> Result<Arc<Access>, Failure> {
    let secrets = Secrets::fetch(sources).map_err(|error| {
        let failure = Failure::new(exit::CONFIG, error.to_string())
            .hint("secrets are named in `secrets:` as env:NAME, file:PATH or command:...");
        match places.get(&error.name) {
            Some(place) => failure.hint(format!("this one is declared at {place}")),
            None => failure,
        }
    })?;
    Ok(Arc::new(Access::new(fleet, secrets)))
}

/// One thing preflight looked at.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Finding {
    /// The node, host or balancer instance.
    pub subject: String,
    /// What must be true.
    pub what: String,
    /// Why it is not, which stops a rollout; absent when it is.
    pub problem: Option<String>,
    /// Why it is not, where that costs requests or a proof and stops nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in a balancer's configuration it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A place in the configuration of a balancer's instance.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Place {
    /// The balancer.
    pub balancer: BalancerName,
    /// Its instance.
    pub instance: InstanceName,
    /// What was looked at.
    pub rule: Rule,
    /// The frontend or backend.
    pub proxy: Option<String>,
    /// The file, as the balancer names it.
    pub file: Option<String>,
    /// Its line, counted from 1.
    pub line: Option<u32>,
}

impl Finding {
    fn well(subject: impl ToString, what: &str) -> Self {
        let (subject, what) = (subject.to_string(), what.into());
        Self { subject, what, problem: None, warning: None, hint: None, place: None }
    }

    pub(crate) fn bad(subject: impl ToString, what: &str, problem: String, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { problem: Some(problem), hint, ..Self::well(subject, what) }
    }

    /// What costs requests or a proof in a balancer's configuration.
    fn weak(Weak { balancer, instance, weakness }: Weak) -> Self {
        let Weakness { rule, proxy, place, what, why, hint } = weakness;
        let at = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        Self {
            warning: Some(format!("{why}{at}")),
            hint: Some(hint.to_owned()),
            place: Some(Place {
                file: place.as_ref().map(|place| place.file.to_string()),
                line: place.map(|place| place.line),
                balancer: balancer.clone(),
                instance: instance.clone(),
                rule,
                proxy,
            }),
            ..Self::well(format_args!("{balancer}/{instance}"), what)
        }
    }

    /// Whether it says what loses requests, and not only that something could not be looked at.
    pub(crate) fn costs_requests(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.rule != Rule::NotRead)
    }
}

/// Connects everywhere, changes nothing: fills `prepared.input.observed` and tells what was found.
///
/// # Errors
/// A probe that cannot be rendered.
pub async fn observe(
    prepared: &mut Prepared,
    access: &Arc<Access>,
    directory: &Path,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = reach(&prepared.input.fleet, access).await;
    let unreachable = findings.iter().any(|finding| finding.problem.is_some());
    let soak = prepared.input.policy.soak;
    let (readings, seen) = balancers(&prepared.input.fleet, soak, access, directory).await;
    findings.extend(seen);
    prepared.input.observed.readings = readings;
    if unreachable {
        // What a node would be asked next can only repeat that it is not reached.
        return Ok(findings);
    }
    findings.extend(roles(prepared, access).await?);
    findings.extend(checks(prepared, access).await?);
    Ok(findings)
}

/// The same for a plan that was made before: nodes and balancers, without the procedure's checks.
pub async fn observe_fleet(
    fleet: &Fleet,
    soak: Millis,
    access: &Arc<Access>,
    directory: &Path,
) -> Vec<Finding> {
    let mut findings = reach(fleet, access).await;
    findings.extend(balancers(fleet, soak, access, directory).await.1);
    findings
}

async fn reach(fleet: &Fleet, access: &Arc<Access>) -> Vec<Finding> {
    let names: Vec<NodeName> =
        fleet.nodes().map(|node| node.name.clone()).chain(fleet.hosts.keys().cloned()).collect();
    let mut tasks = JoinSet::new();
    for (at, name) in names.into_iter().enumerate() {
        let access = Arc::clone(access);
        tasks.spawn(async move {
            let what = "commands can be run";
            // A channel is open when the shell at its other end has answered.
            let finding = match access.channel(Some(&name)).await {
                Ok(_) => Finding::well(&name, what),
                Err(error) => {
                    let hint = "try `ssh` to it by hand with the same user; zdu never accepts a \
                                new or changed host key";
                    Finding::bad(&name, what, access.redactor().mask(&error.to_string()), hint)
                }
            };
            (at, finding)
        });
    }
    in_order(tasks).await
}

async fn in_order(mut tasks: JoinSet<(usize, Finding)>) -> Vec<Finding> {
    let mut findings = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        if let Ok((at, finding)) = done {
            findings.insert(at, finding);
        }
    }
    findings.into_values().collect()
}

async fn balancers(
    fleet: &Fleet,
    soak: Millis,
    access: &Arc<Access>,
    directory: &Path,
) -> (Vec<InstanceReading>, Vec<Finding>) {
    let (readings, weak) = read_members(fleet, soak, access, directory).await;
    let mut findings = Vec::new();
    for reading in &readings {
        let subject = format!("{}/{}", reading.balancer, reading.instance);
        let what = "its runtime interface answers";
        if let Some(error) = &reading.error {
            let hint = "zdu needs the runtime socket at level admin, on every instance";
            findings.push(Finding::bad(&subject, what, error.clone(), hint));
            continue;
        }
        findings.push(Finding::well(&subject, what));
        for member in &reading.members {
            findings.extend(member_finding(&subject, member));
        }
    }
    findings.extend(weak.into_iter().map(Finding::weak));
    (readings, findings)
}

fn member_finding(subject: &str, member: &zdu_model::report::MemberReading) -> Option<Finding> {
    let (problem, hint) = match member.state {
        MemberState::Serving => return None,
        MemberState::Absent => (
            format!("it has no member {}", member.member),
            "members are written balancer/backend/server, as the balancer's configuration names \
             them",
        ),
        MemberState::ZeroWeight => (
            format!("{} is up with weight 0: somebody drained it by weight", member.member),
            "give it its weight back, or take it out of the fleet",
        ),
        MemberState::Draining | MemberState::Maintenance => (
            format!("{} is out of traffic already ({})", member.member, member.detail),
            "put it back first: zdu leaves a member as it found it",
        ),
        MemberState::Down | MemberState::Unclear => (
            format!("{} does not serve ({})", member.member, member.detail),
            "a rollout over a sick member would count on capacity that is not there",
        ),
    };
    Some(Finding::bad(subject, "every member serves", problem, hint))
}

async fn roles(prepared: &mut Prepared, access: &Arc<Access>) -> Result<Vec<Finding>, Failure> {
    let questions = zdu_plan::role_questions(&prepared.input, &prepared.templates)?;
    let mut tasks = JoinSet::new();
    for question in questions {
        let access = Arc::clone(access);
        tasks.spawn(async move {
            let held = ask(&access, &question.node, &question.probe).await.is_ok();
            (question.node, question.role, held)
        });
    }
    while let Some(Ok((node, role, held))) = tasks.join_next().await {
        if held {
            prepared.input.observed.roles.entry(node).or_default().insert(role);
        }
    }
    prepared.input.observed.consulted = true;
    Ok(Vec::new())
}

async fn checks(prepared: &Prepared, access: &Arc<Access>) -> Result<Vec<Finding>, Failure> {
    let checks = zdu_plan::node_checks(&prepared.input, &prepared.templates)?;
    let mut tasks = JoinSet::new();
    for (at, check) in checks.into_iter().enumerate() {
        let access = Arc::clone(access);
        tasks.spawn(async move {
            let finding = match ask(&access, &check.node, &check.probe).await {
                Ok(()) => Finding::well(&check.node, &check.name),
                Err(why) => Finding::bad(&check.node, &check.name, why, &check.hint),
            };
            (at, finding)
        });
    }
    Ok(in_order(tasks).await)
}

async fn ask(access: &Access, node: &NodeName, probe: &Probe) -> Result<(), String> {
    // Preflight runs before anything is captured.
    let captures = Captures::new(std::path::PathBuf::new());
    let subject = Subject::Node(node.clone());
    let values = Values { captures: &captures, subject: &subject };
    probe::ask(access, values, Some(node), probe).await.map(|_| ())
}
