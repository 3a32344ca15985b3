//! The same input gives the same bytes, everywhere and always.

use std::num::NonZeroUsize;

use super::Tar;
use super::store::{Store, gzip, zstd};
use crate::image::{OpenOptions, Subset, Transport, Tree, WriteOptions, open_with, write};

/// Layers enough for several threads, kept in part, with every way in which
/// headers are rewritten.
pub(super) fn store() -> Store {
    let below = Tar::new()
        .dir("etc")
        .file("etc/kept", &"some text that is kept\n".repeat(3000))
        .file("etc/dropped", "x")
        .file("etc/first", "linked")
        .hard("etc/second", "etc/first")
        .bytes();
    let middle = Tar::new().file("etc/edited", "old").link("link", "etc/kept").bytes();
    let above = Tar::new().dir("opt").file("opt/app", &"program ".repeat(20_000)).bytes();
    let store = Store::new();
    let layers = [(gzip(&below), &below[..]), (zstd(&middle), &middle), (above.clone(), &above)];
    store.index(&[store.image("amd64", &layers)]);
    store
}

/// Digest of the config and, for a layout, of the manifest.
fn digests(transport: Transport, threads: usize) -> (String, Option<String>) {
    let (store, directory) = (store(), tempfile::tempdir().unwrap());
    let threads = NonZeroUsize::new(threads);
    let options = OpenOptions { threads, ..OpenOptions::default() };
    let image = open_with(&store.reference(), &options).unwrap();
    let tree = Tree::build(&image.layers).unwrap();
    let id = |path: &str| tree.lookup(path.as_bytes()).unwrap();
    let paths = ["/etc/kept", "/etc/second", "/etc/edited", "/link", "/opt/app"];
    let subset = Subset {
        keep: paths.map(id).into(),
        edits: [(id("/etc/edited"), b"new content".to_vec())].into(),
    };
    let output = format!("{}:{}", transport.name(), directory.path().join("out").display());
    let output = output.parse().unwrap();
    let options = WriteOptions { threads, ..WriteOptions::default() };
    let written = write(&image, &tree, &subset, &output, &options).unwrap();
    (written.id, crate::image::open(&output).unwrap().manifest_digest)
}

/// Whoever changes one of these on purpose (another compressor, another order
/// of keys) changes the digests of all users' images.
const CONFIG: &str = "sha256:c8d300bfad197021a05179ec63a27c23ad32cae7852ae299be99e730c46dfd64";
const MANIFEST: &str = "sha256:6dc8606acb37f02f4e2dbf6d190de74f56a6cb9b88701ed248fcf239ae06fe8c";

#[test]
fn digests_are_pinned_whatever_the_number_of_threads() {
    for threads in [1, 2, 3, 8] {
        let layout = digests(Transport::Oci, threads);
        assert_eq!(layout, (CONFIG.into(), Some(MANIFEST.into())), "{threads} threads");
        let archive = digests(Transport::OciArchive, threads);
        assert_eq!(archive, (CONFIG.into(), Some(MANIFEST.into())), "{threads} threads");
        let archive = digests(Transport::DockerArchive, threads);
        assert_eq!(archive, (CONFIG.into(), None), "{threads} threads");
    }
}
