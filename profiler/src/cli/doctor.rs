//! `profiler doctor`: can this machine profile?

use std::process::ExitCode;

use profiler::doctor::{self, Status};

/// Arguments of `profiler doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print the checks.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A line a check.
    Table,
    /// An array of objects.
    Json,
}

/// Runs the verb.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let checks = super::block_on(async { Ok(doctor::check().await) })?;
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&checks)?),
        Format::Table => {
            for check in &checks {
                let status = match check.status {
                    Status::Ok => "ok",
                    Status::Warn => "warn",
                    Status::Fail => "fail",
                };
                println!("{status:<5} {:<13} {}", check.name, check.found);
                if let Some(next) = &check.next {
                    println!("{:<19} -> {next}", "");
                }
            }
        }
    }
    Ok(if doctor::failed(&checks) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
