//! What a running `runc` or `crun` was told on its command line.
//!
//! A container's state file may be there for a few milliseconds; the runtime
//! that makes it runs from before the directory for it appears until the
//! container has ended.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// The bundle of which a runtime of this machine makes or runs the container
/// of that ID at this moment.
pub fn bundle(id: &[u8]) -> Option<PathBuf> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = namespace("self")?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut found = processes.filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        let told = bundle_of(&words, id)?;
        // One in a container means paths of its own, or to deceive.
        if namespace(process.file_name().to_str()?).as_ref() != Some(&own) {
            return None;
        }
        let directory = fs::read_link(process.path().join("cwd")).ok()?;
        Some(directory.join(told))
    });
    found.next()
}

/// The bundle that a runtime's command line names for that container; empty
/// where it is the current directory.
fn bundle_of(words: &[&[u8]], id: &[u8]) -> Option<PathBuf> {
    let (program, words) = words.split_first()?;
    let program = Path::new(std::str::from_utf8(program).ok()?).file_name()?.to_str()?;
    let verbs: [&[u8]; 3] = [b"run", b"create", b"restore"];
    if !["runc", "crun"].contains(&program)
        || !words.contains(&id)
        || !words.iter().any(|word| verbs.contains(word))
    {
        return None;
    }
    let mut rest = words.iter();
    while let Some(&word) = rest.next() {
        if [&b"--bundle"[..], b"-bundle", b"-b"].contains(&word) {
            return rest.next().map(|&path| to_path(path));
        }
        let prefixes: [&[u8]; 3] = [b"--bundle=", b"-bundle=", b"-b="];
        if let Some(path) = prefixes.iter().find_map(|prefix| word.strip_prefix(*prefix)) {
            return Some(to_path(path));
        }
    }
    Some(PathBuf::new())
}

fn to_path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_runtimes() {
        let of =
            |line: &str| bundle_of(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>(), b"web");
        assert_eq!(of("/usr/sbin/runc run --bundle /b web"), Some("/b".into()));
        assert_eq!(of("crun --root /r create -b=b web"), Some("b".into()));
        assert_eq!(of("runc run web"), Some(PathBuf::new()));
        for other in ["runc run other", "runc delete web", "sh -c run web", "runc"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
