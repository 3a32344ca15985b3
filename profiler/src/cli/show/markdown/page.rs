//! A page that never grows beyond its limit, and says what it left out.

/// For the last line, which says how much did not fit.
const ENDING: usize = 128;

/// For the line below rows that says how many more there are.
const MORE: usize = 64;

/// What is written so far.
#[derive(Debug)]
pub struct Page {
    text: String,
    limit: usize,
    /// Parts that did not fit.
    left_out: usize,
}

/// Columns by name; those with figures stand to the right.
pub struct Columns<'a>(pub &'a [(&'a str, Align)]);

/// Where a column's cells stand.
#[derive(Clone, Copy)]
pub enum Align {
    /// For words.
    Left,
    /// For figures.
    Right,
}

impl Columns<'_> {
    fn head(&self) -> String {
        let (mut names, mut rule) = (String::from("|"), String::from("|"));
        for (name, align) in self.0 {
            names.push_str(&format!(" {name} |"));
            rule.push_str(match align {
                Align::Left => "---|",
                Align::Right => "---:|",
            });
        }
        format!("{names}\n{rule}\n")
    }
}

/// A row of cells that are Markdown already.
fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

impl Page {
    /// An empty page of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, left_out: 0 }
    }

    /// A paragraph, heading or the like, whole or not at all.
    pub fn paragraph(&mut self, markdown: &str) {
        self.part(&format!("{markdown}\n"), 0, std::iter::empty(), "\n");
    }

    /// A table of `total` rows, of which `rows` are shown as far as they fit.
    pub fn table(
        &mut self,
        columns: &Columns<'_>,
        total: usize,
        rows: impl Iterator<Item = Vec<String>>,
    ) {
        self.part(&columns.head(), total, rows.map(|cells| row(&cells)), "\n");
    }

    /// The same, folded away below a line that tells what it is; nothing if
    /// there are no rows.
    pub fn folded(
        &mut self,
        title: &str,
        columns: &Columns<'_>,
        total: usize,
        rows: impl Iterator<Item = Vec<String>>,
    ) {
        if total == 0 {
            return;
        }
        let open = format!("<details><summary>{title}</summary>\n\n{}", columns.head());
        self.part(&open, total, rows.map(|cells| row(&cells)), "\n</details>\n\n");
    }

    fn part(&mut self, open: &str, total: usize, rows: impl Iterator<Item = String>, close: &str) {
        let fits =
            |text: &str, more: usize| text.len() + more + close.len() + MORE + ENDING <= self.limit;
        if !fits(&self.text, open.len()) {
            self.left_out += 1;
            return;
        }
        self.text.push_str(open);
        let mut shown = 0;
        for row in rows {
            if !fits(&self.text, row.len()) {
                break;
            }
            self.text.push_str(&row);
            shown += 1;
        }
        if shown < total {
            let more = super::text::number((total - shown) as u64);
            self.text.push_str(&format!("\nand {more} more\n"));
        }
        self.text.push_str(close);
    }

    /// The page, at most its limit long; limits below two hundred bytes or so
    /// leave nothing but the line that says so, or not even that.
    pub fn finish(mut self) -> String {
        if self.left_out > 0 {
            let parts = super::text::count(self.left_out, "part");
            let line = format!("Left out for want of room: {parts}; the report has all.\n");
            if self.text.len() + line.len() <= self.limit {
                self.text.push_str(&line);
            }
        }
        self.text
    }
}
