//! `$ORIGIN`, `$LIB` and `$PLATFORM` in search paths: ld.so(8).

use super::super::elf::Target;

/// What the variables stand for.
pub struct Variables<'a> {
    /// Directory of the file that names the path.
    pub origin: &'a [u8],
    /// The file's target; decides the other two.
    pub target: Target,
    /// Where the image's programs start: for relative paths.
    pub directory: &'a [u8],
}

/// Multiarch name of a machine, as Debian has it.
pub fn multiarch(target: Target) -> &'static [&'static str] {
    match (target.machine, target.wide, target.little) {
        (3, ..) => &["i386-linux-gnu"],
        (8, false, true) => &["mipsel-linux-gnu"],
        (8, true, true) => &["mips64el-linux-gnuabi64"],
        (21, _, true) => &["powerpc64le-linux-gnu"],
        (22, true, _) => &["s390x-linux-gnu"],
        // Which of the two no more than the calling convention tells.
        (40, ..) => &["arm-linux-gnueabihf", "arm-linux-gnueabi"],
        (62, true, _) => &["x86_64-linux-gnu"],
        (62, false, _) => &["x86_64-linux-gnux32"],
        (183, ..) => &["aarch64-linux-gnu"],
        (243, ..) => &["riscv64-linux-gnu"],
        (258, ..) => &["loongarch64-linux-gnu"],
        _ => &[],
    }
}

/// The kernel's `AT_PLATFORM` of a machine.
fn platform(target: Target) -> &'static str {
    match target.machine {
        3 => "i686",
        21 => "power8",
        22 => "z13",
        40 => "v7l",
        62 => "x86_64",
        183 => "aarch64",
        _ => "",
    }
}

/// What `$LIB` may stand for: that is built into the loader, and so the
/// distribution's choice. One that the image does not have does no harm.
fn libs(target: Target) -> Vec<String> {
    let mut libs: Vec<String> =
        multiarch(target).iter().map(|name| format!("lib/{name}")).collect();
    if target.wide {
        libs.push("lib64".into());
    }
    libs.push("lib".into());
    libs
}

/// The paths that one with variables may mean, the likeliest first.
pub fn expand(path: &[u8], variables: &Variables<'_>) -> Vec<Vec<u8>> {
    let origin = |path: &[u8]| replace(path, "ORIGIN", variables.origin);
    let mut expanded: Vec<Vec<u8>> = if contains(path, "LIB") {
        let libs = libs(variables.target).into_iter();
        libs.map(|lib| replace(path, "LIB", lib.as_bytes())).collect()
    } else {
        vec![path.to_vec()]
    };
    for path in &mut expanded {
        // The origin last: what it brings in is no variable.
        *path = origin(&replace(path, "PLATFORM", platform(variables.target).as_bytes()));
        if !path.starts_with(b"/") {
            *path = [variables.directory, b"/", path].concat();
        }
    }
    expanded
}

fn contains(path: &[u8], name: &str) -> bool {
    replace(path, name, b"") != path
}

/// Replaces `$NAME` and `${NAME}`; the former only where the name ends there.
fn replace(path: &[u8], name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    let braced = format!("${{{name}}}").into_bytes();
    let plain = format!("${name}").into_bytes();
    while let Some(&byte) = rest.first() {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if let Some(after) = rest.strip_prefix(&braced[..]) {
            out.extend_from_slice(value);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(&plain[..])
            && !after.first().is_some_and(word)
        {
            out.extend_from_slice(value);
            rest = after;
        } else {
            out.push(byte);
            rest = &rest[1..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::made::{AARCH64, X86_64};
    use super::*;

    fn expanded(path: &str, origin: &str, target: Target) -> Vec<String> {
        let variables = Variables { origin: origin.as_bytes(), target, directory: b"/work" };
        let paths = expand(path.as_bytes(), &variables).into_iter();
        paths.map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn variables_stand_for_what_the_files_own_architecture_says() {
        let x86 = |path| expanded(path, "/opt/app", X86_64);
        assert_eq!(x86("$ORIGIN/../lib"), ["/opt/app/../lib"]);
        assert_eq!(x86("${ORIGIN}/a"), ["/opt/app/a"]);
        assert_eq!(x86("$ORIGINAL/a"), ["/work/$ORIGINAL/a"]);
        assert_eq!(x86("lib"), ["/work/lib"]);
        assert_eq!(x86("/o/$PLATFORM"), ["/o/x86_64"]);
        assert_eq!(x86("/o/$LIB"), ["/o/lib/x86_64-linux-gnu", "/o/lib64", "/o/lib"]);
        assert_eq!(
            expanded("/o/${LIB}/$PLATFORM", "/", AARCH64),
            ["/o/lib/aarch64-linux-gnu/aarch64", "/o/lib64/aarch64", "/o/lib/aarch64"]
        );
    }

    #[test]
    fn a_directory_named_like_a_variable_ends() {
        assert_eq!(expanded("${ORIGIN}/lib", "/a/${ORIGIN}", X86_64), ["/a/${ORIGIN}/lib"]);
        assert_eq!(expanded("$ORIGIN", "/a/$ORIGIN", X86_64), ["/a/$ORIGIN"]);
    }
}
