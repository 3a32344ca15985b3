//! Short byte strings, packed one after the other in chunks and known by a
//! 32-bit handle.

/// Bytes a chunk; the low half of a handle is a place in it.
const CHUNK: usize = 1 << 16;

/// Where a string lies: chunk number above, place in the chunk below. Handles
/// grow in the order in which strings were added.
pub type Handle = u32;

/// Marks a string whose length follows in two bytes instead of one.
const LONG: u8 = u8::MAX;

/// An append-only store of byte strings.
#[derive(Debug, Default)]
pub struct Bytes {
    chunks: Vec<Vec<u8>>,
    /// Chunks before this one were freed.
    released: usize,
}

impl Bytes {
    /// Adds a string. None when it is longer than a chunk or the handles are
    /// used up (4 GiB).
    pub fn push(&mut self, string: &[u8]) -> Option<Handle> {
        let length = u16::try_from(string.len()).ok()?;
        let (mut prefix, mut prefix_length) = ([LONG, 0, 0], 3);
        if length < u16::from(LONG) {
            (prefix[0], prefix_length) = (length as u8, 1);
        } else {
            prefix[1..].copy_from_slice(&length.to_le_bytes());
        }
        let needed = prefix_length + string.len();
        if needed > CHUNK {
            return None;
        }
        if self.chunks.last().is_none_or(|chunk| CHUNK - chunk.len() < needed) {
            if self.chunks.len() == 1 << 16 {
                return None;
            }
            self.chunks.push(Vec::new());
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        if chunk.capacity() - chunk.len() < needed {
            // Doubling, as a vector would, but never beyond the chunk.
            let capacity = (2 * chunk.capacity()).max(chunk.len() + needed).clamp(64, CHUNK);
            chunk.reserve_exact(capacity - chunk.len());
        }
        let handle = number << 16 | chunk.len();
        chunk.extend_from_slice(&prefix[..prefix_length]);
        chunk.extend_from_slice(string);
        Some(handle as Handle)
    }

    /// The string of a handle given by [`push`](Self::push).
    pub fn get(&self, handle: Handle) -> &[u8] {
        let string = &self.chunks[handle as usize >> 16][handle as usize & (CHUNK - 1)..];
        match *string {
            [LONG, low, high, ref rest @ ..] => &rest[..u16::from_le_bytes([low, high]).into()],
            [length, ref rest @ ..] => &rest[..length.into()],
            [] => unreachable!("handles point at a length"),
        }
    }

    /// Frees the chunks before the one that `handle` lies in.
    pub fn release_before(&mut self, handle: Handle) {
        while self.released < handle as usize >> 16 {
            self.chunks[self.released] = Vec::new();
            self.released += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_every_length_come_back() {
        let mut bytes = Bytes::default();
        let lengths = [0, 1, 253, 254, 255, 256, 4095, CHUNK - 3];
        let strings: Vec<Vec<u8>> = lengths.iter().map(|&n| vec![n as u8; n]).collect();
        let handles: Vec<_> = strings.iter().map(|s| bytes.push(s).unwrap()).collect();
        assert!(handles.is_sorted());
        for (handle, string) in handles.iter().zip(&strings) {
            assert_eq!(bytes.get(*handle), string);
        }
        assert_eq!(bytes.push(&vec![0; CHUNK - 2]), None);
        assert!(bytes.chunks.iter().all(|chunk| chunk.capacity() <= CHUNK));
        let last = *handles.last().unwrap();
        bytes.release_before(last);
        assert_eq!(bytes.get(last), strings.last().unwrap());
        assert_eq!(bytes.chunks[0].capacity(), 0);
    }
}
