//! A user who is not root and calls sudo without a password, as on GitHub's
//! runners.
//!
//! The machine does not get one: the user exists in the mount namespace of
//! the steps alone, where /etc/passwd and /etc/sudoers are others.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its number.
const ID: u32 = 1001;

/// Who runs the steps.
#[derive(Debug, Clone)]
pub enum User {
    /// Root, as in most containers.
    Root,
    /// See the module; its files are in this directory.
    Runner(PathBuf),
}

impl User {
    /// Makes the user.
    #[track_caller]
    pub fn runner(directory: &Path) -> Self {
        let files = directory.join("user");
        fs::create_dir(&files).expect("a directory");
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let home = directory.join("home");
        // No password, rather than one in /etc/shadow, which PAM would ask for.
        let own = format!("{passwd}runner:*:{ID}:{ID}::{}:/bin/bash\n", home.display());
        fs::write(files.join("passwd"), own).expect("a file");
        let sudoers = files.join("sudoers");
        // As the images of GitHub's runners have it, on Ubuntu's defaults.
        let rules = "Defaults env_reset\n\
            Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
            root ALL=(ALL:ALL) ALL\n\
            runner ALL=(ALL) NOPASSWD:ALL\n";
        fs::write(&sudoers, rules).expect("a file");
        fs::set_permissions(&sudoers, Permissions::from_mode(0o440)).expect("its mode");
        fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("its mode");
        Self::Runner(files)
    }

    /// Its number, as `id -u` prints it.
    pub fn id(&self) -> u32 {
        if matches!(self, Self::Root) { 0 } else { ID }
    }

    /// Hands a file or directory over.
    #[track_caller]
    pub fn owns(&self, path: &Path) {
        chown(path, Some(self.id()), Some(self.id())).expect("an owner");
    }

    /// A command line of this user, which begins with nothing in its
    /// environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Runner(files) => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation=slave", "sh", "-euc", ENTER, "sh"]);
                command.arg(files).arg(ID.to_string()).arg(socket_group());
                command
            }
        };
        command.args(arguments).env_clear();
        command
    }
}

/// Enters the namespace's files, then becomes the user, whose other group is
/// that of Docker's socket.
const ENTER: &str = r#"
files=$1 id=$2 group=$3
shift 3
mount --bind "$files/passwd" /etc/passwd
mount --bind "$files/sudoers" /etc/sudoers
exec setpriv --reuid="$id" --regid="$id" --groups="$id,$group" "$@"
"#;

fn socket_group() -> String {
    let socket = fs::metadata("/var/run/docker.sock").expect("Docker's socket");
    socket.gid().to_string()
}
