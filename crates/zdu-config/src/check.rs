//! Compares a tree with the JSON Schema of the raw types and reports everything that does not fit,
//! not only the first. So one set of types gives the parser, the published schema and the errors.

use crate::diagnostic::{Findings, Place, nearest, suggest};
use crate::tree::{Key, Kind, Tree, shown};
use serde_json::{Map, Value};

/// Reports everything in `tree` that the schema does not allow.
pub(crate) fn check(tree: &Tree, root: &Value, findings: &mut Findings) {
    let mut checker = Checker { root, findings, path: Vec::new() };
    checker.value(tree, root);
}

struct Checker<'a> {
    root: &'a Value,
    findings: &'a mut Findings,
    path: Vec<String>,
}

impl<'a> Checker<'a> {
    fn value(&mut self, tree: &Tree, schema: &'a Value) {
        let schema = self.resolve(schema);
        let nullable = allows_null(schema);
        if let (Kind::Null, true) = (&tree.kind, nullable) {
            return;
        }
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            // schemars writes an optional reference as `anyOf: [reference, null]`.
            let real = options.iter().find(|option| !is_null_type(option));
            if let Some(real) = real {
                self.value(tree, real);
            }
            return;
        }
        if is_choice(schema) {
            self.choice(tree, schema);
            return;
        }
        let kinds = types(schema);
        let Some(expected) = kinds.iter().find(|kind| **kind != "null") else {
            return;
        };
        match (&tree.kind, *expected) {
            (Kind::Map(entries), "object") => self.object(entries, tree.place, schema),
            (Kind::List(items), "array") => self.list(items, schema),
            (Kind::Scalar { .. }, "string") => {}
            (Kind::Scalar { text, quoted }, "integer") => {
                self.integer(tree.place, text, *quoted, schema);
            }
            (Kind::Scalar { text, quoted }, "boolean") => {
                if *quoted || !matches!(text.as_str(), "true" | "false") {
                    let message = format!("{} must be true or false", self.here());
                    let hint = self.example("true");
                    self.findings.error_hint(tree.place, message, hint);
                }
            }
            (found, expected) => self.wrong(tree.place, expected, found),
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        // References of references do not nest deeper than the types do.
        for _ in 0..16 {
            let Some(name) = schema.get("$ref").and_then(Value::as_str) else {
                break;
            };
            let pointer = name.trim_start_matches('#');
            match self.root.pointer(pointer) {
                Some(found) => schema = found,
                None => break,
            }
        }
        schema
    }

    fn object(&mut self, entries: &[(Key, Tree)], place: Place, schema: &'a Value) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let rest = schema
            .get("additionalProperties")
            .filter(|rest| rest.is_object() || **rest == Value::Bool(true));
        for (key, tree) in entries {
            let known = properties.and_then(|all| all.get(&key.text));
            match known.or(rest) {
                Some(schema) => {
                    let first = self.findings.count();
                    self.path.push(key.text.clone());
                    self.value(tree, schema);
                    self.path.pop();
                    // Whatever was written under this key, it may be the secret itself.
                    if key.text == "secrets" {
                        self.findings.conceal_from(first);
                    }
                }
                None => self.unknown_key(key, properties),
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            // A key that is this one misspelt has been reported with the right name.
            let given = |key: &Key| {
                key.text == name
                    || (properties.is_some_and(|all| !all.contains_key(&key.text))
                        && nearest(&key.text, [name].into_iter()).is_some())
            };
            if !entries.iter().any(|(key, _)| given(key)) {
                let message = format!("`{name}` is missing in {}", self.here());
                let what = properties
                    .and_then(|all| all.get(name))
                    .map(|schema| describe(self.resolve(schema), schema));
                match what.flatten() {
                    Some(help) => {
                        let hint = format!("`{name}`: {help}");
                        self.findings.error_hint(place, message, hint);
                    }
                    None => self.findings.error(place, message),
                }
            }
        }
    }

    fn unknown_key(&mut self, key: &Key, known: Option<&Map<String, Value>>) {
        let names = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let hint = suggest(&key.text, names, "known keys");
        let message = format!("unknown key `{}` in {}", shown(&key.text), self.here());
        self.findings.error_hint(key.place, message, hint);
    }

    fn list(&mut self, items: &[Tree], schema: &'a Value) {
        let Some(schema) = schema.get("items") else {
            return;
        };
        for item in items {
            self.value(item, schema);
        }
    }

    fn integer(&mut self, place: Place, text: &str, quoted: bool, schema: &Value) {
        let number = text.parse::<i64>().ok().filter(|_| !quoted);
        let (low, high) = bounds(schema);
        let message = match number {
            None => {
                let message = format!("{} must be a whole number", self.here());
                let hint = self.example(&low.max(1).to_string());
                self.findings.error_hint(place, message, hint);
                return;
            }
            Some(number) if number < low || number > high => {
                format!("{} must be from {low} to {high}", self.here())
            }
            Some(_) => return,
        };
        self.findings.error(place, message);
    }

    fn choice(&mut self, tree: &Tree, schema: &'a Value) {
        let options = options(schema);
        let names = || options.iter().map(|(name, _)| *name);
        let (name, place, value) = match &tree.kind {
            Kind::Scalar { text, quoted: _ } => (text.as_str(), tree.place, None),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] => (key.text.as_str(), key.place, Some(value)),
                _ => {
                    let message = format!("{} must have exactly one key", self.here());
                    let hint = suggest("", names(), "one of");
                    self.findings.error_hint(tree.place, message, hint);
                    return;
                }
            },
            Kind::Null | Kind::List(_) => {
                let message = format!("{} must not be {}", self.here(), tree.kind.name());
                let hint = suggest("", names(), "one of");
                self.findings.error_hint(tree.place, message, hint);
                return;
            }
        };
        let Some((_, inner)) = options.iter().find(|(known, _)| *known == name) else {
            let message = format!("{} cannot be `{}`", self.here(), shown(name));
            let hint = suggest(name, names(), "one of");
            self.findings.error_hint(place, message, hint);
            return;
        };
        match (inner, value) {
            (Some(schema), Some(value)) => {
                self.path.push(name.to_owned());
                self.value(value, schema);
                self.path.pop();
            }
            (None, None) => {}
            (Some(_), None) => {
                let message = format!("`{name}` needs a value");
                let hint = format!("write `{{ {name}: ... }}`");
                self.findings.error_hint(place, message, hint);
            }
            (None, Some(_)) => {
                self.findings.error(place, format!("`{name}` takes no value"));
            }
        }
    }

    fn wrong(&mut self, place: Place, expected: &str, found: &Kind) {
        let wanted = match expected {
            "object" => "a map",
            "array" => "a list",
            "string" => "text",
            "integer" => "a whole number",
            other => other,
        };
        let message = format!("{} must be {wanted}, not {}", self.here(), found.name());
        let hint = match (expected, found) {
            ("array", Kind::Scalar { .. }) => "put it in brackets: `[ ... ]`".to_owned(),
            ("array", _) => self.example("[ ... ]"),
            ("object", _) => self.example("{ KEY: VALUE }"),
            ("integer", _) => self.example("1"),
            ("boolean", _) => self.example("true"),
            _ => self.example("TEXT"),
        };
        self.findings.error_hint(place, message, hint);
    }

    /// How a value of the right type looks at this place.
    fn example(&self, value: &str) -> String {
        match self.path.last() {
            Some(key) => format!("write it like `{}: {value}`", shown(key)),
            None => format!("write it like `{value}`"),
        }
    }

    /// The place in words: the last keys of the path.
    fn here(&self) -> String {
        match self.path.as_slice() {
            [] => "the document".to_owned(),
            [.., a, b] => format!("`{}.{}`", shown(a), shown(b)),
            [a] => format!("`{}`", shown(a)),
        }
    }
}

/// The first sentence of a description, of the property or of its type.
fn describe(resolved: &Value, schema: &Value) -> Option<String> {
    let text = |schema: &Value| schema.get("description")?.as_str().map(str::to_owned);
    let text = text(schema).or_else(|| text(resolved))?;
    let line = text.lines().next().unwrap_or_default();
    Some(line.trim_end_matches('.').to_owned())
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn allows_null(schema: &Value) -> bool {
    types(schema).contains(&"null")
        || schema
            .get("anyOf")
            .and_then(Value::as_array)
            .is_some_and(|options| options.iter().any(is_null_type))
}

fn is_null_type(schema: &Value) -> bool {
    types(schema) == ["null"]
}

/// Whether the schema is that of an externally tagged enum.
fn is_choice(schema: &Value) -> bool {
    schema.get("oneOf").is_some() || schema.get("enum").is_some()
}

/// The variants of an enum: name, and the schema of its value when it takes one.
fn options(schema: &Value) -> Vec<(&str, Option<&Value>)> {
    let list = |key| schema.get(key).and_then(Value::as_array);
    let mut all: Vec<(&str, Option<&Value>)> = Vec::new();
    for name in list("enum").into_iter().flatten().filter_map(Value::as_str) {
        all.push((name, None));
    }
    if let Some(name) = schema.get("const").and_then(Value::as_str) {
        all.push((name, None));
    }
    for option in list("oneOf").into_iter().flatten() {
        match option.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                all.extend(properties.iter().map(|(name, value)| (name.as_str(), Some(value))));
            }
            None => all.extend(options(option)),
        }
    }
    all
}

/// The numbers the schema's format allows.
fn bounds(schema: &Value) -> (i64, i64) {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
    let (low, high) = match format {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" => (0, i64::MAX),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    let at = |key| schema.get(key).and_then(Value::as_i64);
    (at("minimum").unwrap_or(low), at("maximum").unwrap_or(high))
}
