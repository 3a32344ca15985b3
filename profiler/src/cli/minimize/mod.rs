//! `profiler minimize`: image and profiles in, small image out.

mod allow;
mod asked;
mod attach;
mod heal;
mod packages;
mod platforms;
mod twin;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::files::write_whole;
use profiler::image::{
    self, OpenOptions, Platform, Reference, SourceImage, Subset, Tree, WriteOptions,
};
use profiler::minimize::{self, Plan, Policy};
use profiler::packages::Inventory;
use profiler::profile::{self, Profile};
use profiler::report::Report;

use crate::cli::progress;
pub use allow::{Allowances, refuse};
use asked::Asked;
use heal::{HealArgs, Healed};
use twin::TwinArgs;

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
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    twin: TwinArgs,
    /// Which image of an index, as linux/arm64; without it this machine's.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Attach this to an oci: or docker:// output, as an artefact that refers
    /// to the image.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    attach: Vec<attach::Attachment>,
    /// How to print the summary.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Replace an output that exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    packages: packages::PackageArgs,
    #[command(flatten)]
    allow: Allowances,
    #[command(flatten)]
    gates: crate::cli::gate::Gates,
    #[command(flatten)]
    heal: HealArgs,
}

/// What the program's own annotations begin with.
const PREFIX: &str = "io.github.profiler-rs.profiler";

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
pub fn run(mut args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let mut asked = args.asked.resolved()?;
    args.packages.policy = asked.package_metadata;
    let findings = args.packages.findings()?;
    let profiles = load_profiles(&args.profile)?;
    if args.platform.is_none()
        && let Some(groups) = platforms::by_platform(&profiles)
    {
        return platforms::run(&args, &groups, &asked, quiet);
    }
    if !args.attach.is_empty() {
        image::check_attach(&args.output)?;
    }
    image::check_output(&args.output, args.force)?;
    let twin_output = args.twin.output(&args.output, args.force)?;
    let mut source = open(&args, args.platform.as_ref(), &profiles, quiet)?;
    if !quiet {
        platforms::note_others(&source);
    }
    let tree = Tree::build(&source.layers)?;
    let mut options = options(&args, &source, &profiles, asked.squash);
    let (plan, inventory, verified) = if args.heal.verify {
        let own = self::options(&args, &source, &profiles, asked.squash);
        let policy = &mut asked.policy;
        let healed = heal::heal(&args, &source, &tree, &profiles, policy, own, quiet)?;
        let Healed { plan, inventory, rounds, id, temporary } = healed;
        (plan, inventory, Some((rounds, id, temporary)))
    } else {
        let (plan, inventory) = plan(&args, &source, &tree, &profiles, &asked.policy)?;
        (plan, inventory, None)
    };
    let subset = subset(&plan);
    let twin =
        twin_output.map(|output| Ok::<_, anyhow::Error>((output, args.twin.make(&source, &tree)?)));
    let twin = twin.transpose()?;
    let written = progress::write(&source, &tree, &subset, &args.output, &mut options, quiet)?;
    let mut report = Report::new(&source, &tree, &plan, &args.output.to_string(), &written)
        .with_packages(&inventory, &tree, &plan);
    if let Some((rounds, id, temporary)) = verified {
        anyhow::ensure!(
            written.id == id,
            "{} is image {}, and {id} was verified; this is a defect of the program, do not use it",
            args.output,
            written.id
        );
        drop(temporary);
        report.rounds = rounds;
    }
    let name = profiles.first().map_or("", |profile| profile.image.reference.as_str());
    args.packages.save(
        &findings,
        (&source, name),
        (&inventory, &tree, &plan),
        (&args.output, &written),
    )?;
    if let Some(path) = &args.report {
        save(&report, path)?;
    }
    if let Some((output, twin)) = twin {
        options.additions.push(twin.addition);
        source.config = twin.config;
        progress::write(&source, &tree, &subset, &output, &mut options, quiet)
            .with_context(|| format!("the debug twin {output} was not written"))?;
        if !quiet {
            eprintln!("profiler: debug twin {output}: busybox with {} applets", twin.applets.len());
        }
    }
    attach::attach(&args.attach, &args.output, &report, |format| {
        let of = (&inventory, &tree, &plan);
        packages::bill(format, (&source, name), of, (&args.output, &written))
    })?;
    if !quiet {
        tell(&plan);
    }
    match args.format {
        Format::Table => print!("{}", report.table()),
        Format::Json => println!("{}", serde_json::to_string_pretty(&summary(&report))?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the image of a platform and checks the profiles against it.
fn open(
    args: &Args,
    platform: Option<&Platform>,
    profiles: &[Profile],
    quiet: bool,
) -> anyhow::Result<SourceImage> {
    let likely = minimize::likely(profiles);
    let options = OpenOptions { platform, likely: Some(&likely), ..OpenOptions::default() };
    let source = progress::open(&args.image, &options, quiet)?;
    minimize::check(&source, profiles, args.allow.allow()).map_err(refuse)?;
    Ok(source)
}

/// What is kept, package databases considered.
fn plan(
    args: &Args,
    source: &SourceImage,
    tree: &Tree<'_>,
    profiles: &[Profile],
    policy: &Policy,
) -> anyhow::Result<(Plan, Inventory)> {
    crate::cli::coverage::gate(&args.gates, profiles, tree)?;
    let mut plan = minimize::plan(source, tree, profiles, policy)?;
    let inventory = args.packages.apply(tree, &mut plan)?;
    Ok((plan, inventory))
}

fn options(args: &Args, source: &SourceImage, profiles: &[Profile], squash: bool) -> WriteOptions {
    let mut annotations = annotations(source, profiles);
    let (name, value) = args.packages.annotation();
    annotations.insert(format!("{PREFIX}.{name}"), value);
    WriteOptions { annotations, force: args.force, squash, ..WriteOptions::default() }
}

fn subset(plan: &Plan) -> Subset {
    Subset { keep: plan.kept.keys().copied().collect(), edits: plan.edits.clone() }
}

/// What could not be resolved, for who wants to know.
fn tell(plan: &Plan) {
    for warning in &plan.warnings {
        log::info!("{warning}");
    }
}

/// The report without its lists of paths.
fn summary(report: &Report) -> serde_json::Value {
    serde_json::json!({
        "version": report.version,
        "source": report.source,
        "output": report.output,
        "removed": report.removed.len(),
        "packages": report.packages.as_ref().map(|packages| serde_json::json!({
            "removed": packages.removed,
            "partial": packages.partial,
            "full": packages.full,
            "unknown": packages.unknown,
        })),
        "warnings": report.warnings,
    })
}

/// Says where the small image comes from. Not the `base` keys of OCI: the
/// layers are not shared with the source. The name is the profile's and not
/// the one given here, so that the digest does not depend on the transport or
/// on where a file lies.
fn annotations(source: &SourceImage, profiles: &[Profile]) -> BTreeMap<String, String> {
    let reference = profiles.first().map(|profile| profile.image.reference.clone());
    [
        (format!("{PREFIX}.source.reference"), reference.unwrap_or_default()),
        (format!("{PREFIX}.source.digest"), source.id.clone()),
        (format!("{PREFIX}.version"), env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .into()
}

/// Writes what `--report` asks for.
pub fn save(report: &impl serde::Serialize, path: &Path) -> anyhow::Result<()> {
    write_whole(path, |writer| Ok(serde_json::to_writer_pretty(writer, report)?)).with_context(
        || format!("cannot write report {}; choose another place with --report", path.display()),
    )
}
