//! What a running Node Manager answers: the management API and, below `/double`, what the
//! stand-in's own tools and Node Managers tell each other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::client::{self, State};
use super::domain::{self, Membership, ServiceEntry};
use super::server::{self, Answer, Application};
use super::spec::{InstallSpec, sha256_hex};

/// One running Node Manager.
pub(crate) struct NodeManager {
    spec: InstallSpec,
    /// Registrations read, change and write the membership: one at a time.
    registering: Mutex<()>,
}

impl NodeManager {
    pub(crate) fn new(spec: InstallSpec) -> Self {
        Self { spec, registering: Mutex::new(()) }
    }

    /// The membership as the domain has it: from the holder of the key when another node is that,
    /// from the own copy when the holder does not answer or knows nothing of this domain any more.
    async fn membership(&self) -> Option<Membership> {
        let own = Membership::load(&self.spec)?;
        if own.holder == self.spec.node {
            return Some(own);
        }
        Some(membership_at_holder(&self.spec, &own).await.and_then(Result::ok).unwrap_or(own))
    }

    async fn private(&self, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let own = Membership::load(&self.spec);
        if path == "/double/state" {
            let state = State {
                node: self.spec.node.clone(),
                instance: None,
                version: self.spec.version.clone(),
                domain: own.map(|membership| membership.domain),
                holds_key: domain::holds_key(&self.spec),
            };
            return server::json(StatusCode::OK, &state);
        }
        if let Some(id) = path.strip_prefix("/double/domain/") {
            return match own {
                Some(own) if own.domain == id => server::json(StatusCode::OK, &own),
                Some(_) | None => server::json(StatusCode::CONFLICT, &json!("another domain")),
            };
        }
        match path.strip_prefix("/double/register/") {
            Some(node) if request.method() == Method::POST => self.register(node).await,
            Some(_) | None => not_found(),
        }
    }

    async fn register(&self, node: &str) -> Answer {
        let _one_at_a_time = self.registering.lock().await;
        let own = Membership::load(&self.spec);
        let Some(own) = own.filter(|_| domain::holds_key(&self.spec)) else {
            return server::json(StatusCode::CONFLICT, &json!("no domain private key here"));
        };
        if self.spec.topology.node(node).is_none() {
            return not_found();
        }
        let joined = own.with(node);
        match joined.save(&self.spec) {
            Ok(()) => server::json(StatusCode::OK, &joined),
            Err(error) => {
                server::json(StatusCode::INTERNAL_SERVER_ERROR, &json!(error.to_string()))
            }
        }
    }

    async fn management(&self, request: &Request<Incoming>) -> Answer {
        let Some(membership) = self.membership().await else {
            return server::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"errors": []}));
        };
        let topology = &self.spec.topology;
        let path = request.uri().path().trim_matches('/').to_owned();
        let words: Vec<&str> = path.split('/').collect();
        match words.as_slice() {
            ["api", "topology"] => {
                let mut document = domain::document(&membership, topology);
                keep_service_type(&mut document, request.uri().query().unwrap_or_default());
                result(document)
            }
            ["api", "topology", part @ ("hosts" | "groups")] => {
                result(domain::document(&membership, topology)[*part].clone())
            }
            ["api", "router", "service", id, "api", "management", "serviceversion"] => {
                serviceversion(&domain::services(&membership, topology), id).await
            }
            ["api", "management", "status", group, id] => {
                status(&domain::services(&membership, topology), group, id).await
            }
            ["api", "deployment", "domain", "deployments"] => {
                result(deployments(&domain::services(&membership, topology)))
            }
            _ => not_found(),
        }
    }

    /// Basic authentication: any credentials where no digest is configured, the right ones else.
    fn may_enter(&self, request: &Request<Incoming>) -> bool {
        let secrets = &self.spec.secrets;
        let credentials = request.headers().get("authorization").and_then(basic_credentials);
        let Some((username, password)) = credentials else {
            return false;
        };
        let right = |wanted: &Option<String>, given: &str| {
            wanted.as_ref().is_none_or(|digest| *digest == sha256_hex(given))
        };
        right(&secrets.username, &username) && right(&secrets.password, &password)
    }
}

impl Application for NodeManager {
    async fn answer(&self, request: Request<Incoming>, _stopping: bool) -> Answer {
        if request.uri().path().starts_with("/double/") {
            return self.private(&request).await;
        }
        if !self.may_enter(&request) {
            let mut answer = server::json(StatusCode::UNAUTHORIZED, &json!({"errors": []}));
            let realm = HeaderValue::from_static("Basic realm=\"Admin Node Manager\"");
            answer.headers_mut().insert("www-authenticate", realm);
            return answer;
        }
        self.management(&request).await
    }
}

/// The membership as the holder of the domain key has it. `None`: the holder does not answer.
/// `Some(Err(()))`: it answers and this domain is not its domain any more.
pub(crate) async fn membership_at_holder(
    spec: &InstallSpec,
    own: &Membership,
) -> Option<Result<Membership, ()>> {
    let holder = spec.topology.node(&own.holder)?;
    let path = format!("/double/domain/{}", own.domain);
    let (status, body) =
        client::ask(Method::GET, &holder.address, holder.management_port, &path).await?;
    if status == 200 {
        return serde_json::from_slice(&body).ok().map(Ok);
    }
    (status == 409).then_some(Err(()))
}

fn basic_credentials(header: &HeaderValue) -> Option<(String, String)> {
    let encoded = header.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

fn result(value: Value) -> Answer {
    server::json(StatusCode::OK, &json!({ "result": value }))
}

fn not_found() -> Answer {
    server::json(StatusCode::NOT_FOUND, &json!({"errors": [{"code": 404}]}))
}

/// `?serviceType=gateway|nodemanager`: only services of that type stay in the document.
fn keep_service_type(document: &mut Value, query: &str) {
    let Some(kind) = query.split('&').find_map(|pair| pair.strip_prefix("serviceType=")) else {
        return;
    };
    let keep = |services: &mut Value| {
        if let Some(list) = services.as_array_mut() {
            list.retain(|service| service["type"] == kind);
        }
    };
    keep(&mut document["services"]);
    if let Some(groups) = document["groups"].as_array_mut() {
        groups.iter_mut().for_each(|group| keep(&mut group["services"]));
    }
}

/// The version of the running service; 404 for an unknown one, 502 for one that does not answer.
async fn serviceversion(services: &[ServiceEntry], id: &str) -> Answer {
    let Some(service) = services.iter().find(|service| service.id == id) else {
        return not_found();
    };
    match client::state(&service.address, service.port).await {
        Some(state) => result(json!(state.version)),
        None => server::json(StatusCode::BAD_GATEWAY, &json!({"errors": [{"code": 502}]})),
    }
}

/// `"0"` running, `"3"` not running, `"-1"` with an error for a service the domain does not have:
/// a field of the answer, not an HTTP status.
async fn status(services: &[ServiceEntry], group: &str, id: &str) -> Answer {
    let found = services.iter().find(|service| service.id == id && service.group == group);
    let Some(service) = found else {
        let body = json!({"result": "-1", "errors": [{"code": 601}]});
        return server::json(StatusCode::OK, &body);
    };
    let state = client::state(&service.address, service.port).await;
    let runs = state.is_some_and(|state| state.node == service.node);
    result(json!(if runs { "0" } else { "3" }))
}

/// Per group and instance the id of the deployed archive.
fn deployments(services: &[ServiceEntry]) -> Value {
    let mut groups = serde_json::Map::new();
    for service in services {
        let Some(id) = &service.deployment else {
            continue;
        };
        let group = groups.entry(service.group.clone()).or_insert_with(|| json!({}));
        group[&service.id] = json!({"rootProperties": {"Id": id}});
    }
    Value::Object(groups)
}
