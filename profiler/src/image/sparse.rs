//! Sparse files in layers: only what is no hole is stored.
//!
//! ```text
//! GNU "S"     map in the header (4 pieces) and in blocks behind it (21 each)
//! PAX 0.0     map in records GNU.sparse.offset and .numbytes
//! PAX 0.1     map in a record GNU.sparse.map
//! PAX 1.0     map in the first blocks of the content
//! ```
//!
//! Layers carry them as they stand; expanding is for reading one file's
//! content. Source: GNU tar manual, "Storing Sparse Files".

use std::io::{self, Read, Seek, SeekFrom};

use super::ReadSeek;
use super::header::padded;

/// Longest map at the front of a content.
const MAP_MAX: u64 = 1 << 20;

/// A stretch of the file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// What is known of a sparse file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// Bytes of the file, holes counted.
    pub len: u64,
    /// What is stored; none when the content itself begins with it.
    pub pieces: Option<Vec<Piece>>,
}

impl Sparse {
    /// Fails unless the pieces lie in order within the file and add up to
    /// what is stored.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, stored: u64) -> Result<(), &'static str> {
        match &self.pieces {
            Some(pieces) => check(pieces, self.len, stored),
            None => Ok(()),
        }
    }

    /// A reader of the file with its holes, over what is stored of it.
    ///
    /// # Errors
    /// When the map cannot be read or is wrong.
    pub fn expand(&self, mut stored: Box<dyn ReadSeek>, size: u64) -> io::Result<Expanded> {
        let (pieces, start) = match &self.pieces {
            Some(pieces) => (pieces.clone(), 0),
            None => front_map(&mut stored)?,
        };
        let left = size.saturating_sub(start);
        check(&pieces, self.len, left)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        let mut starts = Vec::with_capacity(pieces.len());
        let mut next = start;
        for piece in &pieces {
            starts.push(next);
            next += piece.len;
        }
        Ok(Expanded { stored, starts, pieces, len: self.len, at: 0 })
    }
}

fn check(pieces: &[Piece], len: u64, stored: u64) -> Result<(), &'static str> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for piece in pieces {
        if piece.offset < end {
            return Err("pieces of a sparse file overlap");
        }
        end = piece.offset.checked_add(piece.len).ok_or("a sparse file is too long")?;
        sum += piece.len;
    }
    if end > len {
        return Err("pieces of a sparse file lie behind its end");
    }
    if sum != stored {
        return Err("pieces of a sparse file do not add up to what is stored");
    }
    Ok(())
}

/// The map that a PAX 1.0 content begins with: decimal lines, first their
/// number, then offset and length of each piece. Returns where the bytes
/// begin.
fn front_map(stored: &mut Box<dyn ReadSeek>) -> io::Result<(Vec<Piece>, u64)> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the map of a sparse file is wrong");
    stored.seek(SeekFrom::Start(0))?;
    let mut reader = io::BufReader::new(stored.take(MAP_MAX));
    let mut used = 0;
    let mut number = || -> io::Result<u64> {
        let mut value = 0_u64;
        loop {
            let mut byte = [0];
            reader.read_exact(&mut byte)?;
            used += 1;
            match byte[0] {
                b'\n' => return Ok(value),
                digit @ b'0'..=b'9' => {
                    let next = value.checked_mul(10).ok_or_else(wrong)?;
                    value = next.checked_add(u64::from(digit - b'0')).ok_or_else(wrong)?;
                }
                _ => return Err(wrong()),
            }
        }
    };
    let count = number()?;
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push(Piece { offset: number()?, len: number()? });
    }
    Ok((pieces, padded(used)))
}

/// See [`Sparse::expand`].
pub struct Expanded {
    stored: Box<dyn ReadSeek>,
    /// Where each piece begins in `stored`.
    starts: Vec<u64>,
    pieces: Vec<Piece>,
    len: u64,
    at: u64,
}

impl Read for Expanded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let next = self.pieces.partition_point(|piece| piece.offset + piece.len <= at);
        let within = |until: u64| {
            buffer.len().min(usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX))
        };
        let read = match self.pieces.get(next) {
            Some(piece) if piece.offset <= at => {
                let len = within(piece.offset + piece.len);
                self.stored.seek(SeekFrom::Start(self.starts[next] + at - piece.offset))?;
                self.stored.read(&mut buffer[..len])?
            }
            hole => {
                let len = within(hole.map_or(self.len, |piece| piece.offset));
                buffer[..len].fill(0);
                len
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Expanded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn expanded(sparse: &Sparse, stored: &[u8]) -> io::Result<Vec<u8>> {
        let size = stored.len() as u64;
        let mut reader = sparse.expand(Box::new(Cursor::new(stored.to_vec())), size)?;
        let mut all = Vec::new();
        reader.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn holes_read_as_zeros() {
        let pieces = vec![Piece { offset: 2, len: 3 }, Piece { offset: 7, len: 1 }];
        let sparse = Sparse { len: 10, pieces: Some(pieces) };
        assert_eq!(expanded(&sparse, b"abcd").unwrap(), b"\0\0abc\0\0d\0\0");
    }

    #[test]
    fn a_map_at_the_front_is_not_part_of_the_file() {
        let mut stored = b"1\n4\n2\n".to_vec();
        stored.resize(512, 0);
        stored.extend_from_slice(b"xy");
        let sparse = Sparse { len: 7, pieces: None };
        assert_eq!(expanded(&sparse, &stored).unwrap(), b"\0\0\0\0xy\0");
        assert!(expanded(&sparse, &stored[..5]).is_err());
        assert!(expanded(&sparse, b"99999999999999999999999\n").is_err());
    }

    #[test]
    fn a_wrong_map_is_refused() {
        let wrong = |pieces: &[(u64, u64)], len, stored| {
            let pieces = pieces.iter().map(|&(offset, len)| Piece { offset, len }).collect();
            Sparse { len, pieces: Some(pieces) }.check(stored).is_err()
        };
        assert!(wrong(&[(0, 4), (2, 4)], 10, 8), "overlapping");
        assert!(wrong(&[(8, 4)], 10, 4), "behind the end");
        assert!(wrong(&[(0, 4)], 10, 5), "of another length");
        assert!(wrong(&[(u64::MAX, 2)], 10, 2), "overflowing");
    }
}
