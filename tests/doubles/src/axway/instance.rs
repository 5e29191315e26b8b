//! What a running API Gateway instance answers on its traffic port.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};
use serde_json::json;

use super::client::State;
use super::failure::{self, Phase};
use super::server::{self, Answer, Application};
use super::spec::InstallSpec;

/// A request to `/slow` cannot take longer than this, whatever it asks for.
const SLOW_MS_MAX: u64 = 25_000;

/// One running instance.
pub(crate) struct Instance {
    node: String,
    version: String,
    name: String,
    group: String,
    healthy: bool,
    /// Requests being answered, without those to the stand-in's own endpoints.
    running: AtomicUsize,
}

impl Instance {
    /// The instance and its traffic port; `None` when this node has no such instance.
    pub(crate) fn new(spec: &InstallSpec, name: &str, group: &str) -> Option<(Self, u16)> {
        let declared = spec.own_node().instances.iter();
        let found = declared.into_iter().find(|i| i.name == name && i.group == group)?;
        let instance = Self {
            node: spec.node.clone(),
            version: spec.version.clone(),
            name: name.to_owned(),
            group: group.to_owned(),
            healthy: failure::take(spec, Phase::Health).is_none(),
            running: AtomicUsize::new(0),
        };
        Some((instance, found.traffic_port))
    }

    fn health(&self, in_service: bool) -> Answer {
        if !self.healthy {
            let body = "<status>failed</status>";
            return server::answer(StatusCode::INTERNAL_SERVER_ERROR, "text/xml", body);
        }
        if !in_service {
            let body = "<status>unavailable</status>";
            return server::answer(StatusCode::SERVICE_UNAVAILABLE, "text/xml", body);
        }
        server::answer(StatusCode::OK, "text/xml", "<status>ok</status>")
    }

    fn identity(&self) -> Answer {
        let (node, version) = (&self.node, &self.version);
        let (instance, group) = (&self.name, &self.group);
        let body = json!({"node": node, "version": version, "instance": instance, "group": group});
        server::json(StatusCode::OK, &body)
    }

    fn state(&self) -> Answer {
        let state = State {
            node: self.node.clone(),
            instance: Some(self.name.clone()),
            version: self.version.clone(),
            domain: None,
            holds_key: false,
        };
        server::json(StatusCode::OK, &state)
    }
}

/// One running request; it counts as long as this lives, also when its connection is cut.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(running: &'a AtomicUsize) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(running)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Application for Instance {
    async fn answer(&self, request: Request<Incoming>, stopping: bool) -> Answer {
        let path = request.uri().path();
        let _counted = (!path.starts_with("/double/")).then(|| Counted::new(&self.running));
        let mut answer = match path {
            "/" => self.identity(),
            "/healthcheck" => self.health(true),
            "/healthchecklb" => self.health(!stopping),
            "/version" => server::answer(StatusCode::OK, "text/plain", self.version.clone()),
            "/slow" => {
                let wanted = slow_ms(request.uri().query().unwrap_or_default());
                tokio::time::sleep(Duration::from_millis(wanted)).await;
                self.identity()
            }
            "/double/state" => self.state(),
            "/double/gauge" => {
                let running = self.running.load(Ordering::SeqCst);
                server::json(StatusCode::OK, &json!({ "running": running }))
            }
            _ => server::answer(StatusCode::NOT_FOUND, "text/plain", "not found"),
        };
        for (name, value) in [("x-host", &self.node), ("x-version", &self.version)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

fn slow_ms(query: &str) -> u64 {
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("ms=")?.parse().ok());
    wanted.unwrap_or(0).min(SLOW_MS_MAX)
}
