//! A layer's entries: what the tar headers say, and where they stand.

use super::sparse::Sparse;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Symbolic link with its target.
    Symlink(Vec<u8>),
    /// Another name of an entry before it, by that one's path.
    Hardlink(Vec<u8>),
    /// Character device.
    Char,
    /// Block device.
    Block,
    /// FIFO.
    Fifo,
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path components joined by `/`, no leading slash, no `.` or `..`;
    /// empty for the root directory.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content, as stored.
    pub size: u64,
    /// Where it has holes: what is stored of it, and how long it is.
    pub sparse: Option<Box<Sparse>>,
    /// Where its header blocks start in the backing blob, with the extension
    /// blocks before it.
    pub header: u64,
    /// Bytes of header blocks.
    pub header_len: u64,
    /// Where its content starts in the backing blob; if it was left out, in
    /// the uncompressed layer.
    pub data: u64,
    /// The content of a compressed layer's entry was not unpacked.
    pub left_out: bool,
}

impl Entry {
    /// Bytes of the file, holes counted.
    pub fn len(&self) -> u64 {
        self.sparse.as_ref().map_or(self.size, |sparse| sparse.len)
    }
}

/// Brings a name to the form of [`Entry::path`]; `..` never leads above the
/// root.
pub fn normalize(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_root() {
        assert_eq!(normalize(b"./etc//passwd"), b"etc/passwd");
        assert_eq!(normalize(b"../../etc/./x/../y/"), b"etc/y");
        assert_eq!(normalize(b"/"), b"");
    }
}
