//! What a language's own loader or tools look for beside a touched file.

mod dotnet;
mod jvm;
mod node;
mod php;
mod python;
mod python_modules;
mod ruby;

pub use python_modules::source_of as python_source_of;

use crate::image::tree::split;
use crate::image::{ImageError, NodeId, Tree};
use crate::minimize::Options;
use crate::minimize::keep::Keeper;

/// What is known of the image's languages.
pub struct Languages {
    python: python::Distributions,
    php: php::Settings,
    whole: bool,
}

impl Languages {
    /// Nothing is read before a file asks for it.
    pub fn new(tree: &Tree<'_>, options: &Options) -> Self {
        Self {
            python: python::Distributions::new(tree),
            php: php::Settings::new(tree),
            whole: options.whole_distributions,
        }
    }

    /// Keeps what belongs to a kept file.
    ///
    /// # Errors
    /// When a list that says so cannot be read.
    pub fn keep(
        &mut self,
        keeper: &mut Keeper<'_>,
        id: NodeId,
        path: &[u8],
    ) -> Result<(), ImageError> {
        self.python.keep(keeper, id, path, self.whole)?;
        python_modules::keep_modules(keeper, path);
        python_modules::keep_encodings(keeper, path);
        node::keep(keeper, path, self.whole);
        ruby::keep(keeper, path, self.whole);
        ruby::keep_encodings(keeper, path);
        jvm::keep(keeper, path);
        jvm::keep_fonts(keeper, id, path);
        dotnet::keep(keeper, path);
        self.php.keep(keeper, path);
        Ok(())
    }
}

/// A name's part after its last dot.
fn extension(path: &[u8]) -> &[u8] {
    let (_, name) = split(path);
    name.iter().rposition(|&byte| byte == b'.').map_or(b"", |at| &name[at + 1..])
}

/// For people.
fn shown(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}
