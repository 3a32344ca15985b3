//! What a layer can hold and a minimizer can lose, over two transports:
//! minimized with the profile of a real run, each result is looked into and
//! run.

use integration_tests::engine::{Container, docker};
use integration_tests::faithful::{Case, NETWORK, all};
use integration_tests::{images, until};
use tar::EntryType;

/// Debian with these instructions on top.
#[track_caller]
fn debian(name: &str, instructions: &str) -> Case {
    Case::build(name, &format!("FROM {}\n{instructions}", images::base()), |_| {})
}

/// Profiles and minimizes under this run; every result must say what the
/// source said.
#[track_caller]
fn same_answer(
    case: &Case,
    options: &[&str],
    arguments: &[&str],
) -> [integration_tests::faithful::Minimized; 2] {
    let expected = case.profile(options, arguments);
    let results = case.minimized();
    for result in &results {
        assert_eq!(result.run(options, arguments), expected, "{}", result.transport);
    }
    results
}

#[test]
fn a_setuid_program_still_changes_its_user() {
    let case = debian("setuid", "RUN cp /usr/bin/id /srv/id && chmod 4755 /srv/id\n");
    let user = ["--user", "nobody"];
    // By a shell: the program alone would be a thin profile.
    let command = ["sh", "-c", "exec /srv/id --user"];
    let results = same_answer(&case, &user, &command);
    for result in results {
        assert_eq!(result.run(&user, &command), "0");
        assert_eq!(result.entry("srv/id").mode, 0o4755, "{}", result.transport);
    }
}

#[test]
fn a_program_with_file_capabilities_keeps_them() {
    let case = debian(
        "setcap",
        "RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin \
         && cp /usr/sbin/getpcaps /srv/pcaps && setcap cap_net_admin,cap_chown+ep /srv/pcaps\n",
    );
    // Without the attribute the kernel would not give them; the first says
    // what the file has, the second what a process of it gets.
    let capabilities = ["--user", "nobody", "--cap-add", "net_admin"];
    let script = "getcap /srv/pcaps; exec /srv/pcaps 1 2>&1";
    let results = same_answer(&case, &capabilities, &["sh", "-c", script]);
    for result in results {
        let answer = result.run(&capabilities, &["sh", "-c", script]);
        assert!(answer.contains("/srv/pcaps cap_chown,cap_net_admin=ep"), "{answer}");
        let attributes = &result.entry("srv/pcaps").xattrs;
        assert!(attributes.contains_key("security.capability"), "{attributes:?}");
    }
}

#[test]
fn gits_hard_links_stay_one_file() {
    // As git's own installation makes them; Debian's package has symlinks.
    let case = debian(
        "git",
        "RUN apt-get update && apt-get install -y --no-install-recommends git \
         && cd /usr/lib/git-core && for name in *; do \
            if test \"$(readlink -f $name)\" = /usr/lib/git-core/git; then ln -f /usr/bin/git $name; fi; \
         done\n",
    );
    let script = "set -e; git init -q /tmp/r; cd /tmp/r; git config user.email a; \
        git config user.name a; echo x > x; git add x; /usr/lib/git-core/git-commit -q -m one; \
        /usr/lib/git-core/git-status --short; git log --format=%s";
    let results = same_answer(&case, &[], &["sh", "-c", script]);
    let source = case.layers();
    let git = |entry: &&integration_tests::faithful::Entry| {
        entry.path == b"usr/bin/git" || entry.path.starts_with(b"usr/lib/git-core/git")
    };
    let linked = source.iter().flatten().filter(git).filter(|e| e.kind == EntryType::Link).count();
    assert!(linked > 100, "the source has {linked} hard links: the test tests nothing");
    let size = source.iter().flatten().filter(git).map(|entry| entry.size).max().unwrap();
    for result in results {
        let kept: Vec<_> = result.layers.iter().flatten().filter(git).collect();
        assert!(kept.iter().any(|entry| entry.path == b"usr/lib/git-core/git-commit"), "{kept:?}");
        assert!(kept.iter().filter(|e| e.kind == EntryType::Link).count() >= 2, "{kept:?}");
        let bytes: u64 = kept.iter().map(|entry| entry.size).sum();
        assert_eq!(bytes, size, "{}: not written once: {kept:?}", result.transport);
        let unpacked = result.image.size();
        assert!(unpacked < size * 4, "{}: {unpacked} bytes, git has {size}", result.transport);
        let same = "test /usr/bin/git -ef /usr/lib/git-core/git-commit && echo same";
        assert_eq!(result.run(&[], &["sh", "-c", same]), "same", "{}", result.transport);
    }
}

#[test]
fn sticky_directories_stay_sticky_and_writable() {
    let case = debian("sticky", "RUN mkdir /srv/drop && chmod 3777 /srv/drop\n");
    let script = "echo one > /tmp/x && echo two > /srv/drop/x && cat /tmp/x /srv/drop/x";
    for result in same_answer(&case, &["--user", "nobody"], &["sh", "-c", script]) {
        assert_eq!(result.entry("tmp").mode, 0o1777, "{}", result.transport);
        assert_eq!(result.entry("srv/drop").mode, 0o3777, "{}", result.transport);
    }
}

#[test]
fn a_volume_that_is_a_symlinked_directory_is_mounted_where_it_was() {
    let case = debian("volume-link", "RUN mkdir -p /srv/data && ln -s srv/data /data\n");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("mounted"), "from the volume\n").unwrap();
    let volume = format!("{}:/data", directory.path().display());
    let script = "cat /data/mounted && cat /srv/data/mounted && readlink /data";
    for result in same_answer(&case, &["--volume", &volume], &["sh", "-c", script]) {
        assert_eq!(result.entry("data").link, b"srv/data", "{}", result.transport);
        assert_eq!(result.entry("srv/data").kind, EntryType::Directory);
        assert!(result.entries("srv/data/mounted").is_empty(), "{} ships it", result.transport);
    }
}

#[test]
fn a_declared_volume_is_filled_from_the_image() {
    // The engine copies what the image has there into a new volume, so files
    // that programs read through the mount are the image's.
    let case = debian(
        "volume-content",
        "RUN mkdir -p /srv/data && ln -s srv/data /data && echo default > /srv/data/default.conf \
         && echo unread > /srv/data/unread.conf\nVOLUME /data\n",
    );
    let script = "cat /data/default.conf && ls /data && echo made > /data/made";
    for result in same_answer(&case, &[], &["sh", "-c", script]) {
        assert_eq!(result.entry("srv/data/default.conf").data, b"default\n");
        assert!(result.entries("srv/data/made").is_empty(), "{} ships it", result.transport);
    }
}

#[test]
fn a_file_overwritten_in_a_later_layer_is_shipped_once() {
    let case = debian(
        "overwritten",
        "RUN echo old > /srv/app.conf && echo old > /srv/other.conf\n\
         RUN echo new > /srv/app.conf && chmod 640 /srv/app.conf\n",
    );
    for result in same_answer(&case, &[], &["cat", "/srv/app.conf"]) {
        let entry = result.entry("srv/app.conf");
        assert_eq!((entry.data.as_slice(), entry.mode), (b"new\n".as_slice(), 0o640));
    }
}

#[test]
fn a_file_removed_in_a_later_layer_stays_removed() {
    let case = debian(
        "whiteout",
        "RUN echo secret > /srv/secret && echo app > /srv/app.conf\nRUN rm /srv/secret\n",
    );
    assert_eq!(all(&case.layers(), b"srv/.wh.secret").len(), 1, "the source has no whiteout");
    let script = "ls -a /srv; cat /srv/secret 2>&1; cat /srv/app.conf";
    for result in same_answer(&case, &[], &["sh", "-c", script]) {
        assert!(result.entries("srv/secret").is_empty(), "{} ships it", result.transport);
    }
}

#[test]
fn what_an_opaque_directory_hides_stays_hidden() {
    let case = debian(
        "opaque",
        "RUN mkdir /srv/cache && echo old > /srv/cache/old && echo old > /srv/cache/both\n\
         RUN rm -r /srv/cache && mkdir /srv/cache && echo new > /srv/cache/both\n",
    );
    let marker = all(&case.layers(), b"srv/cache/.wh..wh..opq").len();
    assert_eq!(marker, 1, "the source has no opaque directory");
    let script = "ls /srv/cache; cat /srv/cache/both; cat /srv/cache/old 2>&1 || true";
    for result in same_answer(&case, &[], &["sh", "-c", script]) {
        assert_eq!(result.entry("srv/cache/both").data, b"new\n", "{}", result.transport);
        assert!(result.entries("srv/cache/old").is_empty(), "{} ships it", result.transport);
    }
}

#[test]
fn what_the_run_renamed_and_deleted_leaves_the_image_as_it_was() {
    let case = debian(
        "renamed",
        "RUN echo image > /srv/app.conf && echo old > /srv/old.log && mkdir /srv/spool \
         && echo job > /srv/spool/job\n",
    );
    // Made, renamed and deleted by the run itself; then files of the image,
    // one of them through a directory that gets another name.
    let script = "set -e; cd /srv; echo run > a; mv a b; cat b; rm b; \
        mv app.conf app.old; cat app.old; echo run > app.conf; \
        rm old.log; mv spool queue; cat queue/job; ls";
    for result in same_answer(&case, &[], &["sh", "-c", script]) {
        assert_eq!(result.entry("srv/app.conf").data, b"image\n", "{}", result.transport);
        for path in ["srv/a", "srv/b", "srv/app.old", "srv/queue", "srv/queue/job"] {
            assert!(result.entries(path).is_empty(), "{} ships {path}", result.transport);
        }
        assert_eq!(result.entry("srv/spool/job").data, b"job\n", "{}", result.transport);
    }
}

#[test]
fn names_that_are_not_utf_8_survive() {
    let case = debian(
        "names",
        "RUN cd /srv && echo caf > \"$(printf 'caf\\351')\" && mkdir \"$(printf 'd\\377')\" \
         && echo two > \"$(printf 'd\\377/x\\376')\" && ln -s \"$(printf 'caf\\351')\" \"$(printf 'l\\375')\"\n",
    );
    let script = "cd /srv && cat \"$(printf 'l\\375')\" \"$(printf 'd\\377/x\\376')\"";
    for result in same_answer(&case, &[], &["sh", "-c", script]) {
        assert_eq!(result.entry(b"srv/caf\xe9").data, b"caf\n", "{}", result.transport);
        assert_eq!(result.entry(b"srv/d\xff/x\xfe").data, b"two\n", "{}", result.transport);
        assert_eq!(result.entry(b"srv/l\xfd").link, b"caf\xe9", "{}", result.transport);
    }
}

#[test]
fn a_health_check_still_passes() {
    let case = debian(
        "health",
        "RUN touch /srv/healthy\n\
         HEALTHCHECK --interval=200ms --timeout=3s --retries=7 CMD test -e /srv/healthy\n\
         CMD [\"sleep\", \"30\"]\n",
    );
    // Long enough for a check: what it touches is part of the profile.
    case.profile(&[], &["sleep", "2"]);
    let source: serde_json::Value = serde_json::from_str(&docker([
        "image",
        "inspect",
        "--format={{json .Config.Healthcheck}}",
        &case.image.name,
    ]))
    .unwrap();
    for result in case.minimized() {
        assert_eq!(result.config["config"]["Healthcheck"], source, "{}", result.transport);
        let container = Container::start(&[NETWORK, &result.image.name]);
        until("the container is healthy", || {
            docker(["inspect", "--format={{.State.Health.Status}}", &container.id]) == "healthy"
        });
    }
}

#[test]
fn an_image_without_entrypoint_and_command_is_minimized() {
    let case = Case::build("bare", "FROM scratch\nCOPY toolbox /toolbox\n", |context| {
        std::fs::copy(images::toolbox(), context.join("toolbox")).unwrap();
    });
    for result in same_answer(&case, &[], &["/toolbox", "hello"]) {
        let config = &result.config["config"];
        assert!(config["Entrypoint"].is_null() && config["Cmd"].is_null(), "{config}");
    }
}
