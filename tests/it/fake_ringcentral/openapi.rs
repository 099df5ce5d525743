//! Whether a request is one that RingCentral's public OpenAPI accepts.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Recorded;

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Excerpt {
        operations: Vec<Operation>,
    }
    let text = include_str!("../../fixtures/ringcentral-openapi.json");
    serde_json::from_str::<Excerpt>(text).expect("the excerpt is well formed").operations
});

/// One operation of the excerpt.
#[derive(Deserialize)]
pub struct Operation {
    method: String,
    path: String,
    auth: String,
    content_type: Option<String>,
    #[serde(default)]
    query: Map<String, Value>,
    body: Option<Vec<String>>,
    form: Option<Vec<String>>,
    pub group: String,
}

/// The operation a request asks for, or what is wrong with the request.
pub fn operation(request: &Recorded) -> Result<&'static Operation, String> {
    let operation = OPERATIONS
        .iter()
        .find(|one| one.method == request.method && one.fits(&request.path))
        .ok_or("there is no such operation")?;
    operation.check(request)?;
    Ok(operation)
}

impl Operation {
    fn fits(&self, path: &str) -> bool {
        let (template, path): (Vec<&str>, Vec<&str>) = (self.path.split('/').collect(), path.split('/').collect());
        let same = |(part, given): (&&str, &&str)| part == given || (part.starts_with('{') && !given.is_empty());
        template.len() == path.len() && template.iter().zip(&path).all(same)
    }

    fn check(&self, request: &Recorded) -> Result<(), String> {
        for (name, value) in &request.query {
            let kind = self.query.get(name).and_then(Value::as_str).ok_or(format!("no parameter {name}"))?;
            let fits = match kind {
                "boolean" => value == "true" || value == "false",
                "integer" => value.parse::<u32>().is_ok_and(|number| number > 0),
                _ => !value.is_empty(),
            };
            if !fits {
                return Err(format!("{name}={value} is no {kind}"));
            }
        }
        let content_type = request.content_type.as_deref().map(|value| value.split(';').next().unwrap_or_default());
        if content_type != self.content_type.as_deref() {
            return Err(format!("content type {content_type:?}, not {:?}", self.content_type));
        }
        let authorization = request.authorization.as_deref().unwrap_or_default();
        let authorized = match self.auth.as_str() {
            "bearer" => authorization.starts_with("Bearer ") && authorization.len() > "Bearer ".len(),
            // A public app says who it is in the form.
            _ => authorization.starts_with("Basic ") || request.form("client_id").is_some(),
        };
        if !authorized {
            return Err(format!("authorization is not {}", self.auth));
        }
        match (&self.body, &self.form) {
            (Some(fields), _) => fields_of(&request.json(), fields),
            (_, Some(fields)) => {
                let form = request.form_fields().into_iter().map(|(name, value)| (name, value.into())).collect();
                fields_of(&Value::Object(form), fields)
            }
            (None, None) if request.body.is_empty() => Ok(()),
            (None, None) => Err("a body where none belongs".into()),
        }
    }
}

fn fields_of(body: &Value, allowed: &[String]) -> Result<(), String> {
    let body = body.as_object().ok_or("the body is no object")?;
    for field in allowed.iter().filter_map(|field| field.strip_suffix('!')) {
        if !body.contains_key(field) {
            return Err(format!("{field} is missing"));
        }
    }
    match body.keys().find(|key| !allowed.iter().any(|field| field.trim_end_matches('!') == *key)) {
        Some(unknown) => Err(format!("no field {unknown}")),
        None => Ok(()),
    }
}

/// Operations of the excerpt that none of these requests asked for.
pub fn never_asked(requests: &[Recorded]) -> Vec<String> {
    let asked = |one: &&Operation| requests.iter().any(|it| one.method == it.method && one.fits(&it.path));
    OPERATIONS.iter().filter(|one| !asked(one)).map(|one| format!("{} {}", one.method, one.path)).collect()
}
