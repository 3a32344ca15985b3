//! An index in, an index out: profiles of several platforms.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use profiler::image::{self, Member, Platform, SourceImage, Tree, WriteOptions};
use profiler::profile::Profile;
use profiler::report::Report;

use super::asked::Resolved;
use super::{Args, Format, open, options, plan, save, subset, summary, tell};
use crate::cli::progress::Shown;

/// Profiles by the platform they are of, if they are of several.
pub fn by_platform(profiles: &[Profile]) -> Option<BTreeMap<Platform, Vec<Profile>>> {
    let mut groups: BTreeMap<Platform, Vec<Profile>> = BTreeMap::new();
    for profile in profiles {
        let image = &profile.image;
        // Old profiles do not say: the image that is opened decides.
        let platform = format!("{}/{}", image.os, image.architecture).parse().ok()?;
        groups.entry(platform).or_default().push(profile.clone());
    }
    (groups.len() > 1).then_some(groups)
}

/// Says what an index has beside the image taken from it.
pub fn note_others(source: &SourceImage) {
    if source.platforms.len() < 2 {
        return;
    }
    let all: Vec<String> = source.platforms.iter().map(ToString::to_string).collect();
    eprintln!(
        "profiler: {} is an index of {}; the result is the image of one of them: give profiles of \
         several platforms for an index",
        source.reference,
        all.join(", ")
    );
}

/// Minimizes the image of each platform and writes an index of the results.
pub fn run(
    args: &Args,
    groups: &BTreeMap<Platform, Vec<Profile>>,
    asked: &Resolved,
    quiet: bool,
) -> anyhow::Result<ExitCode> {
    if args.heal.verify {
        let all: Vec<String> = groups.keys().map(ToString::to_string).collect();
        bail!(
            "--verify runs one image, and the profiles are of {}; choose one with --platform",
            all.join(", ")
        );
    }
    if args.packages.documents() || args.twin.wanted() || !args.attach.is_empty() {
        let all: Vec<String> = groups.keys().map(ToString::to_string).collect();
        bail!(
            "--sbom, --vex, --attach and --debug-twin are about one image, and the profiles are of \
             {}; choose one with --platform",
            all.join(", ")
        );
    }
    image::check_index_output(&args.output, args.force)?;
    let mut sources = Vec::new();
    for (platform, profiles) in groups {
        sources.push(open(args, Some(platform), profiles, quiet)?);
    }
    let trees: Vec<Tree<'_>> =
        sources.iter().map(|source| Tree::build(&source.layers)).collect::<Result<_, _>>()?;
    let shown = Shown::start(quiet);
    let mut plans = Vec::new();
    for ((source, tree), profiles) in sources.iter().zip(&trees).zip(groups.values()) {
        let (plan, inventory) = plan(args, source, tree, profiles, &asked.policy)?;
        let mut options = options(args, source, profiles, asked.squash);
        options.progress = Some(Arc::clone(shown.progress()));
        plans.push((subset(&plan), options, plan, inventory));
    }
    let parts = groups.keys().zip(sources.iter().zip(&trees)).zip(&plans);
    let members: Vec<Member<'_>> = parts
        .map(|((platform, (image, tree)), (subset, options, ..))| Member {
            platform: platform.clone(),
            image,
            tree,
            subset,
            options,
        })
        .collect();
    let own = WriteOptions { force: args.force, ..WriteOptions::default() };
    let written = image::write_index(&members, &args.output, &own)?;
    drop(shown);
    let mut reports = Vec::new();
    for ((member, (.., plan, inventory)), written) in members.iter().zip(&plans).zip(&written) {
        let output = format!("{} ({})", args.output, member.platform);
        let report = Report::new(member.image, member.tree, plan, &output, written);
        reports.push(report.with_packages(inventory, member.tree, plan));
        if !quiet {
            tell(plan);
        }
    }
    if let Some(path) = &args.report {
        save(&reports, path)?;
    }
    match args.format {
        Format::Table => reports.iter().for_each(|report| print!("{}", report.table())),
        Format::Json => {
            let all: Vec<_> = reports.iter().map(summary).collect();
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
