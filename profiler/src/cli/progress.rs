//! Progress bars on stderr, for work that takes longer than a moment.
//!
//! There is none where nobody looks: stderr is no terminal, or one that cannot
//! move its cursor (`TERM=dumb`), or `--quiet` was given. It is gone before
//! anything else is printed. Bars have no colour, so `NO_COLOR` has nothing to
//! ask for.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use profiler::image::{
    self, ImageError, OpenOptions, Reference, SourceImage, Subset, Tree, WriteOptions, Written,
};
use profiler::progress::{Progress, Snapshot, Stage};

/// What ends sooner needs no bar.
const MOMENT: Duration = Duration::from_secs(1);

/// How often a bar moves.
const PERIOD: Duration = Duration::from_millis(100);

/// The bar that is on the terminal.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Work whose progress is shown until this is dropped.
pub struct Shown {
    /// What the work counts in.
    progress: Arc<Progress>,
    watcher: Option<JoinHandle<()>>,
}

impl Shown {
    /// Shows the progress of what follows, if it takes long and somebody may
    /// want to see it.
    pub fn start(quiet: bool) -> Self {
        let progress = Arc::<Progress>::default();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let visible = !quiet && !dumb && io::stderr().is_terminal();
        let watcher = visible.then(|| {
            let progress = Arc::clone(&progress);
            thread::spawn(move || watch(&progress))
        });
        Self { progress, watcher }
    }

    /// What the work counts in.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            self.progress.begin(Stage::Over, 0);
            watcher.thread().unpark();
            // It has no reason to panic; if it did, the bar is of no use.
            let _ = watcher.join();
        }
    }
}

/// Opens an image; how far that has come is shown.
///
/// # Errors
/// See [`ImageError`].
pub fn open(
    reference: &Reference,
    options: &OpenOptions<'_>,
    quiet: bool,
) -> Result<SourceImage, ImageError> {
    let shown = Shown::start(quiet);
    image::open_with(reference, &OpenOptions { progress: Some(shown.progress()), ..*options })
}

/// Writes a part of an image; how far that has come is shown.
///
/// # Errors
/// See [`ImageError`].
pub fn write(
    image: &SourceImage,
    tree: &Tree<'_>,
    subset: &Subset,
    output: &Reference,
    options: &mut WriteOptions,
    quiet: bool,
) -> Result<Written, ImageError> {
    let shown = Shown::start(quiet);
    options.progress = Some(Arc::clone(shown.progress()));
    image::write(image, tree, subset, output, options)
}

/// Runs in a thread of its own until the work is over.
fn watch(progress: &Progress) {
    let start = Instant::now();
    let mut drawn = None;
    loop {
        thread::park_timeout(PERIOD);
        let now = progress.look();
        if now.stage == Stage::Over {
            break;
        }
        if start.elapsed() < MOMENT {
            continue;
        }
        let mut shown = lock();
        if drawn != Some(now.stage) {
            clear(&mut shown);
            drawn = Some(now.stage);
        }
        let bar = shown.get_or_insert_with(|| new_bar(now, start.elapsed()));
        if now.total > 0 {
            // An estimate may be too low.
            bar.set_length(now.total.max(now.done));
        }
        bar.set_position(now.done);
        bar.tick();
    }
    clear(&mut lock());
}

/// A bar that has all it needs before it is drawn.
fn new_bar(now: Snapshot, elapsed: Duration) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        (now.total > 0).then_some(now.total),
        ProgressDrawTarget::hidden(),
    )
    .with_style(style(now))
    .with_message(words(now.stage))
    .with_position(now.done)
    .with_elapsed(elapsed);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar
}

fn clear(shown: &mut Option<ProgressBar>) {
    if let Some(bar) = shown.take() {
        bar.finish_and_clear();
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn style(now: Snapshot) -> ProgressStyle {
    let template = match (now.stage, now.total) {
        (_, 0) => "{spinner} {msg} {elapsed}",
        (Stage::Merging, _) => "{msg} [{bar:30}] {pos}/{len} files, {elapsed}",
        _ => "{msg} [{bar:30}] {bytes}/{total_bytes}, {elapsed}",
    };
    // Checked by a test; a bar is no reason to fail.
    ProgressStyle::with_template(template)
        .map(|style| style.progress_chars("=> ").tick_chars("|/-\\ "))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Idle | Stage::Over => "working",
        Stage::Exporting => "exporting",
        Stage::Downloading => "downloading",
        Stage::Reading => "reading layers",
        Stage::Writing => "writing layers",
        Stage::Loading => "loading",
        Stage::Uploading => "handing over",
        Stage::Checking => "checking",
        Stage::Merging => "merging",
    }
}

/// Stderr for lines that may come while a bar is shown: it makes room for
/// them.
#[derive(Debug)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write(bytes);
        match &*lock() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for stage in [Stage::Reading, Stage::Merging] {
            for total in [0, 5] {
                let bar = ProgressBar::hidden();
                bar.set_style(style(Snapshot { stage, done: 1, total }));
                // The default has no place for the words.
                bar.set_message(words(stage));
                assert_eq!(bar.message(), words(stage));
            }
        }
    }
}
