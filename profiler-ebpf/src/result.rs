//! What an error says of the name it is about.

/// Outcome of a system call or kernel function as far as its name goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Done,
    /// The name does not exist.
    Missing,
    /// It failed, but the name exists.
    Refused,
    /// It failed before the name was looked at.
    Unknown,
}

const ENOENT: i64 = -2;
const ENOTDIR: i64 = -20;
/// EINTR, EBADF, EFAULT, ENFILE, EMFILE, ENAMETOOLONG, ENOSYS.
const NOTHING_LEARNT: [i64; 7] = [-4, -9, -14, -23, -24, -36, -38];
/// For an open also EINVAL, flags that do not go together, and EAGAIN:
/// io_uring tries first what is cached, and then again.
const OPEN_NOTHING_LEARNT: [i64; 2] = [-22, -11];

/// Sorts a result; errors are -1 to -4095.
#[inline(always)]
pub fn sort(result: i64, open: bool) -> Outcome {
    if !(-4095..0).contains(&result) {
        Outcome::Done
    } else if result == ENOENT || result == ENOTDIR {
        Outcome::Missing
    } else if NOTHING_LEARNT.contains(&result) || open && OPEN_NOTHING_LEARNT.contains(&result) {
        Outcome::Unknown
    } else {
        Outcome::Refused
    }
}
