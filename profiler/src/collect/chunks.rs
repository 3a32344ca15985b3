//! A vector that grows by chunks, so that growing never needs room for a
//! second copy, and that can be taken apart chunk by chunk.

/// Items a chunk; a power of two, which is what a chunk's own growth ends at.
const CHUNK: usize = 1 << 12;

/// An append-only vector of plain values.
#[derive(Debug)]
pub struct Chunks<T> {
    /// All full but the last.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T: Copy> Chunks<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Adds one at the end.
    pub fn push(&mut self, value: T) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::new());
        }
        self.chunks.last_mut().expect("just made").push(value);
    }

    /// The item at `index`, which must be there.
    pub fn get(&self, index: u32) -> T {
        let index = index as usize;
        self.chunks[index / CHUNK][index % CHUNK]
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, index: u32) -> &mut T {
        let index = index as usize;
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IntoIterator for Chunks<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Vec<T>>>;

    /// All items in order; each chunk is freed when the next one begins.
    fn into_iter(self) -> Self::IntoIter {
        self.chunks.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_in_order() {
        let mut chunks = Chunks::default();
        for value in 0..3 * CHUNK + 7 {
            assert_eq!(chunks.len(), value);
            chunks.push(value);
        }
        assert!((0..chunks.len()).all(|index| chunks.get(index as u32) == index));
        assert!(chunks.chunks.iter().take(3).all(|chunk| chunk.capacity() == CHUNK));
        *chunks.get_mut(CHUNK as u32) = 0;
        assert_eq!(chunks.into_iter().filter(|&value| value == 0).count(), 2);
    }
}
