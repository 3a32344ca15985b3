//! What the integration tests share: engines, images, running the program
//! under test, and an observer that owes it nothing.
//!
//! The tests are black boxes: they know the command line and the profile
//! format, not the library. Each watches the whole machine, so they run one
//! at a time; `cargo xtask test` does that and prepares the machine.

pub mod cases;
pub mod ci;
pub mod containerd;
pub mod distros;
pub mod engine;
pub mod faithful;
pub mod images;
pub mod oracle;
pub mod profile;
pub mod program;
pub mod registry;
pub mod scanner;
pub mod schema;
pub mod terminal;
pub mod tokens;
pub mod watch;

use std::time::{Duration, Instant};

/// Where the fixtures are.
pub fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Waits until `condition` holds; half a minute at most.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
