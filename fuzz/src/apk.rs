//! `/lib/apk/db/installed`.

use profiler::packages::parse_apk;

/// Takes in one input.
pub fn run(data: &[u8]) {
    let mut end = 0;
    for record in parse_apk(data) {
        assert!(record.range.start >= end, "records overlap");
        end = record.range.end;
        assert!(end <= data.len(), "a record is longer than the file");
    }
    crate::packages::apply(&[("lib/apk/db/installed", data)]);
}
