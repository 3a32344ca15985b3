//! `/var/lib/dpkg/status`, and one package's `list` and `md5sums` behind it,
//! NUL bytes between them.

use profiler::packages::parse_dpkg;

/// Takes in one input.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let status = parts.next().unwrap_or_default();
    let mut end = 0;
    for stanza in parse_dpkg(status) {
        assert!(stanza.range.start >= end, "stanzas overlap");
        end = stanza.range.end;
        assert!(end <= status.len(), "a stanza is longer than the file");
    }
    let info = |suffix: &str| format!("var/lib/dpkg/info/app{suffix}");
    let list = parts.next().unwrap_or_default();
    let sums = parts.next().unwrap_or_default();
    crate::packages::apply(&[
        ("var/lib/dpkg/status", status),
        ("var/lib/dpkg/status.d/app", status),
        (&info(".list"), list),
        (&info(".md5sums"), sums),
        (&info(":amd64.list"), list),
    ]);
}
