//! How far reading and writing have come.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::digests::store;
use crate::image::{OpenOptions, Subset, Transport, Tree, WriteOptions, open_with, write};
use crate::progress::{Progress, Snapshot, Stage};

#[test]
fn every_byte_that_is_read_or_written_counts_once() {
    let finished = |progress: &Progress, stage| {
        let Snapshot { done, total, .. } = progress.look();
        assert!(total > 1000, "{stage:?}: {total}");
        assert_eq!(progress.look(), Snapshot { stage, done, total: done }, "not to the end");
    };
    for threads in [1, 3] {
        let (store, threads) = (store(), NonZeroUsize::new(threads));
        let progress = Arc::<Progress>::default();
        let options = OpenOptions { threads, progress: Some(&progress), ..OpenOptions::default() };
        let image = open_with(&store.reference(), &options).unwrap();
        finished(&progress, Stage::Reading);
        let tree = Tree::build(&image.layers).unwrap();
        let all = tree.all();
        // Of the last layer nothing is left out: its blob is copied, or not.
        let some = ["/etc/kept", "/opt", "/opt/app"];
        let some = some.map(|path| tree.lookup(path.as_bytes()).unwrap()).to_vec();
        for keep in [all, some] {
            let subset = Subset { keep: keep.into_iter().collect(), ..Subset::default() };
            for transport in [Transport::Oci, Transport::OciArchive, Transport::DockerArchive] {
                let directory = tempfile::tempdir().unwrap();
                let place = directory.path().join("out");
                let output = format!("{}:{}", transport.name(), place.display()).parse().unwrap();
                let progress = Some(Arc::<Progress>::default());
                let options = WriteOptions { threads, progress, ..WriteOptions::default() };
                write(&image, &tree, &subset, &output, &options).unwrap();
                finished(options.progress.as_deref().unwrap(), Stage::Writing);
            }
        }
    }
}
