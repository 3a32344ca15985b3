//! Package databases, and documents about packages.

use profiler::image::Tree;
use profiler::minimize::Plan;
use profiler::packages::{self, Inventory, Metadata};

/// The arguments about packages.
#[derive(Debug, clap::Args)]
pub struct PackageArgs {
    /// What becomes of the package databases of dpkg, apk and RPM.
    #[arg(long, value_enum, default_value = "trim", value_name = "WHAT")]
    package_metadata: PackageMetadata,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PackageMetadata {
    /// As they are: scanners see every package of the source.
    Keep,
    /// Cut to the packages of which a file is kept.
    Trim,
    /// Removed: scanners see no packages at all.
    Drop,
}

impl PackageArgs {
    fn metadata(&self) -> Metadata {
        match self.package_metadata {
            PackageMetadata::Keep => Metadata::Keep,
            PackageMetadata::Trim => Metadata::Trim,
            PackageMetadata::Drop => Metadata::Drop,
        }
    }

    /// Reads what is installed, and puts the databases into the plan.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn apply(&self, tree: &Tree<'_>, plan: &mut Plan) -> anyhow::Result<Inventory> {
        let inventory = Inventory::read(tree)?;
        let known = plan.warnings.len();
        packages::apply(&inventory, tree, plan, self.metadata())?;
        // Whoever scans the result must know, not only who asks for more.
        for warning in &plan.warnings[known..] {
            log::warn!("{warning}");
        }
        Ok(inventory)
    }

    /// The annotation that says what became of package databases: its name
    /// behind the program's prefix, and its value.
    pub fn annotation(&self) -> (&'static str, String) {
        ("package-metadata", self.metadata().name().to_owned())
    }
}
