//! Text that came from images and containers, made safe to show: a file's
//! name may hold what a terminal obeys.

use std::borrow::Cow;

/// `text` with every character escaped that could steer a terminal or turn
/// the reading direction, line breaks too.
pub fn printable(text: &str) -> Cow<'_, str> {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return text.into();
    }
    text.chars()
        .flat_map(|c| {
            let escaped = steers(c).then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!steers(c)).then_some(c))
        })
        .collect::<String>()
        .into()
}

/// A list for a terminal: line breaks stay, the rest as in [`printable`];
/// bytes that are not UTF-8 become U+FFFD.
pub fn printable_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_the_rest_is_not() {
        assert_eq!(printable("/etc/caf\u{e9} \"x\""), "/etc/caf\u{e9} \"x\"");
        assert_eq!(printable("a\x1b[31m\nb\u{9b}\u{202e}"), "a\\u{1b}[31m\\nb\\u{9b}\\u{202e}");
        assert_eq!(printable_lines(b"a\nb\x07\xff\n"), "a\nb\\u{7}\u{fffd}\n");
    }
}
