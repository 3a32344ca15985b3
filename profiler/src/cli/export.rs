//! `profiler export`: the allow-list for another builder.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::export::{self, Export};
use profiler::files::write_whole;
use profiler::image::{OpenOptions, Platform, Reference, Tree};
use profiler::minimize::{self, Policy};

use super::minimize::{Allowances, load_profiles, refuse};
use super::progress;
use super::terminal::printable_lines;

/// Arguments of `profiler export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The list's format.
    #[arg(long, value_enum)]
    format: Format,
    /// Profiles of one image.
    #[arg(required = true, value_name = "PROFILE")]
    profile: Vec<PathBuf>,
    /// Where the image is; without it the Docker daemon is asked for the ID
    /// in the profile. The list holds what the image's files need, too.
    #[arg(long, value_name = "REF")]
    image: Option<Reference>,
    /// Which image of an index, as linux/arm64; without it this machine's.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Where the list goes; - is stdout.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    allow: Allowances,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A path a line, for `tar --no-recursion -T`.
    Paths,
    /// NUL-terminated paths, for `tar --no-recursion --null -T`.
    Paths0,
    /// A multi-stage Dockerfile.
    Dockerfile,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let profiles = load_profiles(&args.profile)?;
    let reference = match args.image {
        Some(reference) => reference,
        None => profiles[0].image.id.parse()?,
    };
    let likely = minimize::likely(&profiles);
    let options = OpenOptions {
        platform: args.platform.as_ref(),
        likely: Some(&likely),
        ..OpenOptions::default()
    };
    let image = progress::open(&reference, &options, quiet)
        .context("the export needs the profiled image; name it with --image")?;
    minimize::check(&image, &profiles, args.allow.allow()).map_err(refuse)?;
    let tree = Tree::build(&image.layers)?;
    let plan = minimize::plan(&image, &tree, &profiles, &Policy::default())?;
    let format = match args.format {
        Format::Paths => export::paths(),
        Format::Paths0 => export::paths0(),
        Format::Dockerfile => export::dockerfile(),
    };
    let mut bytes = Vec::new();
    format.write(&Export { image: &image, tree: &tree, plan: &plan }, &mut bytes)?;
    if args.output.as_os_str() == "-" {
        let mut stdout = std::io::stdout();
        if stdout.is_terminal() {
            bytes = printable_lines(&bytes).into_bytes();
        }
        stdout.write_all(&bytes).context("cannot write to stdout")?;
    } else {
        write_whole(&args.output, |writer| writer.write_all(&bytes))
            .with_context(|| format!("cannot write {}", args.output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
