//! Templates: strict minijinja over what is known while planning. Two names stay open: `secret`
//! and `capture` become places that only a driver fills, so no rendered text holds a secret.
//!
//! An open place travels through rendering as marker characters around its name. A filter could
//! see the marker in place of the value, so an open place must stand alone in its braces.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use zdu_model::ids::{CaptureName, SecretName, VarName};
use zdu_model::procedure::{Procedure, VarDecl};
use zdu_model::render::{NodeScope, Render, RenderError, Scope};
use zdu_model::text::{Piece, Template, Text};
use zdu_model::time::Millis;

/// The characters around the name of an open place: private use, so that no text has a reason to
/// contain them; a text that does is refused.
const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

/// Mixed case, so that a filter that changes case is noticed.
const SECRET: &str = "sS:";
const CAPTURE: &str = "cC:";

/// Why a template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not a template, or a name in it is unknown.
    #[error("{message} in `{template}`")]
    Bad {
        /// The template as written.
        template: String,
        /// What is wrong.
        message: String,
    },
    /// A text holds the characters open places are marked with.
    #[error("a text contains U+E000 or U+E001, which are reserved")]
    Marker,
    /// An open place was changed or used in another way than to be printed.
    #[error("`{name}(...)` must stand alone in its braces, in `{template}`")]
    OpenPlaceUsed {
        /// `secret` or `capture`.
        name: String,
        /// The template as written.
        template: String,
    },
    /// A condition gave something that is neither true nor false.
    #[error("the condition `{template}` gave text that is neither true nor false")]
    NotACondition {
        /// The condition as written.
        template: String,
    },
}

/// Renders the templates of one procedure.
#[derive(Debug, Clone)]
pub struct Templates {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    env: Environment<'static>,
    defaults: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
}

impl Templates {
    /// For the variables and secrets `procedure` declares.
    #[must_use]
    pub fn new(procedure: &Procedure) -> Self {
        let default = |(name, decl): (&VarName, &VarDecl)| {
            let Template(text) = decl.default.clone()?;
            Some((name.to_string(), text))
        };
        let secrets = procedure.secrets.keys().map(ToString::to_string);
        let inner = Inner {
            env: environment(),
            defaults: procedure.vars.iter().filter_map(default).collect(),
            secrets: secrets.collect(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Renders a text; secrets and captured values stay open places.
    ///
    /// # Errors
    /// [`TemplateError`]: an unknown name, bad syntax, a misused open place.
    pub fn text(&self, template: &Template, scope: &Scope) -> Result<Text, TemplateError> {
        let Template(source) = template;
        open_places(source)?;
        if !source.contains('{') {
            return Ok(Text::literal(source.as_str()));
        }
        let vars = Vars::new(&self.inner, scope)?;
        let rendered = self.inner.env.render_str(source, vars.context());
        vars.nodes.unmarked()?;
        let text = split(&rendered.map_err(|error| bad(source, &error))?, source)?;
        // A template can make a marker of its own (`"\ue000"`) or change the name inside one.
        let made_up = |name: &&SecretName| !self.inner.secrets.contains(name.as_str());
        if let Some(name) = text.secrets().find(made_up) {
            let message = undeclared(name.as_str());
            return Err(TemplateError::Bad { template: source.clone(), message });
        }
        Ok(text)
    }

    /// Evaluates a condition. True and false may also be given as the texts `true` and `false`,
    /// as variables hold them; an empty text is false.
    ///
    /// # Errors
    /// [`TemplateError`]: an unknown name, bad syntax, a result that is no condition.
    pub fn condition(&self, template: &Template, scope: &Scope) -> Result<bool, TemplateError> {
        let Template(source) = template;
        if let Some(found) = ANY.captures(source) {
            return Err(TemplateError::used(&found[1], source));
        }
        let expression = self.inner.env.compile_expression(source);
        let expression = expression.map_err(|error| bad(source, &error))?;
        let vars = Vars::new(&self.inner, scope)?;
        let value = expression.eval(vars.context());
        vars.nodes.unmarked()?;
        let value = value.map_err(|error| bad(source, &error))?;
        if value.is_undefined() {
            let message = "an undefined value".to_owned();
            let template = source.clone();
            return Err(TemplateError::Bad { template, message });
        }
        match value.as_str() {
            None => Ok(value.is_true()),
            Some("true") => Ok(true),
            Some("false" | "") => Ok(false),
            Some(_) => Err(TemplateError::NotACondition { template: source.clone() }),
        }
    }
}

impl Render for Templates {
    fn text(&self, template: &Template, scope: &Scope) -> Result<Text, RenderError> {
        Self::text(self, template, scope).map_err(|error| refused(template, &error))
    }

    fn condition(&self, template: &Template, scope: &Scope) -> Result<bool, RenderError> {
        Self::condition(self, template, scope).map_err(|error| refused(template, &error))
    }
}

fn refused(template: &Template, error: &TemplateError) -> RenderError {
    RenderError { template: template.0.clone(), why: error.to_string() }
}

/// The environment every template of ours is read with.
pub(crate) fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    // What is given on standard input often needs its last newline.
    env.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default());
    env.add_filter("plus", plus);
    env
}

/// `span | plus('5m')`: the sum of two spans of time.
fn plus(span: &str, more: &str) -> Result<String, minijinja::Error> {
    let read = |text: &str| {
        Millis::parse(text).ok_or_else(|| {
            let message = format!("`{text}` is not a span of time");
            minijinja::Error::new(ErrorKind::InvalidOperation, message)
        })
    };
    let sum = read(span)?.0.saturating_add(read(more)?.0);
    // Above a minute a span is shown without its milliseconds.
    Ok(if sum.is_multiple_of(1000) { Millis(sum).to_string() } else { format!("{sum}ms") })
}

/// A call that leaves an open place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenPlace {
    /// `secret` or `capture`.
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A call that stands alone in its braces.
static ALONE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"\{\{-?\s*(secret|capture)\(\s*(?:'([^']*)'|"([^"]*)")\s*\)\s*-?\}\}"#;
    Regex::new(pattern).expect("a fixed pattern")
});

/// A call that leaves an open place, wherever it stands.
static ANY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(secret|capture)\s*\(").expect("a fixed pattern"));

/// The template without its open places: what still names `secret` or `capture` misuses them.
pub(crate) fn without_open_places(source: &str) -> String {
    ALONE.replace_all(source, "").into_owned()
}

/// The open places of a template, each of which must stand alone in its braces.
pub(crate) fn open_places(source: &str) -> Result<Vec<OpenPlace>, TemplateError> {
    if source.contains([OPEN, CLOSE]) {
        return Err(TemplateError::Marker);
    }
    let rest = without_open_places(source);
    if let Some(found) = ANY.captures(&rest) {
        return Err(TemplateError::used(&found[1], source));
    }
    let place = |found: regex::Captures<'_>| OpenPlace {
        kind: found[1].to_owned(),
        name: found
            .get(2)
            .or_else(|| found.get(3))
            .map_or(String::new(), |name| name.as_str().to_owned()),
    };
    Ok(ALONE.captures_iter(source).map(place).collect())
}

impl TemplateError {
    /// An open place in another use than to stand alone.
    pub(crate) fn used(name: &str, source: &str) -> Self {
        Self::OpenPlaceUsed { name: name.to_owned(), template: source.to_owned() }
    }
}

/// What an error says, with the names our templates have.
pub(crate) fn explain(error: &minijinja::Error) -> String {
    let mut message = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) => "an undefined name".to_owned(),
        (kind, None) => kind.to_string(),
        (_, Some(detail)) => detail.to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<minijinja::Error>() {
            message = inner.detail().map_or(message, str::to_owned);
        }
        cause = inner.source();
    }
    message
}

fn bad(source: &str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Bad { template: source.to_owned(), message: explain(error) }
}

/// Takes the markers out of rendered text.
fn split(rendered: &str, source: &str) -> Result<Text, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = rendered;
    while let Some(at) = rest.find([OPEN, CLOSE]) {
        if at > 0 {
            pieces.push(Piece::Literal(rest[..at].to_owned()));
        }
        let inner = rest[at..].strip_prefix(OPEN).ok_or(TemplateError::Marker)?;
        let (mark, after) = inner.split_once(CLOSE).ok_or(TemplateError::Marker)?;
        let piece = if let Some(name) = mark.strip_prefix(SECRET) {
            let name = SecretName::new(name).map_err(|_| TemplateError::used("secret", source))?;
            Piece::Secret(name)
        } else if let Some(name) = mark.strip_prefix(CAPTURE) {
            let name =
                CaptureName::new(name).map_err(|_| TemplateError::used("capture", source))?;
            Piece::Capture(name)
        } else {
            return Err(TemplateError::Marker);
        };
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    // Most texts are one piece, and a plan of ten thousand nodes holds a million of them.
    pieces.shrink_to_fit();
    Ok(Text(pieces))
}

/// `vars.*`: resolved when asked for, because a default may need what is not known everywhere.
struct Vars {
    inner: Arc<Inner>,
    scope: Scope,
    nodes: Arc<Nodes>,
    /// Names whose defaults are being rendered, to notice a circle.
    resolving: Mutex<Vec<String>>,
}

impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vars")
    }
}

impl Vars {
    fn new(inner: &Arc<Inner>, scope: &Scope) -> Result<Arc<Self>, TemplateError> {
        let own = scope.node.iter().flat_map(|node| node.vars.values());
        let mut values = scope.vars.values().chain(own).chain([&scope.fleet]);
        if values.any(|text| marked(text)) {
            return Err(TemplateError::Marker);
        }
        Ok(Arc::new(Self {
            inner: Arc::clone(inner),
            nodes: Arc::new(Nodes {
                all: Arc::clone(&scope.nodes),
                marked: AtomicBool::new(false),
            }),
            scope: scope.clone(),
            resolving: Mutex::default(),
        }))
    }

    fn context(self: &Arc<Self>) -> Value {
        Value::from_object(Context(Arc::clone(self)))
    }

    fn lookup(self: &Arc<Self>, name: &str) -> Option<Result<String, minijinja::Error>> {
        let own = self.scope.node.as_ref().and_then(|node| node.vars.get(name));
        if let Some(given) = own.or_else(|| self.scope.vars.get(name)) {
            return Some(Ok(given.clone()));
        }
        let default = self.inner.defaults.get(name)?;
        if !default.contains('{') {
            return Some(Ok(default.clone()));
        }
        let lock = || self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().iter().any(|open| open == name) {
            let message = format!("the default of `vars.{name}` needs itself");
            return Some(Err(minijinja::Error::new(ErrorKind::InvalidOperation, message)));
        }
        lock().push(name.to_owned());
        let rendered = self.inner.env.render_str(default, self.context());
        lock().pop();
        Some(rendered.map_err(|error| {
            let message = format!("{} in the default of `vars.{name}`", explain(&error));
            minijinja::Error::new(ErrorKind::InvalidOperation, message)
        }))
    }
}

/// What a template sees. Each name is made when a text asks for it: most ask for one or two.
#[derive(Debug)]
struct Context(Arc<Vars>);

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let Self(vars) = &**self;
        let Scope { vars: _, node, nodes: _, release, fleet } = &vars.scope;
        match key.as_str()? {
            "node" => node.as_ref().map(node_value),
            "release" => Some(map([("from", &release.from), ("to", &release.to)])),
            "fleet" => Some(map([("name", fleet)])),
            "nodes" => Some(Value::from_dyn_object(Arc::clone(&vars.nodes))),
            "role" => {
                let nodes = Arc::clone(&vars.nodes);
                Some(Value::from_function(move |role: String| nodes.bearers(&role)))
            }
            "secret" => {
                let inner = Arc::clone(&vars.inner);
                let open = move |name: String| open(SECRET, &name, Some(&inner.secrets));
                Some(Value::from_function(open))
            }
            "capture" => Some(Value::from_function(|name: String| open(CAPTURE, &name, None))),
            "vars" => Some(Value::from_dyn_object(Arc::clone(vars))),
            _ => None,
        }
    }
}

impl Object for Vars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.lookup(key.as_str()?)? {
            Ok(text) => Some(Value::from(text)),
            Err(error) => Some(Value::from(error)),
        }
    }
}

/// `nodes` and `role('...')`. A node is checked and made readable when a text looks at it: doing
/// so with every node for every text would be quadratic in the size of the fleet.
#[derive(Debug)]
struct Nodes {
    all: Arc<[NodeScope]>,
    /// A node was looked at that holds marker characters: the text must not be used.
    marked: AtomicBool,
}

impl Nodes {
    fn look_at(&self, node: &NodeScope) -> Value {
        if node.vars.values().any(|text| marked(text)) {
            self.marked.store(true, Ordering::Relaxed);
        }
        node_value(node)
    }

    fn bearers(&self, role: &str) -> Value {
        let bear = |node: &&NodeScope| node.roles.contains(role);
        let bearers = self.all.iter().filter(bear).map(|node| self.look_at(node));
        Value::from(bearers.collect::<Vec<_>>())
    }

    fn unmarked(&self) -> Result<(), TemplateError> {
        if self.marked.load(Ordering::Relaxed) { Err(TemplateError::Marker) } else { Ok(()) }
    }
}

impl Object for Nodes {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.all.get(key.as_usize()?).map(|node| self.look_at(node))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.all.len())
    }
}

fn marked(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a String)>) -> Value {
    let pairs = entries.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v.as_str())));
    Value::from(pairs.collect::<BTreeMap<String, Value>>())
}

fn node_value(node: &NodeScope) -> Value {
    let NodeScope { name, address, zone, group, roles, vars } = node;
    let roles: Vec<Value> = roles.iter().map(|role| Value::from(role.as_str())).collect();
    let texts = [("name", name), ("address", address), ("zone", zone), ("group", group)];
    let mut all: BTreeMap<&'static str, Value> = BTreeMap::new();
    all.extend(texts.map(|(key, text)| (key, Value::from(text.as_str()))));
    all.insert("roles", Value::from(roles));
    all.insert("vars", map(vars.iter().map(|(k, v)| (k.as_str(), v))));
    Value::from(all)
}

fn undeclared(name: &str) -> String {
    format!("the procedure declares no secret `{name}`")
}

fn open(
    kind: &str,
    name: &str,
    known: Option<&BTreeSet<String>>,
) -> Result<String, minijinja::Error> {
    if known.is_some_and(|known| !known.contains(name)) {
        return Err(minijinja::Error::new(ErrorKind::UndefinedError, undeclared(name)));
    }
    Ok(format!("{OPEN}{kind}{name}{CLOSE}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zdu_model::plan::Release;

    fn scope() -> Scope {
        let node = |name: &str, roles: &[&str]| NodeScope {
            name: name.into(),
            address: format!("{name}.example"),
            roles: roles.iter().map(ToString::to_string).collect(),
            vars: BTreeMap::from([("own".into(), format!("of {name}"))]),
            ..NodeScope::default()
        };
        Scope {
            vars: BTreeMap::from([("own".into(), "general".into()), ("on".into(), "false".into())]),
            node: Some(node("b", &[])),
            nodes: [node("a", &["anm"]), node("b", &[])].into(),
            release: Release { from: "1".into(), to: "2".into() },
            fleet: "f".into(),
        }
    }

    fn templates(defaults: &[(&str, &str)]) -> Templates {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Templates {
            inner: Arc::new(Inner {
                env: environment(),
                defaults: defaults.iter().map(own).collect(),
                secrets: BTreeSet::from(["pw".to_owned()]),
            }),
        }
    }

    fn render(source: &str) -> Result<String, String> {
        let defaults = [
            ("host", "{{ role('anm')[0].address }}"),
            ("url", "http://{{ vars.host }}"),
            ("a", "{{ vars.b }}"),
            ("b", "{{ vars.a }}"),
        ];
        let text = templates(&defaults).text(&Template(source.into()), &scope());
        text.map(|text| text.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_may_use_roles_and_each_other_and_node_variables_go_first() {
        assert_eq!(render("{{ vars.url }}/{{ node.name }}"), Ok("http://a.example/b".into()));
        assert_eq!(render("{{ vars.own }}"), Ok("of b".into()));
        assert_eq!(render("{{ nodes | length }} {{ release.to }}\n"), Ok("2 2\n".into()));
    }

    #[test]
    fn spans_of_time_can_be_added_and_nothing_else_can() {
        assert_eq!(render("{{ '30s' | plus('5m') }}"), Ok("5m30s".into()));
        assert_eq!(render("{{ '90s' | plus('1ms') }}"), Ok("90001ms".into()));
        let bad = render("{{ '30' | plus('5m') }}").expect_err("a number without a unit");
        assert!(bad.contains("`30` is not a span of time"), "{bad}");
        assert!(render("{{ '30s' | plus(5) }}").is_err());
    }

    #[test]
    fn a_circle_of_defaults_and_an_unknown_name_are_errors() {
        let circle = render("{{ vars.a }}").expect_err("a circle");
        assert!(circle.contains("needs itself"), "{circle}");
        for unknown in
            ["{{ vars.nope }}", "{{ nope }}", "{{ node.vars.nope }}", "{{ role('x')[0].name }}"]
        {
            assert!(render(unknown).is_err(), "{unknown}");
        }
        assert!(render("{{ node.vars.nope | default('d') }}").is_ok());
    }

    #[test]
    fn an_open_place_is_split_out_and_cannot_be_filtered() {
        assert_eq!(render("p={{ secret('pw') }};"), Ok("p=<secret pw>;".into()));
        assert_eq!(render("{{ capture(\"c\") }}"), Ok("<captured c>".into()));
        for bad in [
            "{{ secret('pw') | upper }}",
            "{{ secret('pw') ~ 'x' }}",
            "{% set x = secret('pw') %}{{ x | trim }}",
            "{{ secret('other') }}",
            "\u{E000}sS:pw\u{E001}",
            r#"{{ "\ue000sS:other\ue001" }}"#,
            "{% set x %}{{ secret('pw') }}{% endset %}{{ x | replace('pw', 'other') }}",
        ] {
            assert!(render(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_with_marker_characters_is_refused() {
        let mut scope = scope();
        scope.vars.insert("x".into(), "\u{E000}sS:pw\u{E001}".into());
        let found = templates(&[]).text(&Template("{{ vars.x }}".into()), &scope);
        assert_eq!(found, Err(TemplateError::Marker));
    }

    #[test]
    fn marker_characters_of_another_node_are_refused_by_the_text_that_looks_at_it() {
        let mut scope = scope();
        let first = &mut Arc::make_mut(&mut scope.nodes)[0];
        first.vars.insert("x".into(), "\u{E000}sS:pw\u{E001}".into());
        let text = |source: &str| templates(&[]).text(&Template(source.into()), &scope);
        for looks in
            ["{{ nodes[0].name }}", "{{ (role('anm') | first).name }}", "{{ nodes | list }}"]
        {
            assert_eq!(text(looks), Err(TemplateError::Marker), "{looks}");
        }
        assert_eq!(text("{{ nodes | length }}{{ nodes[1].name }}"), Ok(Text::literal("2b")));
    }

    #[test]
    fn a_condition_takes_the_texts_true_and_false_and_no_other() {
        let holds = |source: &str| templates(&[]).condition(&Template(source.into()), &scope());
        assert_eq!(holds("vars.on"), Ok(false));
        assert_eq!(holds("vars.own == 'of b'"), Ok(true));
        assert_eq!(holds("'anm' in node.roles"), Ok(false));
        assert!(holds("vars.own").is_err());
        assert!(holds("vars.nope").is_err());
        assert!(holds("secret('pw')").is_err());
        assert!(holds("secret ('pw') == 'x'").is_err());
    }
}
