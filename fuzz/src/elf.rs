//! Programs: what a kept file needs, whatever it says of itself.
//!
//! The input is the image's program and its libraries, so that a needed name
//! leads to a file that says the same again.

use profiler::image::Tree;
use profiler::minimize::{self, Policy};
use profiler::profile::{ImageId, Kind, PathEntry, Profile};

/// Takes in one input.
pub fn run(data: &[u8]) {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["app", "lib/libc.so.6", "lib64/ld-linux-x86-64.so.2", "srv/lib/libx.so"] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, name, data).expect("a file");
    }
    let layer = builder.into_inner().expect("a layer");
    let source = crate::image::of_layers(&[&layer]).expect("an image");
    let tree = Tree::build(&source.layers).expect("a tree");
    let mut profile = Profile::new(ImageId::default());
    profile.paths.push(PathEntry {
        path: "/app".into(),
        kinds: [Kind::Exec].into(),
        ..PathEntry::default()
    });
    minimize::plan(&source, &tree, &[profile], &Policy::default()).expect("a plan");
}
