//! The ways out: channels to nodes and hosts, HTTP, the values of secrets.

use crate::exec::{ChannelError, Lease, Node, Pool, Target};
use crate::secret::{Redactor, Secrets};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zdu_model::fleet::{Fleet, Reach};
use zdu_model::ids::NodeName;
use zdu_model::plan::HttpCall;

/// How long a connection may take to stand: a host behind two jump hosts needs some seconds, and
/// one that is silent must not be waited for longer than an operator watches.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The ways out of the controller.
pub struct Access {
    pool: Arc<Pool>,
    targets: BTreeMap<NodeName, Target>,
    secrets: Secrets,
    redactor: Mutex<Redactor>,
}

/// The name the pool knows the controller's own shell by; no node can have it.
const LOCAL: &str = "@controller";

impl Access {
    /// Ways to every node and host of the fleet. Nothing is contacted yet.
    #[must_use]
    pub fn new(fleet: &Fleet, secrets: Secrets) -> Self {
        // A second installation (another binary in the process, a test) changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let nodes = fleet.nodes().map(|node| (node.name.clone(), target_of(&node.reach)));
        let hosts = fleet.hosts.iter().map(|(name, reach)| (name.clone(), target_of(reach)));
        let redactor = Mutex::new(secrets.redactor());
        Self {
            pool: Arc::new(Pool::new(CONNECT_TIMEOUT)),
            targets: hosts.chain(nodes).collect(),
            secrets,
            redactor,
        }
    }

    /// How a node or host is reached; the controller itself for none.
    #[must_use]
    pub fn target(&self, node: Option<&NodeName>) -> Target {
        node.and_then(|node| self.targets.get(node)).cloned().unwrap_or(Target::Local)
    }

    /// A node for supervised steps; the controller itself for none.
    #[must_use]
    pub fn node(&self, node: Option<&NodeName>) -> Node {
        let name = node.map_or_else(|| LOCAL.to_owned(), ToString::to_string);
        Node { pool: Arc::clone(&self.pool), name, target: self.target(node) }
    }

    /// A channel to a node, host, or the controller itself.
    ///
    /// # Errors
    /// [`ChannelError::Connect`].
    pub async fn channel(&self, node: Option<&NodeName>) -> Result<Lease, ChannelError> {
        self.node(node).channel().await
    }

    /// A channel beside the steps' own, for what must not wait while a step's output is followed.
    ///
    /// # Errors
    /// [`ChannelError::Connect`].
    pub async fn side_channel(&self, node: &NodeName) -> Result<Lease, ChannelError> {
        let name = format!("{node}@side");
        self.pool.channel(&name, &self.target(Some(node))).await
    }

    /// The secrets.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// A redactor for everything known to be secret up to now.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.redactor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this value is masked too.
    pub fn mask_also(&self, value: &str) {
        self.redactor.lock().unwrap_or_else(PoisonError::into_inner).add(value);
    }

    /// Closes every channel.
    pub async fn close(&self) {
        self.pool.close_all().await;
    }
}

fn target_of(reach: &Reach) -> Target {
    match reach {
        Reach::Local => Target::Local,
        Reach::Ssh { host, port, user, identity, config } => Target::Ssh {
            host: host.clone(),
            port: *port,
            user: user.clone(),
            identity: identity.as_ref().map(Into::into),
            config: config.as_ref().map(Into::into),
            options: Vec::new(),
        },
    }
}

/// A client for one call: no proxy and no kept connections, because what is asked is the node
/// itself and an idle connection of ours would spoil its drain certificate.
///
/// # Errors
/// A sentence: an authority is missing or no certificate.
pub(crate) fn http_client(call: &HttpCall, ca: Option<&str>) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(call.insecure);
    // A template that rendered to nothing means the system's authorities.
    if let Some(path) = call.ca_file.as_ref().filter(|path| !path.is_empty()) {
        let pem = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        builder = builder.tls_certs_merge(authorities(&pem, path)?);
    }
    if let Some(pem) = ca {
        builder = builder.tls_certs_merge(authorities(pem.as_bytes(), "ca")?);
    }
    builder.build().map_err(|error| chain(&error))
}

/// How a server is trusted where the HTTP client is not the one above: by the same authorities of
/// the system.
///
/// # Errors
/// A sentence: the system has none.
pub(crate) fn tls_config() -> Result<Arc<rustls::ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
    let verifier = verifier.map_err(|error| chain(&error))?;
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| chain(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a PEM text. None is an error: a request that trusts less than it was told to
/// fails later, with words that do not lead here.
fn authorities(pem: &[u8], from: &str) -> Result<Vec<reqwest::Certificate>, String> {
    let found = reqwest::Certificate::from_pem_bundle(pem);
    let found = found.map_err(|error| format!("{from}: {}", chain(&error)))?;
    if found.is_empty() {
        return Err(format!("{from} holds no certificate"));
    }
    Ok(found)
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
