//! Patterns over paths, with the meaning they have in a `.gitignore`.
//!
//! ```text
//! name      at any depth            *  ?  [a-z]   not over a slash
//! /a/b a/b  from the root           **            over slashes
//! name/     directories only        !pattern      takes back
//! #         a comment               \             the next one as it stands
//! ```
//!
//! A pattern that fits a directory means all that is in it, and the last that
//! fits wins. Unlike git, which does not look into an ignored directory, a
//! later pattern may take back what is below: that is what it is given for.
//! Source: gitignore(5).

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};

use super::PolicyError;
use crate::image::{NodeId, NodeKind, Tree};

/// One pattern, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    place: Option<(PathBuf, Option<usize>)>,
}

impl Pattern {
    /// A pattern of the command line.
    pub fn given(text: &str) -> Self {
        Self { text: text.to_owned(), place: None }
    }

    /// A pattern of a policy file.
    pub(super) fn of_file(text: &str, path: &Path) -> Self {
        Self { text: text.to_owned(), place: Some((path.to_owned(), None)) }
    }

    /// Reads a file of patterns: one a line, empty lines and those that begin
    /// with `#` left out.
    ///
    /// # Errors
    /// [`PolicyError::Read`].
    pub fn read(path: &Path) -> Result<Vec<Self>, PolicyError> {
        let text = fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().enumerate();
        Ok(lines
            .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty())
            .map(|(number, line)| Self {
                text: line.to_owned(),
                place: Some((path.to_owned(), Some(number + 1))),
            })
            .collect())
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)?;
        match &self.place {
            None => Ok(()),
            Some((path, None)) => write!(formatter, " ({})", path.display()),
            Some((path, Some(line))) => write!(formatter, " ({}, line {line})", path.display()),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    all: Gitignore,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { patterns: Vec::new(), all: Gitignore::empty() }
    }
}

impl Patterns {
    /// Compiles them.
    ///
    /// # Errors
    /// [`PolicyError::Pattern`].
    pub fn new(patterns: impl IntoIterator<Item = Pattern>) -> Result<Self, PolicyError> {
        let patterns: Vec<Pattern> = patterns.into_iter().collect();
        let all = compile(patterns.iter().enumerate())?;
        Ok(Self { patterns, all })
    }

    /// Every node that is asked for, with the pattern that does; directories
    /// before what is in them.
    ///
    /// # Errors
    /// [`PolicyError::Unmatched`].
    pub fn fitting(&self, tree: &Tree<'_>) -> Result<Vec<(NodeId, &Pattern)>, PolicyError> {
        if self.patterns.is_empty() {
            return Ok(Vec::new());
        }
        let mut used = vec![false; self.patterns.len()];
        let mut fitting = Vec::new();
        // The last pattern that fits a node or a directory above it, and
        // whether that one keeps.
        let mut pending: Vec<(NodeId, Option<(usize, bool)>)> = vec![(tree.root(), None)];
        while let Some((id, above)) = pending.pop() {
            let own = match matched(&self.all, tree, id) {
                Match::None => None,
                Match::Ignore(glob) => number(glob).map(|number| (number, true)),
                Match::Whitelist(glob) => number(glob).map(|number| (number, false)),
            };
            if let Some((number, _)) = own {
                used[number] = true;
            }
            let last = above.max(own);
            if let Some((number, true)) = last {
                fitting.push((id, &self.patterns[number]));
            }
            pending.extend(tree.children(id).map(|child| (child, last)));
        }
        // One that others win over wherever it fits is no typing error; a
        // comment or a lone slash, which fits nothing, is.
        for (pattern, _) in self.patterns.iter().zip(&used).filter(|(_, used)| !**used) {
            let alone = compile([(0, pattern)])?;
            if !tree.all().into_iter().any(|id| !matched(&alone, tree, id).is_none()) {
                return Err(PolicyError::Unmatched(pattern.clone()));
            }
        }
        Ok(fitting)
    }
}

/// What these patterns say of a node by itself.
fn matched<'a>(patterns: &'a Gitignore, tree: &Tree<'_>, id: NodeId) -> Match<&'a Glob> {
    if id == tree.root() {
        return Match::None;
    }
    let path = tree.path(id);
    let relative = Path::new(std::ffi::OsStr::from_bytes(&path[1..]));
    patterns.matched(relative, tree.node(id).kind == NodeKind::Dir)
}

/// Which pattern a glob was made of; see [`compile`].
fn number(glob: &Glob) -> Option<usize> {
    glob.from()?.to_str()?.parse().ok()
}

/// One matcher of all. A glob remembers the file that it comes from: here the
/// number of its pattern stands in that place.
fn compile<'a>(
    patterns: impl IntoIterator<Item = (usize, &'a Pattern)>,
) -> Result<Gitignore, PolicyError> {
    let mut builder = GitignoreBuilder::new("");
    builder.allow_unclosed_class(false);
    for (number, pattern) in patterns {
        builder.add_line(Some(number.to_string().into()), &pattern.text).map_err(|error| {
            PolicyError::Pattern { pattern: pattern.clone(), why: cause(&error) }
        })?;
    }
    builder.build().map_err(|error| PolicyError::Pattern {
        pattern: Pattern::given("(all together)"),
        why: cause(&error),
    })
}

/// What is wrong, without the pattern, which the message has already.
fn cause(error: &ignore::Error) -> String {
    match error {
        ignore::Error::Glob { err, .. } => err.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{Tar, image};

    /// Paths that these patterns ask for in an image of every kind of name.
    fn fitting(patterns: &[&str]) -> Result<Vec<String>, PolicyError> {
        let mut tar = Tar::new();
        for path in ["a/doc/x.md", "a/doc/y", "b/doc/z", "b/a.b", "c/# #", "c/!", "c/[x]", "c/ d "]
        {
            tar = tar.file(path, "x");
        }
        let image = image(vec![tar.link("doc", "a/doc").bytes()]);
        let tree = Tree::build(&image.layers).unwrap();
        let patterns = Patterns::new(patterns.iter().map(|text| Pattern::given(text)))?;
        let mut paths: Vec<String> = patterns
            .fitting(&tree)?
            .into_iter()
            .map(|(id, _)| String::from_utf8(tree.path(id)).unwrap())
            .collect();
        paths.sort();
        Ok(paths)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let of = |patterns: &[&str]| fitting(patterns).unwrap();
        assert_eq!(of(&["doc/"]), ["/a/doc", "/a/doc/x.md", "/a/doc/y", "/b/doc", "/b/doc/z"]);
        assert_eq!(of(&["/doc"]), ["/doc"], "a slash in front fits at the root");
        assert_eq!(of(&["b/doc"]), ["/b/doc", "/b/doc/z"], "so does one in the middle");
        assert_eq!(of(&["/a/**"]), ["/a/doc", "/a/doc/x.md", "/a/doc/y"], "not /a itself");
        assert_eq!(of(&["/*/*.b"]), ["/b/a.b"], "one star stops at a slash");
        assert_eq!(of(&["**/doc/?"]), ["/a/doc/y", "/b/doc/z"]);
        assert_eq!(of(&["a/**/[xy]*"]), ["/a/doc/x.md", "/a/doc/y"]);
        assert_eq!(
            of(&["\\!", "c/#*", "c/\\[x]", "\\ d\\ "]),
            ["/c/ d ", "/c/!", "/c/# #", "/c/[x]"]
        );
    }

    #[test]
    fn the_last_pattern_that_fits_wins() {
        let of = |patterns: &[&str]| fitting(patterns).unwrap();
        assert_eq!(of(&["/a/", "!*.md"]), ["/a", "/a/doc", "/a/doc/y"]);
        assert_eq!(of(&["/b", "!/b/doc", "/b/doc/z"]), ["/b", "/b/a.b", "/b/doc/z"]);
        assert_eq!(of(&["!z", "/b/doc"]), ["/b/doc", "/b/doc/z"]);
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_an_error_and_one_that_others_hide_is_not() {
        for pattern in ["/a/dco", "y/", "", "# x", "/", "!", "!/none"] {
            let error = fitting(&["doc", pattern]).unwrap_err();
            assert!(matches!(&error, PolicyError::Unmatched(p) if p.text == pattern), "{error}");
        }
        fitting(&["/b/doc/z", "/b/doc", "*"]).unwrap();
    }

    #[test]
    fn an_open_bracket_is_named() {
        let error = fitting(&["/a", "/b/[a-"]).unwrap_err().to_string();
        assert!(error.contains("/b/[a-") && error.contains("unclosed"), "{error}");
    }

    #[test]
    fn names_that_are_not_utf_8_are_matched_byte_by_byte() {
        let name = std::ffi::OsStr::from_bytes(b"srv/caf\xe9");
        let all = compile([(0, &Pattern::given("/srv/caf?"))]).unwrap();
        assert!(all.matched(Path::new(name), false).is_ignore());
    }

    #[test]
    fn a_file_of_patterns_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keep");
        fs::write(&path, "\u{feff}# kept\r\n\n/etc/ssl\r\n").unwrap();
        let patterns = Pattern::read(&path).unwrap();
        assert_eq!(patterns.len(), 1);
        assert_eq!(patterns[0].text(), "/etc/ssl");
        assert!(patterns[0].to_string().ends_with("keep, line 3)"), "{}", patterns[0]);
    }
}
