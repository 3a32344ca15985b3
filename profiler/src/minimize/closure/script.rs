//! Interpreters of scripts: the first line, and what `env` looks up.
//!
//! An interpreter that is a script itself is looked at in its turn.

use std::io::{BufRead as _, BufReader, Read as _};

use super::Environment;
use super::directories;
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
    let line = line.strip_prefix(b"#!").unwrap_or_default().trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (interpreter, argument) = (&line[..end], line[end..].trim_ascii());
    if interpreter.is_empty() {
        return Ok(());
    }
    let script = keeper.shown(id);
    let detail = format!("interpreter of {script}");
    let absolute = absolute(interpreter, environment);
    if keeper.keep_walk(&absolute, true, Rule::Script, &detail).is_none() {
        let name = String::from_utf8_lossy(interpreter);
        keeper.plan.warnings.push(format!("{script} names interpreter {name}, which is not there"));
    }
    if interpreter.ends_with(b"/env") {
        keep_env(keeper, argument, environment, &script, &detail);
    }
    Ok(())
}

/// Keeps the program that `env` would run.
fn keep_env(
    keeper: &mut Keeper<'_>,
    argument: &[u8],
    environment: &Environment,
    script: &str,
    detail: &str,
) {
    let Some(env) = Env::parse(argument) else { return };
    let path = env.path.map(|path| directories(&String::from_utf8_lossy(&path)));
    let path = path.as_ref().unwrap_or(&environment.path);
    let found = match &env.directory {
        Some(directory) if env.program.contains(&b'/') && !env.program.starts_with(b"/") => {
            let program = [directory, &b"/"[..], &env.program].concat();
            keep_found(keeper, &program, environment, path, Rule::Script, detail)
        }
        _ => keep_found(keeper, &env.program, environment, path, Rule::Script, detail),
    };
    if !found {
        let name = String::from_utf8_lossy(&env.program);
        keeper.plan.warnings.push(format!("{script} asks env for {name}, which is not in PATH"));
    }
}

/// Arguments of `env`, as coreutils and busybox take them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Env {
    /// What it runs.
    program: Vec<u8>,
    /// `PATH` among the assignments.
    path: Option<Vec<u8>>,
    /// `--chdir`.
    directory: Option<Vec<u8>>,
}

impl Env {
    /// None where no program is named. The kernel hands over all words as one
    /// argument; what then would not start anyway is read as if it were split.
    fn parse(argument: &[u8]) -> Option<Self> {
        let mut words = split(argument).into_iter();
        let mut env = Self::default();
        while let Some(mut word) = words.next() {
            // `-S` stands for what it splits: that follows, or is attached.
            for option in [&b"-S"[..], b"-vS", b"-iS", b"-ivS", b"--split-string="] {
                if let Some(rest) = word.strip_prefix(option) {
                    word = rest.to_vec();
                    break;
                }
            }
            match word.as_slice() {
                b"" | b"-" | b"--split-string" => {}
                b"-u" | b"--unset" | b"-a" | b"--argv0" => drop(words.next()),
                b"-C" | b"--chdir" => env.directory = words.next(),
                other if other.starts_with(b"--chdir=") => {
                    env.directory = Some(other[b"--chdir=".len()..].to_vec());
                }
                other if other.starts_with(b"-") => {}
                other if other.contains(&b'=') => {
                    if let Some(path) = other.strip_prefix(b"PATH=") {
                        env.path = Some(path.to_vec());
                    }
                }
                _ => {
                    env.program = word;
                    return Some(env);
                }
            }
        }
        None
    }
}

/// Splits words at blanks; quotes and backslashes hold them together, as in
/// env's `--split-string`.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', quote) if quote != Some(b'\'') => match (bytes.next(), quote) {
                // A blank outside quotes ends a word, one inside is a blank.
                (Some(b'_'), None) => words.extend(word.take()),
                (Some(b'_'), _) => word.get_or_insert_default().push(b' '),
                (Some(byte), _) => word.get_or_insert_default().push(byte),
                (None, _) => {}
            },
            (byte, Some(end)) if byte == end => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, None) if byte.is_ascii_whitespace() => words.extend(word.take()),
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

/// Keeps a program as `execvp` would find it: by its path, else by `PATH`.
pub fn keep_program(
    keeper: &mut Keeper<'_>,
    program: &[u8],
    environment: &Environment,
    rule: Rule,
    detail: &str,
) {
    keep_found(keeper, program, environment, &environment.path, rule, detail);
}

fn keep_found(
    keeper: &mut Keeper<'_>,
    program: &[u8],
    environment: &Environment,
    path: &[String],
    rule: Rule,
    detail: &str,
) -> bool {
    if program.contains(&b'/') {
        return keeper.keep_walk(&absolute(program, environment), true, rule, detail).is_some();
    }
    for directory in path {
        let path = [directory.as_bytes(), b"/", program].concat();
        let end = keeper.tree.walk(&path, true).end;
        if end.is_some_and(|end| keeper.tree.node(end).mode & 0o111 != 0) {
            keeper.keep_walk(&path, true, rule, detail);
            return true;
        }
    }
    false
}

/// A relative path is meant from where programs start.
fn absolute(path: &[u8], environment: &Environment) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    [environment.directory().as_bytes(), b"/", path].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_runs_the_first_word_that_is_no_option_and_no_assignment() {
        let program = |argument: &str| {
            Env::parse(argument.as_bytes()).map(|env| String::from_utf8(env.program).unwrap())
        };
        for (argument, expected) in [
            ("python3", "python3"),
            ("python3 -u", "python3"),
            ("-S python3 -u", "python3"),
            ("-Spython3 -u", "python3"),
            ("-vS python3", "python3"),
            ("--split-string=python3 -u", "python3"),
            ("-S -i A=1 B=2 python3", "python3"),
            ("-S -u LANG -C /srv perl -w", "perl"),
            ("-S --unset=LANG --chdir=/srv perl", "perl"),
            ("-S \"/opt/my tool\" -x", "/opt/my tool"),
            ("-S 'A=x y' ruby", "ruby"),
            ("-S A=b\\_ruby", "ruby"),
        ] {
            assert_eq!(program(argument).as_deref(), Some(expected), "{argument}");
        }
        assert_eq!(program("-S A=1"), None);
        assert_eq!(program(""), None);
    }

    #[test]
    fn env_takes_a_path_and_a_directory() {
        let env = Env::parse(b"-S -C /srv PATH=/opt/bin:/bin tool").unwrap();
        assert_eq!(env.path.unwrap(), b"/opt/bin:/bin");
        assert_eq!(env.directory.unwrap(), b"/srv");
    }
}
