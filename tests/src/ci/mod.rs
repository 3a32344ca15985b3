//! CI systems' jobs, run as their runners run them.

mod expression;
pub mod github;
pub mod gitlab;
pub mod user;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the project's own files are.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in the project")
}

/// A YAML file of the project.
#[track_caller]
pub fn yaml(path: &str) -> Value {
    let path: PathBuf = project().join(path);
    let text = std::fs::read_to_string(&path).expect("a file of the project");
    parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML document.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// The members of a mapping as texts; none where it is not there.
#[track_caller]
fn texts(mapping: &Value) -> Vec<(String, String)> {
    let members = mapping.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// A scalar as text.
#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}
