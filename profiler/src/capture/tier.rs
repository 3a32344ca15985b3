//! The two tiers of hooks, and what each hooks into.

use std::fmt;
use std::str::FromStr;

use super::btf::Btf;

/// Where in the kernel touches are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The kernel's own open and lookup functions. Costs unrelated system
    /// calls nothing.
    Fexit,
    /// Tracepoints at the end of system calls and in io_uring.
    Tracepoint,
}

impl Tier {
    /// All, best first.
    pub const ALL: [Self; 2] = [Self::Fexit, Self::Tracepoint];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// What this tier cannot see, and why.
    pub fn blind_spots(self) -> &'static [&'static str] {
        match self {
            Self::Fexit => &[],
            Self::Tracepoint => &[
                "io_uring opens into the ring's own table of files leave no descriptor: recorded by name, whether or not they succeed",
                "32-bit programs' socketcall() and old mmap() keep their arguments in memory: not read",
                "a relative chdir is recorded by where it led: a symlink in such a name is not",
            ],
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.name() == text)
            .ok_or_else(|| format!("no tier {text}; there are fexit and tracepoint"))
    }
}

/// A program and the places it may be hooked to, the first that exists.
struct Hook {
    /// Name of the program.
    program: &'static str,
    /// Kernel functions or tracepoints, newest name last.
    candidates: &'static [&'static str],
    /// Parameters that a function must have; what it returns comes after them.
    parameters: usize,
}

const fn function(
    program: &'static str,
    candidates: &'static [&'static str],
    parameters: usize,
) -> Hook {
    Hook { program, candidates, parameters }
}

/// Kernel functions of the fexit tier; it needs all of them.
const FUNCTIONS: &[Hook] = &[
    function("open", &["do_filp_open", "do_file_open"], 3),
    function("open_root", &["do_file_open_root"], 3),
    function("lookup", &["filename_lookup"], 5),
    function("create", &["filename_create"], 4),
    function("unlink", &["do_unlinkat", "filename_unlinkat"], 2),
    function("rmdir", &["do_rmdir", "filename_rmdir"], 2),
    function("rename", &["do_renameat2", "filename_renameat2"], 5),
    function("map", &["ksys_mmap_pgoff"], 6),
    function("list", &["iterate_dir"], 2),
];

impl Hook {
    /// The candidate that the running kernel has, in the shape expected.
    fn find(&self, btf: &Btf) -> Option<&'static str> {
        let fits = |name: &&str| btf.parameters(name) == Some(self.parameters);
        self.candidates.iter().copied().find(fits)
    }
}

/// io_uring's tracepoints, newest name last.
const URING: [Hook; 2] = [
    function("uring_submit", &["io_uring_submit_sqe", "io_uring_submit_req"], 0),
    function("uring_complete", &["io_uring_complete"], 0),
];

/// What of the hooks the running kernel has. The description of a kernel's
/// types takes tens of megabytes, so that it is asked once and let go.
pub struct Found {
    /// Program and function of the fexit tier; or what is not there.
    pub functions: Result<Vec<(&'static str, &'static str)>, String>,
    /// Program and tracepoint of io_uring; a kernel without io_uring has
    /// nothing to miss.
    pub uring: Vec<(&'static str, &'static str)>,
    /// Whether `io_uring_complete` passes the result itself: before 6.14 it
    /// had seven arguments (and `void *` before them).
    pub uring_passes_result: bool,
}

impl Found {
    /// Looks every hook up.
    pub fn in_btf(btf: &Btf) -> Self {
        // The function that calls a tracepoint's programs.
        let of_tracepoint = |name: &str| btf.parameters(&format!("__bpf_trace_{name}"));
        let function = |hook: &Hook| {
            hook.find(btf).map(|name| (hook.program, name)).ok_or_else(|| {
                let names = hook.candidates.join(" or ");
                format!("this kernel has no function {names} of the shape expected")
            })
        };
        Self {
            functions: FUNCTIONS.iter().map(function).collect(),
            uring: URING
                .iter()
                .filter_map(|hook| {
                    let mut names = hook.candidates.iter().copied();
                    Some((hook.program, names.find(|name| of_tracepoint(name).is_some())?))
                })
                .collect(),
            uring_passes_result: of_tracepoint("io_uring_complete").is_some_and(|count| count > 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_known_by_name() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        assert!("kprobe".parse::<Tier>().is_err());
    }

    #[test]
    fn the_running_kernel_has_every_hook() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let found = Found::in_btf(&btf);
        assert_eq!(found.functions.unwrap().len(), FUNCTIONS.len());
        assert_eq!(found.uring.len(), URING.len());
    }
}
