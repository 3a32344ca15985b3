//! A hash index that grows in small steps.

use hashbrown::HashTable;

/// Tables of a large index.
const SHARDS: usize = 64;

/// Values from which on an index is spread over several tables.
const LARGE: usize = 1 << 12;

/// A set of small values found by a hash that the caller makes, from things
/// kept elsewhere.
///
/// A hash table doubles when it is full: for a moment it needs three times
/// the room, and after it half of it stands empty. So a large index is cut
/// into tables whose shares are spread evenly over one doubling: they grow one
/// after the other.
#[derive(Debug)]
pub struct Index<T> {
    /// One table, or [`SHARDS`] of them.
    tables: Vec<HashTable<T>>,
    len: usize,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { tables: vec![HashTable::new()], len: 0 }
    }
}

impl<T: Copy> Index<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The value of that hash for which `is` holds.
    pub fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<T> {
        self.tables[self.table_of(hash)].find(hash, is).copied()
    }

    /// Adds a value that is not there yet; `hash_of` makes the hash of any
    /// value in the index, `value` included.
    pub fn insert(&mut self, value: T, hash_of: impl Fn(&T) -> u64) {
        if self.len == LARGE {
            let small = std::mem::take(&mut self.tables);
            self.tables.resize_with(SHARDS, HashTable::new);
            for value in small.into_iter().flatten() {
                self.place(value, &hash_of);
            }
        }
        self.place(value, &hash_of);
        self.len += 1;
    }

    fn place(&mut self, value: T, hash_of: impl Fn(&T) -> u64) {
        let hash = hash_of(&value);
        let table = self.table_of(hash);
        self.tables[table].insert_unique(hash, value, hash_of);
    }

    /// The table for a hash. Shares grow by the same factor from table to
    /// table, up to twice the first one's.
    fn table_of(&self, hash: u64) -> usize {
        if self.tables.len() == 1 {
            return 0;
        }
        // A table itself goes by the lowest bits and the seven highest.
        let part = f64::from((hash >> 24) as u32) / 2f64.powi(32);
        (((1.0 + part).log2() * SHARDS as f64) as usize).min(SHARDS - 1)
    }
}

impl<T> IntoIterator for Index<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<HashTable<T>>>;

    /// All values, in no order; each table is freed when the next one begins.
    fn into_iter(self) -> Self::IntoIter {
        self.tables.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn every_value_is_found_and_tables_grow_one_after_the_other() {
        let state = RandomState::new();
        let hash_of = |value: &u32| state.hash_one(value);
        let mut index = Index::default();
        for value in 0..200_000u32 {
            assert_eq!(index.find(hash_of(&value), |&other| other == value), None);
            index.insert(value, hash_of);
        }
        assert_eq!(index.len(), 200_000);
        for value in 0..200_000u32 {
            assert_eq!(index.find(hash_of(&value), |&other| other == value), Some(value));
        }
        let capacities: Vec<_> = index.tables.iter().map(HashTable::capacity).collect();
        assert!(capacities.iter().min() < capacities.iter().max(), "{capacities:?}");
        let mut values: Vec<_> = index.into_iter().collect();
        values.sort_unstable();
        assert!(values.into_iter().eq(0..200_000));
    }
}
