//! Names and numbers as they may stand anywhere in Markdown, tables included.

use std::fmt::Write as _;

use super::super::super::terminal::printable;

/// Characters of a text; of a longer one the middle goes.
const LONGEST: usize = 160;

/// `text` as code, and nothing but that, whatever it holds.
///
/// A code span where that is safe: in it only the backtick means something,
/// and in a table the bar. What parsers disagree about (a backslash before a
/// bar), what is HTML, and spaces at the ends go as numeric references, which
/// never mean anything but their character.
pub fn code(text: &str) -> String {
    let text = shortened(&printable(text));
    let safe = |c: char| !c.is_control() && !"`|\\<>&".contains(c);
    if text.is_empty() {
        return "-".into();
    }
    if text.chars().all(safe) && text.trim() == text {
        return format!("`{text}`");
    }
    let mut html = String::from("<code>");
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '/' {
            html.push(c);
        } else {
            let _ = write!(html, "&#{};", u32::from(c));
        }
    }
    html.push_str("</code>");
    html
}

fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return text.to_owned();
    }
    let half = LONGEST / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(length - half + 1).collect();
    format!("{head}…{tail}")
}

/// A number with commas between thousands.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many there are, with its noun, which takes an s.
pub fn count(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", number(count as u64))
}

/// A share of a whole; nothing where there is no whole.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    format!(" ({:.1} %)", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_code_spans() {
        assert_eq!(code("/usr/bin/[ a*_b_"), "`/usr/bin/[ a*_b_`");
        assert_eq!(code("a:b@1 www.x.y #1 ~~z~~ $x$"), "`a:b@1 www.x.y #1 ~~z~~ $x$`");
        assert_eq!(code(""), "-");
    }

    #[test]
    fn what_could_end_a_span_a_cell_or_a_line_goes_as_references() {
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(code("`"), "<code>&#96;</code>");
        assert_eq!(code("a\nb"), "<code>a&#92;nb</code>");
        assert_eq!(code("</details>"), "<code>&#60;/details&#62;</code>");
        assert_eq!(code("a\\"), "<code>a&#92;</code>");
        assert_eq!(code(" a"), "<code>&#32;a</code>");
        assert_eq!(code("&lt;"), "<code>&#38;lt&#59;</code>");
        assert_eq!(code("\u{202e}"), "<code>&#92;u&#123;202e&#125;</code>");
    }

    #[test]
    fn long_names_lose_their_middle() {
        let long = format!("/head{}tail", "é".repeat(5000));
        let shown = code(&long);
        assert!(shown.starts_with("`/head") && shown.ends_with("tail`"), "{shown}");
        assert_eq!(shown.chars().count(), LONGEST + 2);
    }

    #[test]
    fn numbers_have_commas_and_nouns() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(274_341_383), "274,341,383");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(2_000, "file"), "2,000 files");
        assert_eq!(share(1, 3), " (33.3 %)");
        assert_eq!(share(0, 0), "");
    }
}
