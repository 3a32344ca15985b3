//! Media types, compressions, indexes, contents left out.

use std::io::Read as _;

use serde_json::json;

use super::store::{MANIFEST, Store, gzip, zstd};
use super::{Tar, content, filter, paths};
use crate::image::blob::digest_of;
use crate::image::{OpenOptions, Subset, Tree, WriteOptions, open, open_with, write};

#[test]
fn plain_gzip_and_zstd_layers_read_the_same() {
    let below = Tar::new().dir("d").file("d/a", "1").bytes();
    let middle = Tar::new().file("d/b", &"2".repeat(5000)).bytes();
    let above = Tar::new().file("d/.wh.a", "").file("c", "3").bytes();
    let store = Store::new();
    let layers = [(below.clone(), &below[..]), (gzip(&middle), &middle), (zstd(&above), &above)];
    store.index(&[store.image("amd64", &layers)]);
    let image = store.open_for(Some("linux/amd64")).unwrap();
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!(paths(&tree), ["/", "/c", "/d", "/d/b"]);
    assert_eq!(content(&tree, "/d/b"), "2".repeat(5000));
    assert_eq!(content(&tree, "/c"), "3");
    assert_eq!(image.diff_ids[2], digest_of(&above));
}

#[test]
fn gzip_and_zstd_layers_may_have_several_members_and_frames() {
    let tar = Tar::new().file("a", &"1".repeat(4000)).file("b", "2").bytes();
    let (front, back) = tar.split_at(1500);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frames = [skippable, zstd(front), zstd(back)].concat();
    for blob in [[gzip(front), gzip(back)].concat(), frames] {
        let store = Store::new();
        store.index(&[store.image("amd64", &[(blob, &tar)])]);
        let image = store.open().unwrap();
        assert_eq!(content(&Tree::build(&image.layers).unwrap(), "/b"), "2");
    }
}

#[test]
fn other_compressions_are_refused_by_name() {
    for (magic, name) in [(&b"BZh91AY"[..], "bzip2"), (b"\xfd7zXZ\0\0", "xz")] {
        let store = Store::new();
        store.index(&[store.image("amd64", &[(magic.to_vec(), b"")])]);
        let error = store.open().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let one = Tar::new().file("amd64", "").bytes();
    let other = Tar::new().file("arm64", "").bytes();
    let store = Store::new();
    let mut attestation = store.image("unknown", &[(one.clone(), &one)]);
    attestation["platform"]["os"] = "unknown".into();
    let list = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "unknown": 1,
        "manifests": [
            attestation,
            store.image("arm64", &[(gzip(&other), &other)]),
            store.image("amd64", &[(gzip(&one), &one)]),
        ],
    });
    let list = store.put(list["mediaType"].as_str().unwrap(), list.to_string().as_bytes());
    store.index(&[list]);
    let names = |platform: Option<&str>| {
        store.open_for(platform).map(|image| paths(&Tree::build(&image.layers).unwrap()))
    };
    assert_eq!(names(Some("linux/arm64/v8")).unwrap(), ["/", "/arm64"]);
    assert_eq!(names(Some("linux/amd64")).unwrap(), ["/", "/amd64"]);
    let error = names(Some("linux/s390x")).unwrap_err().to_string();
    assert!(error.contains("for platform linux/s390x"), "{error}");
    assert!(error.contains("linux/amd64, linux/arm64"), "{error}");
}

#[test]
fn an_image_of_another_platform_than_asked_for_is_refused() {
    let tar = Tar::new().file("a", "").bytes();
    let store = Store::new();
    store.index(&[store.image("arm64", &[(gzip(&tar), &tar)])]);
    assert!(store.open().is_ok(), "the only one there is");
    let error = store.open_for(Some("linux/amd64")).unwrap_err().to_string();
    assert!(error.contains("it is of linux/arm64"), "{error}");
}

#[test]
fn a_foreign_layer_that_is_not_here_is_refused_with_its_place() {
    let tar = Tar::new().file("a", "").bytes();
    let store = Store::new();
    let image = store.image("amd64", &[(gzip(&tar), &tar)]);
    let path = store.blob_path(image["digest"].as_str().unwrap());
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let layer = &mut manifest["layers"][0];
    layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    layer["urls"] = json!(["https://example.com/layer"]);
    let blob = store.blob_path(layer["digest"].as_str().unwrap());
    store.index(&[store.put(MANIFEST, manifest.to_string().as_bytes())]);
    assert!(store.open().is_ok(), "its blob is there");
    std::fs::remove_file(blob).unwrap();
    let error = store.open().unwrap_err().to_string();
    assert!(error.contains("https://example.com/layer"), "{error}");
}

#[test]
fn empty_layers_are_layers() {
    let (empty, tar) = (vec![0; 1024], Tar::new().file("a", "").bytes());
    let store = Store::new();
    store.index(&[store.image("amd64", &[(gzip(&empty), &empty), (zstd(&tar), &tar)])]);
    let image = store.open().unwrap();
    assert_eq!(image.layers.len(), 2);
    assert_eq!(paths(&Tree::build(&image.layers).unwrap()), ["/", "/a"]);
}

#[test]
fn contents_left_out_are_had_by_a_second_pass() {
    let tar = Tar::new().file("a", "one").file("b", &"two".repeat(300_000)).file("c", "x").bytes();
    let store = Store::new();
    store.index(&[store.image("amd64", &[(gzip(&tar), &tar)])]);
    let likely = |path: &[u8], _: u64| path == b"a";
    let options = OpenOptions { likely: Some(&likely), ..OpenOptions::default() };
    let image = open_with(&store.reference(), &options).unwrap();
    assert!(image.layers[0].backing.len < 8192, "unpacked though nobody wants it");
    let directory = tempfile::tempdir().unwrap();
    // Content and padding are the same as if all had been unpacked.
    let small = filter(&image, &["/a", "/b", "/c"], directory.path());
    assert_eq!(small.diff_ids, [digest_of(&tar)]);
    let tree = Tree::build(&image.layers).unwrap();
    let mut text = String::new();
    let id = tree.lookup(b"/b").unwrap();
    tree.open(id).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "two".repeat(300_000));
}

#[test]
fn a_layer_kept_whole_is_the_same_blob() {
    let (one, other) = (Tar::new().file("a", "1").bytes(), Tar::new().file("b", "2").bytes());
    let store = Store::new();
    let layers = [(zstd(&one), &one[..]), (gzip(&other), &other)];
    store.index(&[store.image("amd64", &layers)]);
    let source = store.open().unwrap();
    let tree = Tree::build(&source.layers).unwrap();
    let subset = Subset { keep: tree.all().into_iter().collect(), ..Subset::default() };
    let directory = tempfile::tempdir().unwrap();
    let output = format!("oci:{}", directory.path().join("out").display()).parse().unwrap();
    write(&source, &tree, &subset, &output, &WriteOptions::default()).unwrap();
    assert_eq!(open(&output).unwrap().diff_ids, source.diff_ids);
    for (blob, _) in layers {
        let name = digest_of(&blob).replace(':', "/");
        let path = directory.path().join("out/blobs").join(name);
        assert_eq!(std::fs::read(path).unwrap(), blob);
    }
}
