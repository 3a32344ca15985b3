//! `profiler minimize`: image and profiles in, small image out.

mod allow;
mod attach;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::files::write_whole;
use profiler::image::{self, OpenOptions, Platform, Reference, Subset, Tree, WriteOptions};
use profiler::minimize::{self, Policy};
use profiler::profile::{self, Profile};
use profiler::report::Report;

pub use allow::{Allowances, refuse};

/// Arguments of `profiler minimize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image that was profiled: docker-daemon:NAME (or just NAME),
    /// docker-archive:FILE, oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// containers-storage:NAME or docker://HOST/NAME[:TAG|@DIGEST].
    image: Reference,
    /// A profile of it (repeat to unite several).
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    profile: Vec<PathBuf>,
    /// Where the small image goes, in the same forms.
    #[arg(long, value_name = "REF")]
    output: Reference,
    /// Write the reason of every kept path, and every removed one.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Attach this to an oci: or docker:// output, as an artefact that refers
    /// to the image.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    attach: Vec<attach::Attachment>,
    /// Keep paths that fit this glob, e.g. '/etc/ssl/**' (repeat for more).
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Drop paths that fit this glob, whatever needs them.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Which image of an index, as linux/arm64; without it this machine's.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// How to print the summary.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Replace an output that exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    allow: Allowances,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// The report without its lists of paths.
    Json,
}

/// Reads profiles in the order given.
pub fn load_profiles(paths: &[PathBuf]) -> anyhow::Result<Vec<Profile>> {
    paths.iter().map(|path| Ok(profile::load(path)?)).collect()
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let profiles = load_profiles(&args.profile)?;
    let policy = Policy::new(&args.include, &args.exclude)?;
    if !args.attach.is_empty() {
        image::check_attach(&args.output)?;
    }
    image::check_output(&args.output, args.force)?;
    let likely = minimize::likely(&profiles);
    let source = image::open_with(
        &args.image,
        &OpenOptions {
            platform: args.platform.as_ref(),
            likely: Some(&likely),
            ..OpenOptions::default()
        },
    )?;
    minimize::check(&source, &profiles, args.allow.allow()).map_err(refuse)?;
    let tree = Tree::build(&source.layers)?;
    let plan = minimize::plan(&source, &tree, &profiles, &policy)?;
    let options = WriteOptions {
        annotations: annotations(&source, &profiles),
        force: args.force,
        ..WriteOptions::default()
    };
    let subset = Subset { keep: plan.kept.keys().copied().collect(), edits: plan.edits.clone() };
    let written = image::write(&source, &tree, &subset, &args.output, &options)?;
    let report = Report::new(&source, &tree, &plan, &args.output.to_string(), &written);
    if let Some(path) = &args.report {
        save(&report, path)?;
    }
    attach::attach(&args.attach, &args.output, &report)?;
    if !quiet {
        for warning in &plan.warnings {
            log::info!("{warning}");
        }
    }
    match args.format {
        Format::Table => print!("{}", report.table()),
        Format::Json => {
            let summary = serde_json::json!({
                "version": report.version,
                "source": report.source,
                "output": report.output,
                "removed": report.removed.len(),
                "warnings": report.warnings,
            });
            println!("{}", serde_json::to_string_pretty(&summary)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says where the small image comes from. Not the `base` keys of OCI: the
/// layers are not shared with the source. The name is the profile's and not
/// the one given here, so that the digest does not depend on the transport or
/// on where a file lies.
fn annotations(source: &image::SourceImage, profiles: &[Profile]) -> BTreeMap<String, String> {
    const PREFIX: &str = "io.github.profiler-rs.profiler";
    let reference = profiles.first().map(|profile| profile.image.reference.clone());
    [
        (format!("{PREFIX}.source.reference"), reference.unwrap_or_default()),
        (format!("{PREFIX}.source.digest"), source.id.clone()),
        (format!("{PREFIX}.version"), env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .into()
}

fn save(report: &Report, path: &Path) -> anyhow::Result<()> {
    write_whole(path, |writer| Ok(serde_json::to_writer_pretty(writer, report)?)).with_context(
        || format!("cannot write report {}; choose another place with --report", path.display()),
    )
}
