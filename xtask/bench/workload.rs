//! The benchmarks' workloads, as a static program for their containers.
//!
//! `workload VERB ARGUMENTS` waits at the gate, a directory mounted at
//! `/gate`: it makes the file `ready`, reads a line from the FIFO `go`, does
//! its work, and leaves `OPERATIONS NANOSECONDS` in the file `result`. Only the
//! work lies between the two readings of the monotonic clock.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{env, io};

/// Turns before the clock starts, in the loops that repeat one operation.
const WARM_UP: u64 = 1000;

/// Files of one directory.
const FAN_OUT: u64 = 1000;

/// Processes of the storm.
const STORM: usize = 4;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["make", directory, files, bytes] => make(directory, number(files), number(bytes)),
        ["make-modules", directory, modules] => make_modules(directory, number(modules)),
        ["open", path, turns] => gated(|| open(path, number(turns))),
        ["getppid", turns] => gated(|| getppid(number(turns))),
        ["each", directory, files] => gated(|| each(directory, number(files))),
        ["storm", directory, files, turns] => storm(directory, files, turns),
        ["storm-child", directory, files, turns] => {
            storm_child(directory, number(files), number(turns));
        }
        ["command", operations, starts, program, ref arguments @ ..] => {
            gated(|| command(number(operations), number(starts), program, arguments));
        }
        _ => panic!("unknown verb or wrong number of arguments: {words:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn name(directory: &str, file: u64) -> String {
    format!("{directory}/{:04}/{:03}", file / FAN_OUT, file % FAN_OUT)
}

fn make(directory: &str, files: u64, bytes: u64) {
    let content = vec![b'x'; bytes as usize];
    for file in 0..files {
        let path = name(directory, file);
        if file % FAN_OUT == 0 {
            fs::create_dir_all(Path::new(&path).parent().expect("a parent")).expect("a directory");
        }
        fs::write(&path, &content).expect("a file");
    }
}

/// `many`, a package of nearly empty modules, and `main.py`, which imports all
/// of them. `modules.py` makes the one of real modules, with the same names.
fn make_modules(directory: &str, modules: u64) {
    let package = format!("{directory}/many");
    fs::create_dir_all(&package).expect("a directory");
    fs::write(format!("{package}/__init__.py"), "").expect("a module");
    let mut main = String::new();
    for module in 0..modules {
        let text = format!("def value():\n    return {module}\n");
        fs::write(format!("{package}/m{module:03}.py"), text).expect("a module");
        main += &format!("import many.m{module:03}\n");
    }
    fs::write(format!("{directory}/main.py"), main).expect("a program");
}

/// Passes the gate, works, leaves the result: operations done, and since when.
fn gated(work: impl FnOnce() -> (u64, Instant)) {
    File::create("/gate/ready").expect("the gate");
    let mut line = String::new();
    io::BufRead::read_line(
        &mut io::BufReader::new(File::open("/gate/go").expect("the gate")),
        &mut line,
    )
    .expect("the gate opens");
    let (operations, start) = work();
    let result = format!("{operations} {}\n", start.elapsed().as_nanos());
    fs::write("/gate/result", result).expect("the result");
}

fn open(path: &str, turns: u64) -> (u64, Instant) {
    let once = || drop(File::open(path).expect("a file"));
    (0..WARM_UP).for_each(|_| once());
    let start = Instant::now();
    (0..turns).for_each(|_| once());
    (turns, start)
}

fn getppid(turns: u64) -> (u64, Instant) {
    let once = || {
        std::hint::black_box(parent_id());
    };
    (0..WARM_UP).for_each(|_| once());
    let start = Instant::now();
    (0..turns).for_each(|_| once());
    (turns, start)
}

fn each(directory: &str, files: u64) -> (u64, Instant) {
    let start = Instant::now();
    for file in 0..files {
        File::open(name(directory, file)).expect("a file");
    }
    (files, start)
}

/// The processes are born after the gate, so that a tracer that attached to the
/// first process follows them, and they are held until all are there.
fn storm(directory: &str, files: &str, turns: &str) {
    gated(|| {
        let child = || {
            Command::new("/proc/self/exe")
                .args(["storm-child", directory, files, turns])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a child")
        };
        let mut children: [Child; STORM] = std::array::from_fn(|_| child());
        for child in &mut children {
            let mut byte = [0];
            child.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("a child's word");
        }
        let start = Instant::now();
        // Closing a child's stdin lets it go.
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        for child in &mut children {
            assert!(child.wait().expect("a status").success());
        }
        (STORM as u64 * number(turns), start)
    });
}

fn storm_child(directory: &str, files: u64, turns: u64) {
    let names: Vec<String> = (0..files).map(|file| name(directory, file)).collect();
    println!();
    io::stdin().read_to_end(&mut Vec::new()).expect("the end of stdin");
    for turn in 0..turns {
        File::open(&names[(turn % files) as usize]).expect("a file");
    }
}

fn command(operations: u64, starts: u64, program: &str, arguments: &[&str]) -> (u64, Instant) {
    let start = Instant::now();
    for _ in 0..starts {
        let status = Command::new(program).args(arguments).status().expect("a program");
        assert!(status.success(), "{program}: {status}");
    }
    (operations, start)
}
