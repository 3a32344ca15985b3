//! Lines of a length that memory has room for.

use std::io::{self, BufRead, Read as _};

/// Longest line that is read: far more than the longest path, command line or
/// list of mounts needs.
pub const LINE_MAX: u64 = 16 << 20;

/// What was there to read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A line.
    Whole,
    /// The last line, of which the end is missing, or nothing.
    Torn,
    /// More than [`LINE_MAX`] bytes without an end.
    TooLong,
}

/// Reads the next line, without its end, into `line`.
///
/// # Errors
/// When the reader fails.
pub fn read(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Read> {
    line.clear();
    reader.take(LINE_MAX + 1).read_until(b'\n', line)?;
    Ok(if line.last() == Some(&b'\n') {
        line.pop();
        Read::Whole
    } else if line.len() as u64 > LINE_MAX {
        Read::TooLong
    } else {
        Read::Torn
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_torn_or_too_long() {
        let mut line = Vec::new();
        let mut input = &b"one\n\ntorn"[..];
        for (expected, text) in [
            (Read::Whole, &b"one"[..]),
            (Read::Whole, b""),
            (Read::Torn, b"torn"),
            (Read::Torn, b""),
        ] {
            assert_eq!(read(&mut input, &mut line).unwrap(), expected);
            assert_eq!(line, text);
        }
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(read(&mut endless, &mut line).unwrap(), Read::TooLong);
    }
}
