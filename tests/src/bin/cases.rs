//! The case programs' command line; see the library's module `cases`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use integration_tests::cases::check::{Profile, Verdict, losses};
use integration_tests::cases::expect::Tier;
use integration_tests::cases::run::{Outcome, perform, usual};
use integration_tests::cases::time::time;
use integration_tests::cases::{ALL, Case, Setting, by_number, prepare};

const USAGE: &str = "usage:
  cases prepare ROOT                 make the image's file tree in an empty directory
  cases run [--part PART] [NN...]    perform cases in a container; without numbers, those
                                     that any container can perform
  cases run --list                   the cases, and the container that each needs
  cases check --tier fexit|tracepoint [--ran FILE] [--part PART] PROFILE [NN...]
                                     compare a profile with the table; FILE holds what
                                     `cases run` printed, and cases that were impossible
                                     are left out
  cases time getppid|open N          repeat the operation N times in a container; prints
                                     its name and nanoseconds an operation
  cases wait                         print `waiting` and end with stdin, for a container that
                                     others are to be started in
exit status: 0 all well, 1 a case failed, 2 wrong usage or unreadable input";

fn main() -> ExitCode {
    match command(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cases: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well.
fn command(mut arguments: Vec<String>) -> Result<bool> {
    if arguments.is_empty() {
        bail!("no command\n{USAGE}");
    }
    match arguments.remove(0).as_str() {
        "prepare" => match arguments.as_slice() {
            [root] => prepare(root.as_ref()).map(|()| true),
            _ => bail!("prepare takes one directory\n{USAGE}"),
        },
        "run" => run(arguments),
        "check" => check(arguments),
        "time" => measure(&arguments),
        "wait" => wait(),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        other => bail!("unknown command {other:?}\n{USAGE}"),
    }
}

/// Takes an option and its value out of the arguments.
fn option(arguments: &mut Vec<String>, name: &str) -> Result<Option<String>> {
    let Some(at) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
    arguments.remove(at);
    if at == arguments.len() {
        bail!("{name} needs a value\n{USAGE}");
    }
    Ok(Some(arguments.remove(at)))
}

/// The cases of these numbers, or the usual ones.
fn selected(numbers: &[String]) -> Result<Vec<&'static Case>> {
    if numbers.is_empty() {
        return Ok(usual().collect());
    }
    let case = |number: &String| {
        let parsed = number.parse().ok().and_then(by_number);
        parsed.with_context(|| format!("{number:?} is no case: 1 to {}\n{USAGE}", ALL.len()))
    };
    numbers.iter().map(case).collect()
}

fn run(mut arguments: Vec<String>) -> Result<bool> {
    if arguments == ["--list"] {
        for case in ALL {
            let setting = match case.setting {
                Setting::Any => "any container",
                Setting::Own(setting) => setting,
            };
            println!("{:02} {}: {setting}", case.number, case.title);
        }
        return Ok(true);
    }
    let part = option(&mut arguments, "--part")?;
    let mut well = true;
    for case in selected(&arguments)? {
        let number = case.number;
        match perform(case, part.as_deref()) {
            Outcome::Done => println!("{number:02} ok"),
            Outcome::Impossible(reason) => println!("{number:02} {IMPOSSIBLE}{reason}"),
            Outcome::Failed(reason) => {
                println!("{number:02} failed: {reason}");
                well = false;
            }
        }
    }
    Ok(well)
}

/// What stands behind the number of a case that was impossible.
const IMPOSSIBLE: &str = "impossible: ";

fn check(mut arguments: Vec<String>) -> Result<bool> {
    let tier: Tier = option(&mut arguments, "--tier")?
        .with_context(|| format!("--tier is missing\n{USAGE}"))?
        .parse()
        .map_err(anyhow::Error::msg)?;
    let part = option(&mut arguments, "--part")?;
    let ran = match option(&mut arguments, "--ran")? {
        Some(file) => std::fs::read_to_string(&file).with_context(|| file.clone())?,
        None => String::new(),
    };
    if arguments.is_empty() {
        bail!("check takes a profile\n{USAGE}");
    }
    let file = PathBuf::from(arguments.remove(0));
    let name = || file.display().to_string();
    let text = std::fs::read(&file).with_context(name)?;
    let profile = Profile::parse(&text).with_context(name)?;
    let lost = losses(&text).with_context(name)?;
    // The cases are few: nothing of them may be lost.
    let mut well = lost.is_empty();
    if !well {
        println!("events lost: {}", lost.join(", "));
    }
    for case in selected(&arguments)? {
        let prefix = format!("{:02} {IMPOSSIBLE}", case.number);
        if let Some(reason) = ran.lines().find_map(|line| line.strip_prefix(&prefix)) {
            println!("{:02} {}: not performed ({reason})", case.number, case.title);
            continue;
        }
        let verdict = profile.compare(case, tier, part.as_deref());
        println!("{:02} {}: {verdict}", case.number, case.title);
        well &= !matches!(verdict, Verdict::Differs(_));
    }
    Ok(well)
}

fn measure(arguments: &[String]) -> Result<bool> {
    let [name, turns] = arguments else { bail!("time takes a loop and a number\n{USAGE}") };
    let turns = turns.parse().with_context(|| format!("{turns:?} is no number\n{USAGE}"))?;
    let nanoseconds = time(name.parse().map_err(anyhow::Error::msg)?, turns)?;
    println!("{name} {nanoseconds:.1}");
    Ok(true)
}

/// Has no limit of time, unlike a case.
fn wait() -> Result<bool> {
    println!("waiting");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).context("cannot read stdin")?;
    Ok(true)
}
