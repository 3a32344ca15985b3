//! Package databases in an image of which a part is kept.

use profiler::image::{NodeId, Tree};
use profiler::minimize::{self, Policy};
use profiler::packages::{self, Inventory, Metadata};
use profiler::profile::{ImageId, Kind, PathEntry, Profile};

/// Puts the databases beside files that they may name, and has them kept,
/// trimmed and dropped. What is edited must not grow.
pub fn apply(databases: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(Vec::new());
    let files = [("app", &b"x"[..]), ("usr/bin/app", b"x"), ("usr/share/doc/app/copyright", b"x")];
    for (name, bytes) in files.iter().chain(databases) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, *bytes).expect("a file");
    }
    let layer = builder.into_inner().expect("a layer");
    let source = crate::image::of_layers(&[&layer]).expect("an image");
    let tree = Tree::build(&source.layers).expect("a tree");
    let mut profile = Profile::new(ImageId::default());
    profile.paths.push(PathEntry {
        path: "/usr/bin/app".into(),
        kinds: [Kind::Exec].into(),
        ..PathEntry::default()
    });
    let inventory = Inventory::read(&tree).expect("an inventory");
    for metadata in [Metadata::Keep, Metadata::Trim, Metadata::Drop] {
        let mut plan =
            minimize::plan(&source, &tree, &[profile.clone()], &Policy::default()).expect("a plan");
        packages::apply(&inventory, &tree, &mut plan, metadata).expect("a plan with databases");
        let longer = |(&id, bytes): (&NodeId, &Vec<u8>)| bytes.len() as u64 > tree.node(id).size;
        assert!(!plan.edits.iter().any(longer), "a database grew");
        for index in 0..inventory.packages.len() {
            let _ = inventory.presence(index, &plan);
        }
    }
}
