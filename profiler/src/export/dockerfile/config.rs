//! The image's config as instructions.

use std::io::Write;

use serde_json::Value;

use crate::export::ExportError;

/// Writes the config as instructions.
///
/// # Errors
/// When a value has a line break, or writing fails.
pub fn instructions(config: &Value, writer: &mut dyn Write) -> Result<(), ExportError> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    let keys = |key: &str| {
        let map = config.get(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    for entry in config.get("Env").and_then(Value::as_array).into_iter().flatten() {
        if let Some((name, value)) = entry.as_str().and_then(|entry| entry.split_once('=')) {
            writeln!(
                writer,
                "ENV {}={}",
                one_line("a variable's name", name)?,
                quoted("a variable", value)?
            )?;
        }
    }
    for (key, value) in config.get("Labels").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        writeln!(writer, "LABEL {}={}", quoted("a label", key)?, quoted("a label", value)?)?;
    }
    for port in keys("ExposedPorts") {
        writeln!(writer, "EXPOSE {}", one_line("a port", &port)?)?;
    }
    if let Some(directory) = text("WorkingDir") {
        writeln!(
            writer,
            "WORKDIR {}",
            one_line("the working directory", directory)?.replace('$', "\\$")
        )?;
    }
    if let Some(user) = text("User") {
        writeln!(writer, "USER {}", one_line("the user", user)?)?;
    }
    let volumes = keys("Volumes");
    if !volumes.is_empty() {
        writeln!(writer, "VOLUME {}", Value::from(volumes))?;
    }
    if let Some(signal) = text("StopSignal") {
        writeln!(writer, "STOPSIGNAL {}", one_line("the stop signal", signal)?)?;
    }
    for (instruction, key) in [("SHELL", "Shell"), ("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")] {
        if let Some(list @ Value::Array(words)) = config.get(key)
            && !words.is_empty()
        {
            writeln!(writer, "{instruction} {list}")?;
        }
    }
    if let Some(check) = config.get("Healthcheck") {
        health_check(check, writer)?;
    }
    Ok(())
}

fn health_check(check: &Value, writer: &mut dyn Write) -> Result<(), ExportError> {
    let Some(test) = check.get("Test").and_then(Value::as_array) else { return Ok(()) };
    let Some((kind, words)) = test.split_first() else { return Ok(()) };
    if kind.as_str() == Some("NONE") {
        writeln!(writer, "HEALTHCHECK NONE")?;
        return Ok(());
    }
    let mut options = String::new();
    for (option, key) in
        [("interval", "Interval"), ("timeout", "Timeout"), ("start-period", "StartPeriod")]
    {
        if let Some(nanoseconds) = check.get(key).and_then(Value::as_i64).filter(|&n| n > 0) {
            options.push_str(&format!("--{option}={nanoseconds}ns "));
        }
    }
    if let Some(retries) = check.get("Retries").and_then(Value::as_i64).filter(|&n| n > 0) {
        options.push_str(&format!("--retries={retries} "));
    }
    match (kind.as_str(), words) {
        (Some("CMD-SHELL"), [command]) => {
            let command = one_line("the health check", command.as_str().unwrap_or_default())?;
            writeln!(writer, "HEALTHCHECK {options}CMD {command}")?;
        }
        _ => writeln!(writer, "HEALTHCHECK {options}CMD {}", Value::from(words))?,
    }
    Ok(())
}

/// A value that would end its instruction, and begin another, is refused.
fn one_line<'a>(what: &str, value: &'a str) -> Result<&'a str, ExportError> {
    if value.contains(['\n', '\r']) {
        return Err(ExportError::LineBreak(what.to_owned()));
    }
    Ok(value)
}

/// A value in double quotes; builders expand variables in there.
fn quoted(what: &str, value: &str) -> Result<String, ExportError> {
    let value = one_line(what, value)?;
    let mut quoted = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_becomes_instructions() {
        let config = serde_json::json!({
            "Env": ["PATH=/bin", "MONEY=a\"$b"],
            "User": "www",
            "WorkingDir": "/srv",
            "Entrypoint": ["nginx", "-g"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true || false"], "Interval": 5_000_000_000_i64},
        });
        let mut text = Vec::new();
        instructions(&config, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "ENV PATH=\"/bin\"\nENV MONEY=\"a\\\"\\$b\"\nWORKDIR /srv\nUSER www\n\
             ENTRYPOINT [\"nginx\",\"-g\"]\nHEALTHCHECK --interval=5000000000ns CMD true || false\n"
        );
    }

    #[test]
    fn a_line_break_does_not_become_an_instruction() {
        for config in [
            serde_json::json!({"Env": ["A=x\nRUN y"]}),
            serde_json::json!({"Labels": {"a": "x\r\nUSER 0"}}),
            serde_json::json!({"User": "x\nUSER 0"}),
            serde_json::json!({"WorkingDir": "/x\nUSER 0"}),
            serde_json::json!({"ExposedPorts": {"80\nUSER 0": {}}}),
            serde_json::json!({"Healthcheck": {"Test": ["CMD-SHELL", "x\nUSER 0"]}}),
        ] {
            let error = instructions(&config, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains("line break"), "{error}");
        }
        let mut text = Vec::new();
        instructions(&serde_json::json!({"Cmd": ["x\ny"]}), &mut text).unwrap();
        assert_eq!(text, b"CMD [\"x\\ny\"]\n");
    }
}
