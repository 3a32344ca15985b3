//! Images that are wrong, by accident or on purpose: refused or carried, never
//! followed out of the rootfs, never a panic, never memory without end.

use std::fs;

use serde_json::json;

use super::store::{MANIFEST, Store, gzip, zstd};
use super::{Tar, content, filter, image, layer, paths};
use crate::image::blob::Blob;
use crate::image::{ImageError, OpenOptions, Tree, open, open_with};

/// A header with a name the tar crate refuses to write, or a size it cannot
/// have.
fn header(name: &[u8], kind: tar::EntryType, link: &[u8], size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Opens a layer in every form: plain, gzip, zstd.
fn refusal(tar: &[u8]) -> String {
    let mut errors = Vec::new();
    for blob in [tar.to_vec(), gzip(tar), zstd(tar)] {
        let store = Store::new();
        store.index(&[store.image("amd64", &[(blob, tar)])]);
        errors.push(store.open().map(drop).unwrap_err().to_string());
    }
    errors.join("; ")
}

#[test]
fn absolute_and_climbing_names_stay_in_the_rootfs() {
    let regular = tar::EntryType::Regular;
    let tar = Tar::new()
        .raw(&header(b"/etc/passwd", regular, b"", 0))
        .raw(&header(b"../../../etc/shadow", regular, b"", 0))
        .raw(&header(b"a/../../b", regular, b"", 0))
        .bytes();
    let image = image(vec![tar]);
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!(paths(&tree), ["/", "/b", "/etc", "/etc/passwd", "/etc/shadow"]);
}

#[test]
fn links_lead_nowhere_out_of_the_rootfs() {
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("secret");
    fs::write(&outside, "secret").unwrap();
    let outside = outside.to_str().unwrap();
    let image = image(vec![
        Tar::new()
            .link("absolute", outside)
            .link("climbing", &format!("../../../../../../../..{outside}"))
            .link("a", "b")
            .link("b", "a")
            .bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    for path in ["/absolute", "/climbing", "/a", "/a/x"] {
        assert_eq!(tree.walk(path.as_bytes(), true).end, None, "{path}");
    }
}

#[test]
fn a_hard_link_out_of_the_rootfs_is_refused() {
    let link = header(b"x", tar::EntryType::Link, b"../../etc/shadow", 0);
    let image = image(vec![Tar::new().raw(&link).bytes()]);
    let error = Tree::build(&image.layers).unwrap_err().to_string();
    assert!(error.contains("etc/shadow") && error.contains("not there"), "{error}");
}

#[test]
fn entries_below_a_looping_link_take_its_place() {
    let image = image(vec![Tar::new().link("a", "b").link("b", "a").file("a/x", "1").bytes()]);
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!(content(&tree, "/a/x"), "1");
}

#[test]
fn of_duplicate_entries_the_last_wins() {
    let tar = Tar::new().file("a", "first").link("b", "a").file("a", "last").file("b", "x");
    let image = image(vec![tar.bytes()]);
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!((content(&tree, "/a"), content(&tree, "/b")), ("last".into(), "x".into()));
    let directory = tempfile::tempdir().unwrap();
    let small = super::filter(&image, &["/a"], directory.path());
    let tree = Tree::build(&small.layers).unwrap();
    assert_eq!(content(&tree, "/a"), "last");
    assert_eq!(small.layers[0].entries.len(), 1);
}

#[test]
fn a_tar_bomb_takes_no_disk_unless_it_is_wanted() {
    // A quarter of a GiB of zeros out of some kB.
    let size = 256 << 20;
    let mut tar = header(b"bomb", tar::EntryType::Regular, b"", size);
    tar.resize(512 + size as usize + 1024, 0);
    for blob in [gzip(&tar), zstd(&tar)] {
        assert!(blob.len() < tar.len() / 50);
        let store = Store::new();
        store.index(&[store.image("amd64", &[(blob, &tar)])]);
        let likely = |_: &[u8], size: u64| size < 1 << 20;
        let options = OpenOptions { likely: Some(&likely), ..OpenOptions::default() };
        let image = open_with(&store.reference(), &options).unwrap();
        assert!(image.layers[0].backing.len <= 1024);
        let tree = Tree::build(&image.layers).unwrap();
        assert_eq!(tree.node(tree.lookup(b"/bomb").unwrap()).size, size);
    }
}

#[test]
fn sizes_no_layer_can_have_are_refused() {
    for size in [1 << 20, 1 << 62, u64::MAX, u64::MAX - 511] {
        let tar = header(b"x", tar::EntryType::Regular, b"", size);
        let errors = refusal(&tar);
        assert_eq!(errors.matches("ends within a file").count(), 3, "{errors}");
    }
    let mut tar = Tar::new();
    let size = u64::MAX.to_string();
    tar.0.append_pax_extensions([("size", size.as_bytes())]).unwrap();
    let errors = refusal(&tar.file("x", "1").bytes());
    assert_eq!(errors.matches("ends within a file").count(), 3, "{errors}");
}

#[test]
fn extension_headers_have_limits() {
    let long = tar::EntryType::GNULongName;
    let errors = refusal(&header(b"x", long, b"", 1 << 30));
    assert_eq!(errors.matches("extension header of 1073741824 bytes").count(), 3, "{errors}");
    let mut block = header(b"x", long, b"", 1 << 20);
    block.resize(512 + (1 << 20), b'n');
    let mut all = block.repeat(10);
    all.extend(header(b"x", tar::EntryType::Regular, b"", 0));
    let errors = refusal(&all);
    assert_eq!(errors.matches("bytes of extension headers").count(), 3, "{errors}");
    let mut name = header(b"x", long, b"", 5000);
    name.resize(512 + 5000, b'n');
    name.resize(512 + 5120, 0);
    name.extend(header(b"x", tar::EntryType::Regular, b"", 0));
    let errors = refusal(&name);
    assert_eq!(errors.matches("longer than Linux allows").count(), 3, "{errors}");
}

#[test]
fn a_blob_that_is_not_its_digest_is_refused() {
    let tar = Tar::new().file("a", "right").bytes();
    let other = Tar::new().file("a", "wrong").bytes();
    for (right, wrong) in
        [(tar.clone(), other.clone()), (gzip(&tar), gzip(&other)), (zstd(&tar), zstd(&other))]
    {
        let store = Store::new();
        store.index(&[store.image("amd64", &[(right.clone(), &tar)])]);
        store.open().unwrap();
        let path = store.blob_path(&super::digest_of(&right));
        let mut bytes = wrong;
        bytes.resize(right.len(), 0);
        fs::write(path, bytes).unwrap();
        let error = store.open().unwrap_err();
        assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
    }
}

#[test]
fn manifests_and_configs_that_are_not_their_digests_are_refused() {
    let tar = Tar::new().file("a", "1").bytes();
    let store = Store::new();
    let descriptor = store.image("amd64", &[(gzip(&tar), &tar)]);
    store.index(std::slice::from_ref(&descriptor));
    let manifest = store.blob_path(descriptor["digest"].as_str().unwrap());
    let text = fs::read_to_string(&manifest).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let config = store.blob_path(value["config"]["digest"].as_str().unwrap());
    for path in [config, manifest] {
        let right = fs::read(&path).unwrap();
        fs::write(&path, [&right[..], b" "].concat()).unwrap();
        let error = store.open().unwrap_err();
        assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
        fs::write(&path, right).unwrap();
    }
    store.open().unwrap();
}

#[test]
fn a_layer_that_is_not_its_diff_id_is_refused_in_an_archive() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let directory = tempfile::tempdir().unwrap();
    let source = image(vec![Tar::new().file("a", "content").bytes()]);
    super::filter(&source, &["/a"], directory.path());
    let path = directory.path().join("out.tar");
    let reference = format!("docker-archive:{}", path.display()).parse().unwrap();
    open(&reference).unwrap();
    // The first content: after the member's header and the entry's own.
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(1024)).unwrap();
    file.write_all(b"CONTENT").unwrap();
    let error = open(&reference).unwrap_err();
    assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
}

#[test]
fn truncated_archives_are_refused() {
    let source = image(vec![Tar::new().file("a", &"x".repeat(3000)).bytes()]);
    let tree = Tree::build(&source.layers).unwrap();
    let subset =
        crate::image::Subset { keep: tree.all().into_iter().collect(), ..Default::default() };
    let directory = tempfile::tempdir().unwrap();
    for transport in ["docker-archive", "oci-archive"] {
        let path = directory.path().join(transport);
        let reference = format!("{transport}:{}", path.display()).parse().unwrap();
        crate::image::write(&source, &tree, &subset, &reference, &Default::default()).unwrap();
        let whole = fs::read(&path).unwrap();
        // At the very end is nothing that is needed: zeros, and the version
        // of the layout.
        for len in (0..whole.len() - 3072).step_by(256) {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(open(&reference).is_err(), "{transport}, {len} of {} bytes", whole.len());
        }
    }
}

#[test]
fn no_damaged_byte_of_a_compressed_layer_is_a_panic() {
    let tar = Tar::new().file("a", "1").link("b", "a").hard("c", "a").bytes();
    for blob in [gzip(&tar), zstd(&tar)] {
        for at in 0..blob.len() {
            let mut bytes = blob.clone();
            bytes[at] = !bytes[at];
            let file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut &file, &bytes).unwrap();
            let _ = layer(&super::digest_of(&tar), Blob::whole(file).unwrap());
        }
    }
}

#[test]
fn documents_have_a_largest_size() {
    let store = Store::new();
    fs::write(store.root().join("index.json"), vec![b' '; 17 << 20]).unwrap();
    let error = store.open().unwrap_err().to_string();
    assert!(error.contains("index.json") && error.contains("bytes"), "{error}");
}

#[test]
fn indexes_that_lead_to_indexes_without_end_are_refused() {
    let store = Store::new();
    let kind = "application/vnd.oci.image.index.v1+json";
    let mut descriptor = store.put(kind, br#"{"manifests":[]}"#);
    for _ in 0..20 {
        let index = json!({"mediaType": kind, "manifests": [descriptor]});
        descriptor = store.put(kind, index.to_string().as_bytes());
    }
    store.index(&[descriptor]);
    let error = store.open().unwrap_err().to_string();
    assert!(error.contains("deep"), "{error}");
}

#[test]
fn digests_that_are_none_are_not_looked_up() {
    for digest in ["sha256:../../../etc/passwd", "sha512:00", "", "sha256:"] {
        let store = Store::new();
        store.index(&[json!({"mediaType": MANIFEST, "digest": digest, "size": 2})]);
        let error = store.open().unwrap_err().to_string();
        assert!(error.contains("not a SHA-256"), "{error}");
    }
}

#[test]
fn a_replaced_image_leaves_no_blobs_behind_and_touches_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("out");
    let blobs = || fs::read_dir(root.join("blobs/sha256")).unwrap().count();
    let put = |text: &str, tag: &str| {
        let source =
            image(vec![Tar::new().file("same", "x").bytes(), Tar::new().file("a", text).bytes()]);
        let tree = Tree::build(&source.layers).unwrap();
        let keep = tree.all().into_iter().collect();
        let subset = crate::image::Subset { keep, ..Default::default() };
        let options = crate::image::WriteOptions { force: true, ..Default::default() };
        let output = format!("oci:{}:{tag}", root.display()).parse().unwrap();
        crate::image::write(&source, &tree, &subset, &output, &options).unwrap();
        open(&output).unwrap()
    };
    put("1", "one");
    assert_eq!(blobs(), 4);
    fs::write(root.join("blobs/sha256/stranger"), "x").unwrap();
    put("2", "two");
    assert_eq!(blobs(), 4 + 1 + 3, "one layer is shared");
    put("3", "one");
    assert_eq!(blobs(), 4 + 1 + 3, "config, manifest and layer of the old image are gone");
    put("3", "one");
    assert_eq!(blobs(), 4 + 1 + 3, "the same image again");
    assert!(open(&format!("oci:{}:two", root.display()).parse().unwrap()).is_ok());
}

#[test]
fn what_is_attached_to_an_image_goes_with_it_and_stays_with_others() {
    let tar = Tar::new().file("a", "1").bytes();
    let store = Store::new();
    let mut images = Vec::new();
    for (architecture, tag) in [("amd64", "one"), ("arm64", "two")] {
        let mut image = store.image(architecture, &[(gzip(&tar), &tar)]);
        image["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let about = json!({"artifactType": "text/x", "layers": [], "subject": image});
        let mut about = store.put(MANIFEST, about.to_string().as_bytes());
        about["artifactType"] = "text/x".into();
        images.extend([image, about]);
    }
    store.index(&images);
    let source = image(vec![Tar::new().file("b", "2").bytes()]);
    let tree = Tree::build(&source.layers).unwrap();
    let keep = tree.all().into_iter().collect();
    let subset = crate::image::Subset { keep, ..Default::default() };
    let put = |tag: &str, force: bool| {
        let options = crate::image::WriteOptions { force, ..Default::default() };
        let output = format!("oci:{}{tag}", store.root().display()).parse().unwrap();
        crate::image::write(&source, &tree, &subset, &output, &options).unwrap();
        let index = fs::read(store.root().join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        index["manifests"].as_array().unwrap().clone()
    };
    // Without a tag: nothing there has none but what is attached.
    let left = put("", false);
    assert!(images.iter().all(|one| left.contains(one)), "{left:?}");
    let left = put(":one", true);
    assert!(!left.contains(&images[0]) && !left.contains(&images[1]), "{left:?}");
    assert!(left.contains(&images[2]) && left.contains(&images[3]), "{left:?}");
    assert!(!store.blob_path(images[1]["digest"].as_str().unwrap()).exists());
    assert!(store.blob_path(images[3]["digest"].as_str().unwrap()).exists());
}

#[test]
fn a_link_in_place_of_the_root_directory_is_left_out() {
    let layer = Tar::new().file("a", "x").hard("./", "a").link(".", "a").file("b", "y").bytes();
    let image = image(vec![layer]);
    let tree = Tree::build(&image.layers).unwrap();
    assert_eq!(paths(&tree), ["/", "/a", "/b"]);
    let directory = tempfile::tempdir().unwrap();
    let result = filter(&image, &["/b"], directory.path());
    assert_eq!(paths(&Tree::build(&result.layers).unwrap()), ["/", "/b"]);
}
