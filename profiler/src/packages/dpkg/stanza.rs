//! `/var/lib/dpkg/status`: stanzas of fields.
//!
//! Format: deb-control(5), Debian policy 5.1. Stanzas are parted by empty
//! lines, a line that begins with a space or a tab continues the field above.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::packages::file::lines;
use crate::packages::text;

/// One package's part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// Its bytes, with the empty line behind it.
    pub range: Range<usize>,
    /// First lines of its fields; names in lower case.
    pub fields: BTreeMap<String, String>,
}

impl Stanza {
    /// A field's first line, if it is there and not empty.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Splits the text into stanzas. What has no fields is none.
pub fn parse(bytes: &[u8]) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    let mut open: Option<Stanza> = None;
    for (range, line) in lines(bytes) {
        if line.is_empty() {
            if let Some(mut stanza) = open.take() {
                stanza.range.end = range.end;
                stanzas.push(stanza);
            }
            continue;
        }
        let stanza =
            open.get_or_insert_with(|| Stanza { range: range.clone(), fields: BTreeMap::new() });
        stanza.range.end = range.end;
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            continue;
        }
        if let Some(colon) = line.iter().position(|&byte| byte == b':') {
            let name = text(&line[..colon]).to_ascii_lowercase();
            stanza.fields.entry(name).or_insert_with(|| text(&line[colon + 1..]));
        }
    }
    stanzas.extend(open);
    stanzas
}
