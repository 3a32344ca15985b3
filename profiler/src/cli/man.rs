//! `profiler man`: manual pages, from the same words as `--help`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::files::write_whole;

/// Arguments of `profiler man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where a page for the program and one for each command go; it is made
    /// if it is not there. Without it the program's page goes to stdout.
    directory: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(args: Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    // Global options reach the commands, and those get their full names.
    command.build();
    let Some(directory) = args.directory else {
        let page = page(command)?;
        std::io::stdout().write_all(&page).context("cannot write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create directory {}", directory.display()))?;
    let commands: Vec<clap::Command> =
        command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned().collect();
    for command in std::iter::once(command).chain(commands) {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let path = directory.join(format!("{name}.1"));
        let page = page(command)?;
        write_whole(&path, |writer| writer.write_all(&page))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A page of section 1.
fn page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}
