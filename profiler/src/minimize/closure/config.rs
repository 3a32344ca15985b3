//! What the image config names.

use serde_json::Value;

use super::Environment;
use super::script::keep_program;
use crate::image::NodeId;
use crate::minimize::keep::{Keeper, Rule};

/// Keeps the working directory, volumes, the programs of entrypoint, command
/// and health check, and the user's home.
pub fn keep(keeper: &mut Keeper<'_>, environment: &Environment) {
    let config = &environment.config;
    if let Some(directory) = config.get("WorkingDir").and_then(Value::as_str)
        && !directory.is_empty()
    {
        keeper.keep_walk(directory.as_bytes(), true, Rule::Config, "working directory");
    }
    for volume in config.get("Volumes").and_then(Value::as_object).into_iter().flatten() {
        if let Some(top) = keeper.keep_walk(volume.0.as_bytes(), true, Rule::Mount, "volume") {
            volume_content(keeper, top);
        }
    }
    let entrypoint = words(config.get("Entrypoint"));
    let command = words(config.get("Cmd"));
    // The command is a program only where there is no entrypoint; with one
    // it is its arguments.
    let main = entrypoint.first().or_else(|| command.first());
    if let Some(program) = main {
        keep_program(keeper, program.as_bytes(), environment, Rule::Config, "entrypoint");
    }
    let health = words(config.get("Healthcheck").and_then(|check| check.get("Test")));
    match health.first().map(String::as_str) {
        Some("CMD") => {
            if let Some(program) = health.get(1) {
                keep_program(keeper, program.as_bytes(), environment, Rule::Config, "health check");
            }
        }
        Some("CMD-SHELL") => {
            let shell = words(config.get("Shell"));
            let shell = shell.first().map_or("/bin/sh", String::as_str);
            keep_program(keeper, shell.as_bytes(), environment, Rule::Config, "health check");
        }
        _ => {}
    }
    let user = config.get("User").and_then(Value::as_str).unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    if let Some(home) = home(keeper, if user.is_empty() { "0" } else { user })
        && keeper.tree.walk(&home, true).end.is_some()
    {
        keeper.keep_walk(&home, true, Rule::Config, "home directory of the user");
    }
}

/// Keeps what the image has at a declared volume: engines copy it into every
/// new one, and what programs read there is the volume's file then, which no
/// profile holds.
fn volume_content(keeper: &mut Keeper<'_>, top: NodeId) {
    let mut pending: Vec<NodeId> = keeper.tree.children(top).collect();
    while let Some(id) = pending.pop() {
        pending.extend(keeper.tree.children(id));
        keeper.keep(id, Rule::Mount, "content that new volumes get");
    }
}

/// A list of words; the shell form is a single string there.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(list)) => {
            list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        }
        Some(Value::String(word)) => vec![word.clone()],
        _ => Vec::new(),
    }
}

/// Home directory of a user, by name or number, from the image's passwd.
fn home(keeper: &Keeper<'_>, user: &str) -> Option<Vec<u8>> {
    use std::io::Read as _;
    const PASSWD_MAX: u64 = 4 << 20;
    let id = keeper.tree.walk(b"/etc/passwd", true).end?;
    let mut text = Vec::new();
    keeper.tree.open(id).ok()??.take(PASSWD_MAX).read_to_end(&mut text).ok()?;
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        let [name, _, uid, _, _, home, ..] = fields.as_slice() else { return None };
        (*name == user.as_bytes() || *uid == user.as_bytes()).then(|| home.to_vec())
    })
}
