//! `profiler watch`: tell what containers of a minimized image look for and do
//! not find any more.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use profiler::image::{OpenOptions, Reference, Tree};
use profiler::minimize::{self, Allow, Policy, Refusal};
use profiler::packages::Inventory;
use profiler::verify::Comparison;
use profiler::watch::{Lookup, Metrics, Original, Settings, Watcher, serve};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::minimize::load_profiles;
use super::progress;
use super::record::duration;
use super::run::Buffers;
use super::signals::Signals;

/// Arguments of `profiler watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image that was minimized, in any of the forms that minimize takes.
    #[arg(long, value_name = "IMAGE")]
    original: Reference,
    /// A profile that it was minimized with (repeat for more).
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    profile: Vec<PathBuf>,
    /// Watch containers of this image only (reference or ID; repeat for
    /// more). Without it, those of every image of Docker whose config is the
    /// original's; images of other engines must be named.
    #[arg(long, value_name = "REF")]
    image: Vec<String>,
    /// Append the lines to a file; without it they go to stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Tell counts to Prometheus, at http://ADDR:PORT/metrics.
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Attach anew this often, so that what the kernel side keeps does not
    /// grow for ever; nothing is lost and nothing told twice.
    #[arg(long, value_name = "D", value_parser = duration, default_value = "6h")]
    renew: Duration,
    #[command(flatten)]
    buffers: Buffers,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let out = Output::open(args.output.as_ref())?;
    let profiles = load_profiles(&args.profile)?;
    let likely = minimize::likely(&profiles);
    let options = OpenOptions { likely: Some(&likely), ..OpenOptions::default() };
    let source = progress::open(&args.original, &options, quiet)?;
    // What the image was made with has been judged when it was made.
    let allow = Allow { incomplete: true, failed: true, thin: true, ..Allow::default() };
    minimize::check(&source, &profiles, allow).map_err(|refusal| match refusal {
        Refusal::Mismatch { profiled, profiled_id, .. } => anyhow::anyhow!(
            "the profile is of image {profiled} ({profiled_id}), not of {}; name the image that \
             was minimized with --original",
            args.original
        ),
        refusal => refusal.into(),
    })?;
    let tree = Tree::build(&source.layers)?;
    let plan = minimize::plan(&source, &tree, &profiles, &Policy::default())?;
    let inventory = Inventory::read(&tree)?;
    let comparison = Comparison::planned(&tree, &plan, &inventory);
    let original = Original::new(&source, args.image.clone());
    drop((profiles, plan));
    super::block_on(watch(&args, comparison, original, out, quiet))
}

async fn watch(
    args: &Args,
    comparison: Comparison<'_>,
    original: Original,
    mut out: Output,
    quiet: bool,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let metrics = Arc::new(Metrics::new());
    if let Some(address) = args.metrics {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; choose another address with --metrics")
        })?;
        if !quiet {
            eprintln!("profiler: metrics at http://{}/metrics", listener.local_addr()?);
        }
        tokio::spawn(serve(listener, Arc::clone(&metrics)));
    }
    let settings = Settings { options: args.buffers.options(), renewal: args.renew };
    let mut watcher = Watcher::start(comparison, original, settings).await?;
    if !quiet {
        eprintln!("profiler: watching containers made from {}", args.original);
    }
    let mut update = Instant::now();
    let mut reading = true;
    while reading {
        let told = tokio::select! {
            told = watcher.next() => told?,
            _ = signals.next() => break,
        };
        reading = tell(&mut out, &told, &metrics)?;
        if Instant::now() >= update {
            metrics.update(&watcher);
            update = Instant::now() + Duration::from_secs(1);
        }
    }
    let told = watcher.finish().await;
    if reading {
        tell(&mut out, &told, &metrics)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a line a lookup; false when nobody reads any more.
fn tell(out: &mut Output, told: &[Lookup], metrics: &Metrics) -> anyhow::Result<bool> {
    for lookup in told {
        metrics.count(lookup);
        let mut line = serde_json::to_vec(lookup)?;
        line.push(b'\n');
        // Whole and at once: others may read the file, or append to it.
        match out.write(&line) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            result => result.with_context(|| format!("cannot write to {}", out.name))?,
        }
    }
    Ok(true)
}

/// Where the lines go.
struct Output {
    name: String,
    file: Option<File>,
}

impl Output {
    fn open(path: Option<&PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { name: "stdout".into(), file: None }) };
        let name = path.display().to_string();
        let file = File::options().create(true).append(true).open(path).with_context(|| {
            format!("cannot append to {name}; choose another place with --output")
        })?;
        Ok(Self { name, file: Some(file) })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(line),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(line)?;
                out.flush()
            }
        }
    }
}
