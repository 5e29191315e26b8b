//! The seam to the template engine: planning says what is rendered in which scope, and whoever
//! reads configurations renders it. Neither knows the other, so what they share stands here.

use crate::plan::Release;
use crate::text::{Template, Text};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

/// Renders templates and conditions of a procedure.
pub trait Render {
    /// The text, with `secret(..)` and `capture(..)` left as open places.
    ///
    /// # Errors
    /// An unknown name, a syntax error, a filter applied to an open place.
    fn text(&self, template: &Template, scope: &Scope) -> Result<Text, RenderError>;

    /// Whether the condition (an expression without braces, as in `when:`) holds.
    ///
    /// # Errors
    /// An unknown name, a syntax error, an open place.
    fn condition(&self, template: &Template, scope: &Scope) -> Result<bool, RenderError>;
}

/// What a template can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `vars.*`: the operator's, over them the node's. A default of the procedure stands behind
    /// them, whether or not it is among them.
    pub vars: BTreeMap<String, String>,
    /// `node.*`: the node the text is for; absent for what is done once for the fleet.
    pub node: Option<NodeScope>,
    /// `nodes`, `role('...')`: all nodes, in declared order. Shared, because every text of a plan
    /// is rendered with the same ones.
    pub nodes: Arc<[NodeScope]>,
    /// `release.from`, `release.to`
    pub release: Release,
    /// `fleet.name`
    pub fleet: String,
}

/// What a template can see of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeScope {
    /// Its name.
    pub name: String,
    /// Host name or IP address.
    pub address: String,
    /// Its failure domain; empty when it declares none.
    pub zone: String,
    /// Its group.
    pub group: String,
    /// Its roles, declared and found.
    pub roles: BTreeSet<String>,
    /// Its own variables.
    pub vars: BTreeMap<String, String>,
}

/// Why a template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The template as written.
    pub template: String,
    /// What is wrong, as a fragment that fits "cannot be rendered: ...".
    pub why: String,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { template, why } = self;
        write!(f, "{template:?} cannot be rendered: {why}")
    }
}

impl core::error::Error for RenderError {}
