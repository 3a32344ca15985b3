//! The published schema of profiles.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// The schema as it is published.
pub const PROFILE: &str = include_str!("../../docs/profile.schema.json");

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(PROFILE).expect("the schema is JSON");
    jsonschema::meta::validate(&schema).expect("the schema keeps to its draft");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
});

/// What is wrong with a profile by its schema; empty when nothing is.
pub fn findings(profile: &Value) -> Vec<String> {
    let errors = VALIDATOR.iter_errors(profile);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}
