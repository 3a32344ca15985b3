//! Alpine's package database, `/lib/apk/db/installed`; apk 3 has it in
//! `/usr/lib/apk/db`.
//!
//! Format: apk-package(5) and apk-tools' own reader. Records are parted by
//! empty lines, every line is a letter, a colon and a value. Behind the fields
//! of the package (`P:` name, `V:` version, `A:` architecture, `o:` origin,
//! `L:` licence) come its files:
//!
//! ```text
//! F:usr/bin        a directory, without the first slash
//! M:0:0:1777       its owner and mode, where unusual
//! R:busybox        a file or link in it
//! a:0:0:755        its owner and mode, where unusual
//! Z:Q1…            its hash
//! ```

use std::ops::Range;

use super::file::{self, Cut, DatabaseFile, lines};
use super::{Inventory, Manager, Package, locate, text};
use crate::image::{ImageError, NodeId, Tree};

const INSTALLED: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// A package's part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its bytes, with the empty line behind it.
    pub range: Range<usize>,
    /// Index of the package; as parsed, the record's own number.
    pub package: usize,
    /// The lines about directories and files: each entry's bytes and path,
    /// without the first slash.
    pub entries: Vec<Entry>,
    fields: Vec<(u8, String)>,
}

/// The lines about a directory or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its lines.
    pub range: Range<usize>,
    /// Its path, without the first slash.
    pub path: Vec<u8>,
    /// Whether it is a directory.
    pub directory: bool,
    /// The node, once looked up.
    pub node: Option<NodeId>,
}

impl Record {
    fn field(&self, letter: u8) -> Option<String> {
        let value = self.fields.iter().find(|(at, _)| *at == letter);
        value.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

/// Splits the text into records; one without a name is none.
pub fn parse(bytes: &[u8]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut open: Option<Record> = None;
    let mut directory: Vec<u8> = Vec::new();
    let mut close = |open: &mut Option<Record>| {
        if let Some(mut record) = open.take()
            && record.field(b'P').is_some()
        {
            record.package = records.len();
            records.push(record);
        }
    };
    for (range, line) in lines(bytes) {
        if line.is_empty() {
            if let Some(record) = &mut open {
                record.range.end = range.end;
            }
            close(&mut open);
            continue;
        }
        let record = open.get_or_insert_with(|| {
            directory.clear();
            Record { range: range.clone(), package: 0, entries: Vec::new(), fields: Vec::new() }
        });
        record.range.end = range.end;
        let &[letter, b':', ref value @ ..] = line else { continue };
        match letter {
            b'F' | b'R' => {
                let path = if letter == b'F' {
                    directory = value.to_vec();
                    value.to_vec()
                } else if directory.is_empty() {
                    value.to_vec()
                } else {
                    [&directory, b"/".as_slice(), value].concat()
                };
                let directory = letter == b'F';
                record.entries.push(Entry { range, path, directory, node: None });
            }
            // Lines about the entry above.
            b'M' | b'a' | b'Z' => {
                if let Some(entry) = record.entries.last_mut() {
                    entry.range.end = range.end;
                }
            }
            letter => record.fields.push((letter, text(value))),
        }
    }
    close(&mut open);
    records
}

/// Adds what apk knows.
///
/// # Errors
/// When the image cannot be read.
pub fn read(tree: &Tree<'_>, inventory: &mut Inventory) -> Result<(), ImageError> {
    let mut seen = None;
    for path in INSTALLED {
        let Some((node, links)) = file::find(tree, path) else { continue };
        // On a merged /usr both names lead to one file; the first name's
        // links are those that scanners walk.
        if seen.replace(node) == Some(node) {
            continue;
        }
        let Some(bytes) = file::content(tree, node, inventory)? else {
            inventory.databases.push(DatabaseFile { node, links, cut: Cut::Whole });
            continue;
        };
        let mut records = parse(&bytes);
        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_by_key(|&at| records[at].field(b'P'));
        for at in order {
            let record = &mut records[at];
            for entry in &mut record.entries {
                entry.node = locate(tree, &entry.path);
            }
            let files = record.entries.iter().filter(|entry| !entry.directory);
            let package = Package {
                manager: Manager::Apk,
                name: record.field(b'P').unwrap_or_default(),
                version: record.field(b'V').unwrap_or_default(),
                epoch: None,
                architecture: record.field(b'A').unwrap_or_default(),
                source: record.field(b'o'),
                license: record.field(b'L'),
                installed: true,
                files: Some(files.filter_map(|entry| entry.node).collect()),
            };
            record.package = inventory.add(package, []);
        }
        inventory.databases.push(DatabaseFile { node, links, cut: Cut::Nested(records) });
    }
    Ok(())
}
