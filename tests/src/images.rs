//! The images the tests work on, built by the daemon from Dockerfiles. They
//! keep their names and stay, so that the daemon's cache serves the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::engine::{Image, docker, output};
use crate::fixture;

/// The Debian base image, made by `cargo xtask test`.
pub fn base() -> String {
    std::env::var("PROFILER_TEST_BASE")
        .unwrap_or_else(|_| "profiler-xtask/debian:bookworm".to_owned())
}

/// Debian for arm64: packages unpacked, no program of it ever run.
#[track_caller]
pub fn arm64() -> Image {
    let image = Image { name: "profiler-test/arm64".into(), temporary: false };
    if !image.exists() {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = directory.path().join("arm64.tar");
        output(
            Command::new("mmdebstrap")
                .args(["--quiet", "--arch=arm64", "--variant=extract"])
                .args(["--include=bash,coreutils,libc-bin"])
                .args(["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "bookworm"])
                .arg(&archive),
        );
        fs::write(directory.path().join("Dockerfile"), "FROM scratch\nADD arm64.tar /\n")
            .expect("a Dockerfile");
        docker([
            "build".as_ref(),
            "--quiet".as_ref(),
            "--platform=linux/arm64".as_ref(),
            "--tag".as_ref(),
            image.name.as_ref(),
            directory.path().as_os_str(),
        ]);
    }
    image
}

/// Builds `profiler-test/NAME` from a Dockerfile; `fill` puts files into the
/// build context.
#[track_caller]
pub fn build(name: &str, dockerfile: &str, fill: impl FnOnce(&Path)) -> Image {
    let context = tempfile::tempdir().expect("a build context");
    fs::write(context.path().join("Dockerfile"), dockerfile).expect("a Dockerfile");
    fill(context.path());
    build_in(context.path(), name)
}

/// Builds `profiler-test/NAME` in a directory that holds its Dockerfile, and
/// leaves the base image to an argument.
#[track_caller]
pub fn build_in(context: &Path, name: &str) -> Image {
    let name = format!("profiler-test/{name}");
    docker([
        "build".as_ref(),
        "--quiet".as_ref(),
        "--network=host".as_ref(),
        "--build-arg".as_ref(),
        format!("BASE={}", base()).as_ref(),
        "--tag".as_ref(),
        name.as_ref(),
        context.as_os_str(),
    ]);
    Image { name, temporary: false }
}

/// An application of the corpus that needs no more than its own directory.
#[track_caller]
pub fn corpus(name: &str) -> Image {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    build_in(&directory, &format!("corpus-{name}"))
}

/// A static program built from `fixtures/toolbox.rs`.
pub fn toolbox() -> &'static Path {
    static TOOLBOX: OnceLock<PathBuf> = OnceLock::new();
    TOOLBOX.get_or_init(|| static_program("toolbox"))
}

/// Builds `fixtures/NAME.rs`, beside the tests.
fn static_program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("the test's own path");
    let binary = tests.with_file_name(format!("{name}-fixture"));
    let part = binary.with_extension(std::process::id().to_string());
    output(
        Command::new("rustc")
            .args(["--edition=2024", "-Copt-level=2", "-Cstrip=symbols"])
            .arg("-Ctarget-feature=+crt-static")
            .arg(fixture(&format!("{name}.rs")))
            .arg("-o")
            .arg(&part),
    );
    fs::rename(&part, &binary).expect("the built program");
    binary
}

/// `FROM scratch` and one static program, under two names, with a
/// healthcheck and files nothing reads.
#[track_caller]
pub fn scratch() -> Image {
    let dockerfile = "FROM scratch\n\
        COPY toolbox /toolbox\n\
        COPY toolbox /probe\n\
        COPY etc /etc\n\
        HEALTHCHECK --interval=200ms CMD [\"/probe\"]\n\
        ENTRYPOINT [\"/toolbox\"]\n\
        CMD [\"hello\"]\n";
    build("scratch", dockerfile, |context| {
        fs::copy(toolbox(), context.join("toolbox")).expect("a copy");
        fs::create_dir(context.join("etc")).expect("a directory");
        for name in ["probe.conf", "read.conf", "unread.conf"] {
            fs::write(context.join("etc").join(name), format!("{name}\n")).expect("a file");
        }
        fs::write(context.join("etc/ballast"), vec![b'x'; 1 << 20]).expect("a file");
    })
}

/// Busybox with an applet link for each of its programs: symbolic links, or
/// hard links.
#[track_caller]
pub fn busybox(symbolic: bool) -> Image {
    let (name, option) =
        if symbolic { ("busybox-symlinks", "\"-s\", ") } else { ("busybox-hardlinks", "") };
    let dockerfile = format!(
        "FROM scratch\n\
         COPY busybox /bin/busybox\n\
         COPY words /usr/share/words\n\
         RUN [\"/bin/busybox\", \"--install\", {option}\"/bin\"]\n\
         CMD [\"sh\", \"-c\", \"sort /usr/share/words | head -n 1\"]\n"
    );
    build(name, &dockerfile, |context| {
        fs::copy("/bin/busybox", context.join("busybox")).expect("a static busybox");
        fs::write(context.join("words"), "pear\napple\n").expect("a file");
    })
}

/// Debian with nginx and what people add to it.
#[track_caller]
pub fn nginx() -> Image {
    let dockerfile = format!(
        "FROM {}\n\
         RUN apt-get update \\\n \
          && apt-get install -y --no-install-recommends ca-certificates curl nginx \\\n \
          && rm -rf /var/lib/apt/lists/*\n\
         EXPOSE 80\n\
         CMD [\"nginx\", \"-g\", \"daemon off;\"]\n",
        base()
    );
    build("nginx", &dockerfile, |_| {})
}

/// Debian with Python.
#[track_caller]
pub fn python() -> Image {
    let dockerfile = format!(
        "FROM {}\n\
         RUN apt-get update \\\n \
          && apt-get install -y --no-install-recommends python3 python3-pip \\\n \
          && rm -rf /var/lib/apt/lists/*\n",
        base()
    );
    build("python", &dockerfile, |_| {})
}

/// A script with `#!/usr/bin/env python3` as entrypoint.
#[track_caller]
pub fn env_script() -> Image {
    let dockerfile =
        format!("FROM {}\nCOPY app /usr/local/bin/app\nENTRYPOINT [\"app\"]\n", python().name);
    build("env-script", &dockerfile, |context| {
        use std::os::unix::fs::PermissionsExt as _;
        let app = context.join("app");
        let script = "#!/usr/bin/env python3\nimport json\nprint(json.dumps({'ok': True}))\n";
        fs::write(&app, script).expect("a script");
        fs::set_permissions(&app, fs::Permissions::from_mode(0o755)).expect("a mode");
    })
}

/// Flask under gunicorn as an ordinary user, as pip installs them.
#[track_caller]
pub fn flask() -> Image {
    let dockerfile = format!(
        "FROM {}\n\
         COPY ca.crt /tmp/ca.crt\n\
         RUN pip install --cert /tmp/ca.crt --no-cache-dir --break-system-packages \\\n    \
             flask gunicorn \\\n \
          && useradd --system --create-home app\n\
         COPY app.py /home/app/app.py\n\
         WORKDIR /home/app\n\
         USER app\n\
         EXPOSE 8000\n\
         CMD [\"gunicorn\", \"--bind\", \"0.0.0.0:8000\", \"app:app\"]\n",
        python().name
    );
    build("flask", &dockerfile, |context| {
        // The host's own bundle: pip must trust whom the host trusts.
        fs::copy("/etc/ssl/certs/ca-certificates.crt", context.join("ca.crt")).expect("CAs");
        let app = "from flask import Flask\n\
            app = Flask(__name__)\n\n\
            @app.route('/')\n\
            def index():\n    return 'Hello from Flask'\n";
        fs::write(context.join("app.py"), app).expect("an application");
    })
}

/// A Python program that serves what it is asked for on its command line:
/// pages, locales, modules, libraries and scripts.
#[track_caller]
pub fn requests() -> Image {
    let dockerfile = format!(
        "FROM {}\n\
         RUN apt-get update \\\n \
          && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends locales \\\n \
          && rm -rf /var/lib/apt/lists/* \\\n \
          && for name in de_DE fr_FR es_ES; do \\\n    \
             localedef --no-archive -i $name -f UTF-8 $name.UTF-8; done\n\
         COPY app /app\n\
         COPY bin /usr/local/bin\n\
         ENTRYPOINT [\"python3\", \"/app/app.py\"]\n",
        python().name
    );
    build("requests", &dockerfile, |context| {
        let write = |name: String, text: &str| {
            let path = context.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        fs::create_dir(context.join("app")).expect("a directory");
        fs::copy(fixture("requests/app.py"), context.join("app/app.py")).expect("a copy");
        for page in ["index", "about", "contact", "help", "news", "terms", "team", "press"] {
            write(format!("app/templates/{page}.html"), &format!("<h1>{page}</h1>\n"));
        }
        write("app/optional.conf".into(), "verbose = yes\n");
        for helper in ["daily", "monthly", "yearly"] {
            let name = format!("bin/report-{helper}");
            write(name.clone(), &format!("#!/bin/sh\necho {helper}\n"));
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(context.join(name), mode).expect("a mode");
        }
    })
}

/// Debian with the ordinary programs whose workloads are observed, one layer
/// above the nginx image.
#[track_caller]
pub fn programs() -> Image {
    // PostgreSQL's package would make a cluster: the test makes its own.
    let dockerfile = format!(
        "FROM {}\n\
         RUN mkdir -p /etc/postgresql-common /usr/share/man/man1 \\\n \
          && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \\\n \
          && apt-get update \\\n \
          && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\\n    \
             cpio gcc git libc6-dev locales make man-db nodejs openjdk-17-jre-headless \\\n    \
             openssl perl php-cli postgresql python3 redis-server rsync ruby sqlite3 \\\n    \
             vim-tiny xz-utils \\\n \
          && rm -rf /var/lib/apt/lists/*\n",
        nginx().name
    );
    build("programs", &dockerfile, |_| {})
}

/// A static program built from `fixtures/hostile.rs`.
pub fn hostile_program() -> &'static Path {
    static HOSTILE: OnceLock<PathBuf> = OnceLock::new();
    HOSTILE.get_or_init(|| static_program("hostile"))
}

/// An image whose program misbehaves, full of names that break things.
#[track_caller]
pub fn hostile() -> Image {
    let dockerfile = "FROM scratch\n\
        COPY hostile /hostile\n\
        RUN [\"/hostile\", \"make-image\", \"/odd\"]\n\
        ENTRYPOINT [\"/hostile\"]\n";
    build("hostile", dockerfile, |context| {
        fs::copy(hostile_program(), context.join("hostile")).expect("a copy");
    })
}

/// An image that runs beside [`hostile`] and opens the first `opened` of its
/// files `/known/0` …; there are twice as many.
#[track_caller]
pub fn neighbour(opened: usize) -> Image {
    let dockerfile = "FROM scratch\n\
        COPY known /known\n\
        COPY neighbour /neighbour\n\
        ENTRYPOINT [\"/neighbour\"]\n";
    build("neighbour", dockerfile, |context| {
        fs::copy(hostile_program(), context.join("neighbour")).expect("a copy");
        fs::create_dir(context.join("known")).expect("a directory");
        for number in 0..2 * opened {
            fs::write(context.join("known").join(number.to_string()), "x").expect("a file");
        }
    })
}
