//! `profiler show`: a profile, why a path is kept, what was removed; reports
//! and profiles together as Markdown.

mod document;
mod dotenv;
mod markdown;
mod profile;
mod removed;
mod why;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use ::profiler::profile::{BytePath, Kind, KindSet};
use serde::Serialize;

use super::stdout::{write, write_json};
use document::Document;

/// Arguments of `profiler show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A profile; with --why and as Markdown profiles and reports of `minimize
    /// --report`, with --removed and as dotenv a report.
    #[arg(required_unless_present = "failed", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Say which run, test, process and rule keep this path.
    #[arg(long, value_name = "PATH", conflicts_with = "removed")]
    why: Option<OsString>,
    /// List removed paths with size and package, the largest first.
    #[arg(long)]
    removed: bool,
    /// Say first that no image was made, and why (Markdown).
    #[arg(long, value_name = "WHY", conflicts_with_all = ["why", "removed"])]
    failed: Option<OsString>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For the summary of a CI job: what was done and seen, less than 1 MiB.
    Markdown,
    /// A report's figures for shells and CI, a NAME=VALUE a line.
    Dotenv,
}

/// Runs the verb.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.format {
        Format::Table | Format::Json if args.failed.is_some() => {
            anyhow::bail!("--failed is for Markdown; add --format markdown")
        }
        Format::Table | Format::Json => {}
        Format::Markdown | Format::Dotenv if args.why.is_some() || args.removed => {
            anyhow::bail!("--why and --removed are shown as table or json")
        }
        Format::Markdown => {
            let documents: Vec<_> =
                args.file.iter().map(|file| Document::read(file)).collect::<Result<_, _>>()?;
            let failed = args.failed.as_ref().map(|why| why.to_string_lossy());
            let page = markdown::page(documents, failed.as_deref(), markdown::LIMIT);
            write(|out| out.write_all(page.as_bytes()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Format::Dotenv => {
            let [file] = args.file.as_slice() else {
                anyhow::bail!("--format dotenv shows one report; name one file");
            };
            let lines = dotenv::lines(file, &Document::read(file)?)?;
            write(|out| out.write_all(lines.as_bytes()))?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    if let Some(path) = args.why {
        let path = BytePath(path.into_vec());
        let mut answers = Vec::new();
        for file in &args.file {
            answers.extend(why::answers(file, Document::read(file)?, &path));
        }
        let found = answers.iter().any(why::Answer::knows);
        print(&answers, args.format, |answers, out| {
            answers.iter().try_for_each(|answer| answer.tell(out))
        })?;
        // As grep(1): nothing found is a status of its own.
        return Ok(if found { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    let [file] = args.file.as_slice() else {
        anyhow::bail!("several files need --why; merge profiles with `profiler merge` first");
    };
    match (Document::read(file)?, args.removed) {
        (Document::Reports(reports), true) => {
            let removed = removed::largest_first(reports);
            print(&removed, args.format, |removed, out| removed::table(removed, out))?;
        }
        (Document::Profile(profile), false) => {
            let summary = profile::Summary::of(&profile);
            print(&summary, args.format, profile::Summary::tell)?;
        }
        (Document::Profile(_), true) => anyhow::bail!(
            "{} is a profile, which does not tell what was removed; name a report of `profiler minimize --report`",
            file.display()
        ),
        (Document::Reports(_), false) => {
            anyhow::bail!("{} is a report; ask it with --removed or --why PATH", file.display())
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print<T: Serialize + ?Sized>(
    data: &T,
    format: Format,
    table: impl FnOnce(&T, &mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    match format {
        Format::Json => write_json(data),
        // The others are of whole documents, and are printed before.
        _ => write(|out| table(data, out)),
    }
}

/// Kinds of access by their names in the profile, with commas.
pub fn kinds(kinds: KindSet) -> String {
    let names: Vec<String> = kinds.iter().map(kind_name).collect();
    names.join(",")
}

fn kind_name(kind: Kind) -> String {
    // The variants are written in lower case in the document, too.
    format!("{kind:?}").to_lowercase()
}
