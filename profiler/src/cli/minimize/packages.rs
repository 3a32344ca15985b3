//! Package databases, and documents about packages.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use profiler::files::write_whole;
use profiler::image::{Reference, SourceImage, Transport, Tree, Written};
use profiler::minimize::Plan;
use profiler::packages::{self, Inventory, Metadata};
use profiler::sbom::vulnerabilities::{self, Finding};
use profiler::sbom::{self, Subject, openvex};

/// The arguments about packages.
#[derive(Debug, clap::Args)]
pub struct PackageArgs {
    /// What becomes of the package databases of dpkg, apk and RPM [default:
    /// trim].
    #[arg(long, value_enum, value_name = "WHAT")]
    package_metadata: Option<PackageMetadata>,
    /// What the policy file says of that.
    #[arg(skip)]
    pub policy: Option<Metadata>,
    /// Write a bill of materials of the result: cyclonedx=FILE (1.6) or
    /// spdx=FILE (2.3), both JSON (repeat for both).
    #[arg(long, value_name = "FORMAT=FILE")]
    sbom: Vec<Sbom>,
    /// Write OpenVEX statements: which of the vulnerabilities given are not in
    /// the result, since nothing of their packages is.
    #[arg(long, value_name = "FILE")]
    vex: Option<PathBuf>,
    /// Vulnerabilities that a scanner found in the source image: the JSON of
    /// Grype or Trivy (repeat for more).
    #[arg(long, value_name = "FILE", requires = "vex")]
    vulnerabilities: Vec<PathBuf>,
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

/// A bill of materials that is asked for.
#[derive(Debug, Clone)]
struct Sbom {
    format: sbom::Format,
    file: PathBuf,
}

impl FromStr for Sbom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = text.split_once('=').unwrap_or((text, ""));
        let format = match format {
            "cyclonedx" => sbom::Format::CycloneDx,
            "spdx" => sbom::Format::Spdx,
            other => return Err(format!("format {other} is not known; use cyclonedx or spdx")),
        };
        if file.is_empty() {
            return Err(format!("no file is named; write {text}=FILE"));
        }
        Ok(Self { format, file: file.into() })
    }
}

impl PackageArgs {
    /// Whether documents about the result are asked for.
    pub fn documents(&self) -> bool {
        !self.sbom.is_empty() || self.vex.is_some()
    }

    /// What scanners found; looked at before the work begins.
    ///
    /// # Errors
    /// When statements are asked for without any, or a file cannot be read.
    pub fn findings(&self) -> anyhow::Result<Vec<Finding>> {
        if self.vex.is_some() && self.vulnerabilities.is_empty() {
            anyhow::bail!(
                "--vex needs --vulnerabilities: every statement names a vulnerability, and only a \
                 scanner knows any; scan the source image with `grype IMAGE -o json` or `trivy \
                 image --format json IMAGE` and pass what it writes"
            );
        }
        let mut findings = Vec::new();
        for path in &self.vulnerabilities {
            let bytes = std::fs::read(path).with_context(|| {
                format!("cannot read vulnerabilities {}; check --vulnerabilities", path.display())
            })?;
            findings.extend(vulnerabilities::parse(&bytes).with_context(|| {
                format!(
                    "cannot understand vulnerabilities {}; pass Grype's or Trivy's JSON",
                    path.display()
                )
            })?);
        }
        Ok(findings)
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

    /// Writes the documents that are asked for. `name` is the source image's.
    ///
    /// # Errors
    /// When the result cannot be read again, or a file not be written.
    pub fn save(
        &self,
        findings: &[Finding],
        (source, name): (&SourceImage, &str),
        (inventory, tree, plan): (&Inventory, &Tree<'_>, &Plan),
        (output, written): (&Reference, &Written),
    ) -> anyhow::Result<()> {
        if !self.documents() {
            return Ok(());
        }
        let subject = subject((source, name), inventory, (output, written))?;
        if !self.sbom.is_empty() {
            let components = sbom::components(inventory, tree, plan)?;
            for Sbom { format, file } in &self.sbom {
                write(&format.document(&subject, &components), file, "--sbom")?;
            }
        }
        if let Some(file) = &self.vex {
            write(&openvex::document(&subject, inventory, plan, findings), file, "--vex")?;
        }
        Ok(())
    }

    fn metadata(&self) -> Metadata {
        match self.package_metadata {
            Some(PackageMetadata::Keep) => Metadata::Keep,
            Some(PackageMetadata::Trim) => Metadata::Trim,
            Some(PackageMetadata::Drop) => Metadata::Drop,
            None => self.policy.unwrap_or_default(),
        }
    }
}

/// The bill of materials of the result as JSON, for attaching it.
///
/// # Errors
/// When the result cannot be read again.
pub fn bill(
    format: sbom::Format,
    of: (&SourceImage, &str),
    (inventory, tree, plan): (&Inventory, &Tree<'_>, &Plan),
    to: (&Reference, &Written),
) -> anyhow::Result<Vec<u8>> {
    let subject = subject(of, inventory, to)?;
    let components = sbom::components(inventory, tree, plan)?;
    Ok(serde_json::to_vec(&format.document(&subject, &components))?)
}

/// What documents are about.
fn subject(
    (source, name): (&SourceImage, &str),
    inventory: &Inventory,
    (output, written): (&Reference, &Written),
) -> anyhow::Result<Subject> {
    // What the result is known by: its manifest, where the output has one.
    let digest = written.manifest_digest.as_ref().unwrap_or(&written.id);
    let name = match output.transport {
        Transport::DockerDaemon => output.name.as_str(),
        // Where a file lies is of no interest to others.
        _ => name,
    };
    Ok(Subject::new(name, digest, &source.id, &source.config, &inventory.distro))
}

fn write(document: &serde_json::Value, file: &Path, option: &str) -> anyhow::Result<()> {
    write_whole(file, |writer| Ok(serde_json::to_writer_pretty(writer, document)?)).with_context(
        || format!("cannot write {}; choose another place with {option}", file.display()),
    )
}
