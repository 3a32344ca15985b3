//! The command line of profiler.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
