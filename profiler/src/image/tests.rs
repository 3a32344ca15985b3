//! Layers made here, stacked, filtered and read again.

mod bad_input;
mod digests;
mod formats;
mod headers;
mod progress;
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::json;

use super::blob::{Blob, digest_of};
use super::*;

/// A tar under construction.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn entry(
        mut self,
        kind: tar::EntryType,
        name: &str,
        link: &str,
        mode: u32,
        data: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1234);
        header.set_size(data.len() as u64);
        if link.is_empty() {
            self.0.append_data(&mut header, name, data).unwrap();
        } else {
            self.0.append_link(&mut header, name, link).unwrap();
        }
        self
    }

    pub(crate) fn file(self, name: &str, data: &str) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, "", 0o755, b"")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, target, 0o777, b"")
    }

    pub(crate) fn hard(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, name, target, 0o644, b"")
    }

    fn xattr(mut self, key: &str, value: &[u8]) -> Self {
        self.0.append_pax_extensions([(key, value)]).unwrap();
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.get_mut().extend_from_slice(bytes);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Reads one layer that no manifest names.
fn layer(diff_id: &str, blob: Blob) -> Result<Layer, ImageError> {
    let stored = layers::Stored { diff_id: diff_id.into(), digest: None, blob };
    let mut layers = layers::read("test", &[stored], &OpenOptions::default())?;
    Ok(layers.remove(0))
}

pub(crate) fn image(layers: Vec<Vec<u8>>) -> SourceImage {
    let mut read = Vec::new();
    for bytes in &layers {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        read.push(layer(&digest_of(bytes), Blob::whole(file).unwrap()).unwrap());
    }
    let diff_ids: Vec<String> = layers.iter().map(|bytes| digest_of(bytes)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "unknown": {"b": 1, "a": 2},
        "config": {"Healthcheck": {"Test": ["CMD", "x"]}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let id = digest_of(&config);
    SourceImage {
        reference: "test".into(),
        id,
        manifest_digest: None,
        platforms: Vec::new(),
        config,
        diff_ids,
        layers: read,
    }
}

/// Writes the named paths of an image to an archive and opens that.
fn filter(image: &SourceImage, paths: &[&str], directory: &Path) -> SourceImage {
    let tree = Tree::build(&image.layers).unwrap();
    let keep = paths.iter().map(|path| tree.lookup(path.as_bytes()).expect(path)).collect();
    let subset = Subset { keep, ..Subset::default() };
    let output: Reference =
        format!("docker-archive:{}", directory.join("out.tar").display()).parse().unwrap();
    let options = WriteOptions { force: true, ..WriteOptions::default() };
    write(image, &tree, &subset, &output, &options).unwrap();
    let result = open(&output).unwrap();
    assert!(bytes(&result) <= bytes(image), "the result is larger than its source");
    result
}

/// What the layers hold, as tars.
fn bytes(image: &SourceImage) -> u64 {
    let entry = |entry: &entry::Entry| entry.header_len + header::padded(entry.size);
    image.layers.iter().flat_map(|layer| &layer.entries).map(entry).sum()
}

fn content(tree: &Tree<'_>, path: &str) -> String {
    let mut text = String::new();
    let id = tree.lookup(path.as_bytes()).expect(path);
    tree.open(id).unwrap().expect("a file").read_to_string(&mut text).unwrap();
    text
}

fn paths(tree: &Tree<'_>) -> Vec<String> {
    tree.all().iter().map(|&id| String::from_utf8_lossy(&tree.path(id)).into_owned()).collect()
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_is_below() {
    let image = image(vec![
        Tar::new().dir("d").file("d/a", "1").file("d/b", "1").dir("o").file("o/x", "1").bytes(),
        Tar::new().file("d/.wh.a", "").dir("o").file("o/y", "2").file("o/.wh..wh..opq", "").bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!(paths(&tree), ["/", "/d", "/d/b", "/o", "/o/y"]);
}

#[test]
fn a_file_overwritten_in_a_later_layer_is_the_later_one() {
    let image = image(vec![
        Tar::new().file("f", "old").file("only-below", "x").bytes(),
        Tar::new().file("f", "new").bytes(),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let small = filter(&image, &["/f"], directory.path());
    assert_eq!(small.layers.len(), 1, "the lower layer keeps nothing");
    let tree = Tree::build(&small.layers).unwrap();
    assert_eq!(content(&tree, "/f"), "new");
}

#[test]
fn a_removed_and_remade_directory_is_the_new_one() {
    let image = image(vec![
        Tar::new().dir("d").file("d/old", "1").bytes(),
        Tar::new().file(".wh.d", "").bytes(),
        Tar::new().dir("d").file("d/new", "3").bytes(),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let small = filter(&image, &["/d/new"], directory.path());
    assert_eq!(paths(&Tree::build(&small.layers).unwrap()), ["/", "/d", "/d/new"]);
}

#[test]
fn git_hard_links_stay_one_file_when_the_first_name_is_dropped() {
    let long = format!("bin/{}", "n".repeat(120));
    let image = image(vec![
        Tar::new()
            .dir("bin")
            .xattr("SCHILY.xattr.security.capability", b"\x01\x00\xff")
            .entry(tar::EntryType::Regular, "bin/first", "", 0o4755, b"content")
            .hard(&long, "bin/first")
            .hard("bin/third", "bin/first")
            .bytes(),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let small = filter(&image, &[&format!("/{long}"), "/bin/third"], directory.path());
    let tree = Tree::build(&small.layers).unwrap();
    assert_eq!(content(&tree, &format!("/{long}")), "content");
    assert_eq!(content(&tree, "/bin/third"), "content");
    let id = tree.lookup(b"/bin/third").unwrap();
    assert_eq!(tree.hard_links(id).len(), 2, "two names of one file");
    assert_eq!((tree.node(id).uid, tree.node(id).gid), (7, 8));
    let first = tree.lookup(format!("/{long}").as_bytes()).unwrap();
    assert_eq!(tree.node(first).mode, 0o4755);
    let layer = &small.layers[0];
    let all = layer.backing.read_all(1 << 20).unwrap();
    let attribute = b"SCHILY.xattr.security.capability=\x01\x00\xff";
    assert!(all.windows(attribute.len()).any(|window| window == attribute));
}

#[test]
fn a_hard_link_to_a_symlink_outlives_its_first_name() {
    // Engines refused the image: it linked to a name that was not there.
    let target = format!("/{}", "t".repeat(120));
    let image = image(vec![Tar::new().link("first", &target).hard("second", "first").bytes()]);
    let directory = tempfile::tempdir().unwrap();
    let small = filter(&image, &["/second"], directory.path());
    let tree = Tree::build(&small.layers).unwrap();
    let id = tree.lookup(b"/second").unwrap();
    assert_eq!(tree.node(id).kind, NodeKind::Symlink(target.into_bytes()));
}

#[test]
fn a_path_through_a_lower_layers_symlink_hides_it() {
    // As Docker and Podman do, which unpack each layer by itself.
    let image = image(vec![
        Tar::new().dir("usr").dir("usr/lib").link("lib", "usr/lib").bytes(),
        Tar::new().file("lib/x", "1").bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!(paths(&tree), ["/", "/lib", "/lib/x", "/usr", "/usr/lib"]);
}

#[test]
fn owners_and_setuid_and_sticky_survive_byte_for_byte() {
    let tar = Tar::new()
        .entry(tar::EntryType::Directory, "tmp", "", 0o1777, b"")
        .entry(tar::EntryType::Regular, "su", "", 0o4755, b"x")
        .bytes();
    let image = image(vec![tar.clone()]);
    let directory = tempfile::tempdir().unwrap();
    let small = filter(&image, &["/tmp", "/su"], directory.path());
    assert_eq!(small.diff_ids, [digest_of(&tar)], "all was kept: the same layer");
}

#[test]
fn config_keys_this_program_does_not_know_survive() {
    let image = image(vec![Tar::new().file("a", "1").file("b", "2").bytes()]);
    let directory = tempfile::tempdir().unwrap();
    let small = filter(&image, &["/a"], directory.path());
    let text = String::from_utf8(small.config).unwrap();
    assert!(text.contains(r#""unknown":{"b":1,"a":2}"#), "{text}");
    assert!(text.contains("Healthcheck"), "{text}");
}

#[test]
fn the_same_input_gives_the_same_digest() {
    let make = || {
        image(vec![
            Tar::new().dir("d").file("d/a", "1").link("l", "d/a").bytes(),
            Tar::new().file("z", "2").bytes(),
        ])
    };
    let directory = tempfile::tempdir().unwrap();
    let ids: BTreeSet<String> = (0..2)
        .map(|run| {
            let (image, name) = (make(), format!("layout{run}"));
            let tree = Tree::build(&image.layers).unwrap();
            let keep = tree.all().into_iter().collect();
            let subset = Subset { keep, ..Subset::default() };
            let output: Reference =
                format!("oci:{}:t", directory.path().join(&name).display()).parse().unwrap();
            write(&image, &tree, &subset, &output, &WriteOptions::default()).unwrap();
            assert_eq!(open(&output).unwrap().diff_ids, image.diff_ids);
            fs::read_to_string(directory.path().join(name).join("index.json")).unwrap()
        })
        .collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn walks_follow_links_inside_the_root_and_give_up_on_loops() {
    let image = image(vec![
        Tar::new()
            .link("bin", "usr/bin")
            .dir("usr")
            .dir("usr/bin")
            .file("usr/bin/dash", "x")
            .link("usr/bin/sh", "dash")
            .link("up", "../../../usr/bin/sh")
            .link("loop", "loop")
            .link("absolute", "/usr/bin")
            .bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    let walk = |path: &str, follow| {
        let walk = tree.walk(path.as_bytes(), follow);
        let shown = |id| String::from_utf8(tree.path(id)).unwrap();
        (walk.links.into_iter().map(shown).collect::<Vec<_>>(), walk.end.map(shown))
    };
    let end = Some("/usr/bin/dash".to_owned());
    assert_eq!(walk("/bin/sh", true), (vec!["/bin".into(), "/usr/bin/sh".into()], end.clone()));
    assert_eq!(walk("/bin/sh", false), (vec!["/bin".into()], Some("/usr/bin/sh".into())));
    assert_eq!(walk("/up", true), (vec!["/up".into(), "/usr/bin/sh".into()], end.clone()));
    assert_eq!(walk("/absolute/../bin/./sh", true).1, end);
    assert_eq!(walk("/loop", true).1, None);
    assert_eq!(walk("/usr/bin/dash/x", true).1, None);
    assert_eq!(walk("/nowhere/x", true).1, None);
}

#[test]
fn names_cannot_lead_out_of_the_rootfs() {
    // The tar crate refuses to write such a name: put it there by hand.
    let mut bytes = Tar::new().file("aa/bb/cc", "x").bytes();
    bytes[..8].copy_from_slice(b"../../cc");
    let mut header = tar::Header::from_byte_slice(&bytes[..512]).clone();
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    let image = image(vec![bytes]);
    assert_eq!(paths(&Tree::build(&image.layers).unwrap()), ["/", "/cc"]);
}

#[test]
fn damaged_layers_are_named_and_never_panic() {
    let bytes = Tar::new().file("a", &"x".repeat(3000)).file("b", "2").bytes();
    let try_open = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        layer("sha256:0", Blob::whole(file).unwrap())
    };
    for len in [0, 100, 700, 1000] {
        let error = try_open(&bytes[..len]).map(drop).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }
    for at in 0..512 {
        let mut bytes = bytes.clone();
        bytes[at] = !bytes[at];
        let _ = try_open(&bytes);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    let gzip = gzip.finish().unwrap();
    let error = try_open(&gzip).map(drop).unwrap_err();
    assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
    assert!(try_open(&gzip[..gzip.len() / 2]).is_err());
}

/// An image of two layers that both mention `etc`, and hard links to a file
/// with a PAX header.
fn two_layers() -> SourceImage {
    let below = Tar::new()
        .dir("etc/")
        .xattr("SCHILY.xattr.user.note", b"kept")
        .file("etc/status", "one\ntwo\nthree\n")
        .hard("etc/again", "etc/status")
        .file("etc/gone", "x");
    let above =
        Tar::new().entry(tar::EntryType::Directory, "etc/", "", 0o700, b"").file("etc/upper", "up");
    image(vec![below.bytes(), above.bytes()])
}

/// Writes paths with options and edits, and opens the result.
fn rewrite(
    image: &SourceImage,
    paths: &[&str],
    edits: &[(&str, &str)],
    options: &WriteOptions,
    directory: &Path,
) -> SourceImage {
    let tree = Tree::build(&image.layers).unwrap();
    let id = |path: &str| tree.lookup(path.as_bytes()).expect("a path");
    let subset = Subset {
        keep: paths.iter().map(|path| id(path)).collect(),
        edits: edits.iter().map(|(path, text)| (id(path), text.as_bytes().to_vec())).collect(),
    };
    let output = format!("docker-archive:{}", directory.join("out.tar").display());
    let output: Reference = output.parse().unwrap();
    write(image, &tree, &subset, &output, options).unwrap();
    open(&output).unwrap()
}

#[test]
fn an_edited_file_keeps_its_links_owner_and_attributes() {
    let directory = tempfile::tempdir().unwrap();
    for paths in [&["/etc/status", "/etc/again"][..], &["/etc/again"]] {
        let edits = [("/etc/again", "two\n")];
        let edits = if paths.len() == 1 { &edits[..] } else { &[("/etc/status", "two\n")] };
        let result =
            rewrite(&two_layers(), paths, edits, &WriteOptions::default(), directory.path());
        let tree = Tree::build(&result.layers).unwrap();
        for path in paths {
            assert_eq!(content(&tree, path), "two\n");
            let node = tree.node(tree.lookup(path.as_bytes()).unwrap());
            assert_eq!((node.uid, node.gid, node.size), (7, 8, 4));
        }
        let entry = result.layers[0].entries.iter().find(|entry| entry.size == 4).unwrap();
        let header = result.layers[0].header(entry).unwrap();
        let note = b"SCHILY.xattr.user.note=kept";
        assert!(header.windows(note.len()).any(|window| window == note));
        fs::remove_file(directory.path().join("out.tar")).unwrap();
    }
}

#[test]
fn a_squashed_image_is_one_layer_with_every_path_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = WriteOptions { squash: true, ..WriteOptions::default() };
    let result =
        rewrite(&two_layers(), &["/etc/status", "/etc/upper"], &[], &options, directory.path());
    let names: Vec<&[u8]> = result.layers[0].entries.iter().map(|e| e.path.as_slice()).collect();
    assert_eq!(result.layers.len(), 1);
    assert_eq!(names, [&b"etc"[..], b"etc/status", b"etc/upper"]);
    assert_eq!(result.layers[0].entries[0].mode, 0o700, "the topmost layer's word");
}

#[test]
fn layers_put_on_top_come_last() {
    let directory = tempfile::tempdir().unwrap();
    let tar = Tar::new().dir("bin/").file("bin/tool", "tool").bytes();
    let addition =
        Addition { layer: Layer::made(&tar).unwrap(), created_by: "a layer of tools".into() };
    let options = WriteOptions { additions: vec![addition], ..WriteOptions::default() };
    let result = rewrite(&two_layers(), &["/etc/upper"], &[], &options, directory.path());
    let tree = Tree::build(&result.layers).unwrap();
    assert_eq!(content(&tree, "/bin/tool"), "tool");
    assert_eq!(content(&tree, "/etc/upper"), "up");
    assert_eq!(result.layers.last().unwrap().diff_id, digest_of(&tar));
}

#[test]
fn a_link_to_a_dropped_link_leads_to_the_content() {
    let layer = Tar::new().file("a", "x").hard("b", "a").dir("d/").hard("d/c", "b").bytes();
    let directory = tempfile::tempdir().unwrap();
    let result = filter(&image(vec![layer]), &["/a", "/d/c"], directory.path());
    let tree = Tree::build(&result.layers).unwrap();
    assert_eq!(content(&tree, "/d/c"), "x");
    assert_eq!(tree.hard_links(tree.lookup(b"/a").unwrap()).len(), 2, "still one file");
}

#[test]
fn links_of_an_upper_layer_outlive_the_name_below() {
    let (below, above) = (Tar::new().file("a", "x"), Tar::new().hard("b", "a").hard("c", "a"));
    let directory = tempfile::tempdir().unwrap();
    let source = image(vec![below.bytes(), above.bytes()]);
    let result = filter(&source, &["/b", "/c"], directory.path());
    let tree = Tree::build(&result.layers).unwrap();
    assert_eq!((content(&tree, "/b"), content(&tree, "/c")), ("x".into(), "x".into()));
}

#[test]
fn a_directory_that_no_layer_describes_is_kept_without_its_content() {
    let deep = format!("{}/deep/file", "long".repeat(40));
    let layer = Tar::new().file("made/inside/file", "x").file(&deep, "x").bytes();
    let directory = tempfile::tempdir().unwrap();
    let kept = format!("/{}/deep", "long".repeat(40));
    let result = filter(&image(vec![layer]), &["/made/inside", &kept], directory.path());
    let tree = Tree::build(&result.layers).unwrap();
    for path in ["/made/inside", &kept] {
        let node = tree.node(tree.lookup(path.as_bytes()).expect(path));
        assert_eq!((node.kind.clone(), node.mode), (NodeKind::Dir, 0o755));
    }
}
