//! Programs, their interpreters, and files mapped as programs are.

use anyhow::Result;

use crate::cases::expect::Tier::Fexit;
use crate::cases::expect::kind::{EXEC, MMAP, OPEN};
use crate::cases::expect::{name, path};
use crate::cases::sys::{close, exec, exec_at, fails, in_child, map, open};
use crate::cases::{Case, Here, Setting, elf};

/// Where programs are loaded.
const BASE: u64 = 0x40_0000;
/// Interpreters go where the program is not.
const ANYWHERE: u64 = 0;

/// `#!` chains may be this long.
const SCRIPTS_DEEP: usize = 5;

pub const SCRIPTS: Case = Case {
    number: 17,
    title: "#! chains, five deep",
    setting: Setting::Any,
    prepare: |tree| {
        tree.program("interpreter", &elf::program(BASE, None))?;
        for depth in 1..=SCRIPTS_DEEP {
            let next = if depth == SCRIPTS_DEEP {
                "interpreter".to_owned()
            } else {
                format!("script-{}", depth + 1)
            };
            let script = format!("#!/case/17/{next}\n");
            tree.program(&format!("script-{depth}"), script.as_bytes())?;
        }
        Ok(())
    },
    run: |here| in_child(|| Err(exec(&here.at("script-1"), c"script").into())),
    expect: || {
        let scripts = (1..=SCRIPTS_DEEP).map(|depth| name(format!("script-{depth}"), EXEC));
        let mut rows: Vec<_> = scripts.collect();
        rows.push(path("interpreter", EXEC));
        rows.push(name("interpreter", EXEC).maybe_on(Fexit));
        rows
    },
};

pub const INTERPRETER: Case = Case {
    number: 18,
    title: "the ELF interpreter",
    setting: Setting::Any,
    prepare: |tree| {
        tree.program("program", &elf::program(BASE, Some("/case/18/interpreter")))?;
        tree.program("real-interpreter", &elf::program(ANYWHERE, None))?;
        tree.link("interpreter", "real-interpreter")
    },
    run: |here| in_child(|| Err(exec(&here.at("program"), c"program").into())),
    expect: || {
        vec![
            path("program", EXEC),
            path("real-interpreter", EXEC),
            // Spoken by the program file, not by a system call.
            name("interpreter", EXEC).maybe_on(Fexit),
        ]
    },
};

pub const DESCRIPTORS: Case = Case {
    number: 19,
    title: "fexecve: the file, not argv",
    setting: Setting::Any,
    prepare: |tree| {
        ["by-descriptor", "below/by-directory", "argv"]
            .iter()
            .try_for_each(|name| tree.program(name, &elf::program(BASE, None)))
    },
    run: |here| {
        let argv = here.at("argv");
        in_child(|| {
            let fd = open(&here.at("by-descriptor"), libc::O_PATH)?;
            Err(exec_at(fd, c"", &argv, libc::AT_EMPTY_PATH).into())
        })?;
        in_child(|| {
            let fd = open(&here.at("below"), libc::O_PATH)?;
            Err(exec_at(fd, c"by-directory", &argv, 0).into())
        })
    },
    expect: || {
        vec![
            path("by-descriptor", OPEN),
            path("by-descriptor", EXEC),
            path("below", OPEN),
            path("below/by-directory", EXEC),
        ]
    },
};

pub const MAPPED: Case = Case {
    number: 20,
    title: "mmap of an inherited descriptor",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("library")?;
        tree.file("only-opened")?;
        tree.directory("directory")
    },
    run: mapped,
    expect: || {
        vec![
            path("library", OPEN),
            path("library", MMAP),
            path("only-opened", OPEN),
            path("directory", OPEN),
        ]
    },
};

fn mapped(here: &Here) -> Result<()> {
    let library = open(&here.at("library"), libc::O_RDONLY)?;
    open(&here.at("only-opened"), libc::O_RDONLY)?;
    let directory = open(&here.at("directory"), libc::O_RDONLY)?;
    in_child(|| Ok(map(library)?))?;
    fails(map(directory).map(|()| 0), libc::ENODEV)?;
    Ok(close(library)?)
}
