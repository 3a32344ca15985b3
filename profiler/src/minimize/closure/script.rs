//! Interpreters of scripts: the first line, and what `env` looks up.

use std::io::{BufRead as _, BufReader, Read as _};

use super::Environment;
use crate::image::{ImageError, NodeId};
use crate::minimize::keep::{Keeper, Rule};

/// The kernel reads no more of a first line (`BINPRM_BUF_SIZE`).
const LINE_MAX: u64 = 256;

/// Keeps the interpreter of a script that may be executed.
///
/// # Errors
/// When the script cannot be read.
pub fn keep(
    keeper: &mut Keeper<'_>,
    id: NodeId,
    environment: &Environment,
) -> Result<(), ImageError> {
    if keeper.tree.node(id).mode & 0o111 == 0 {
        return Ok(());
    }
    let Some(reader) = keeper.tree.open(id)? else { return Ok(()) };
    let mut line = Vec::new();
    let mut reader = BufReader::with_capacity(LINE_MAX as usize, reader.take(LINE_MAX));
    if reader.read_until(b'\n', &mut line).is_err() {
        return Ok(());
    }
    let words: Vec<&[u8]> = line
        .strip_prefix(b"#!")
        .unwrap_or_default()
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let Some((&interpreter, arguments)) = words.split_first() else { return Ok(()) };
    let script = keeper.shown(id);
    let detail = format!("interpreter of {script}");
    if interpreter.starts_with(b"/")
        && keeper.keep_walk(interpreter, true, Rule::Script, &detail).is_none()
    {
        let name = String::from_utf8_lossy(interpreter);
        keeper.plan.warnings.push(format!("{script} names interpreter {name}, which is not there"));
    }
    if interpreter.ends_with(b"/env") {
        // Options and assignments come before the program.
        let program =
            arguments.iter().find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
        if let Some(program) = program {
            keep_program(keeper, program, environment, Rule::Script, &detail);
        }
    }
    Ok(())
}

/// Keeps a program as `execvp` would find it: by its path, else by `PATH`.
pub fn keep_program(
    keeper: &mut Keeper<'_>,
    program: &[u8],
    environment: &Environment,
    rule: Rule,
    detail: &str,
) {
    if program.contains(&b'/') {
        keeper.keep_walk(program, true, rule, detail);
        return;
    }
    for directory in &environment.path {
        let path = [directory.as_bytes(), b"/", program].concat();
        let end = keeper.tree.walk(&path, true).end;
        if end.is_some_and(|end| keeper.tree.node(end).mode & 0o111 != 0) {
            keeper.keep_walk(&path, true, rule, detail);
            return;
        }
    }
}
