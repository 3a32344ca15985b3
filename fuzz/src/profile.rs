//! Profiles: read, written again, and planned with.

use profiler::image::Tree;
use profiler::minimize::{self, Allow, Policy};
use profiler::profile::Profile;

/// Takes in one input.
pub fn run(data: &[u8]) {
    let Ok(profile) = serde_json::from_slice::<Profile>(data) else { return };
    let text = serde_json::to_vec(&profile).expect("a profile can be written");
    let again: Profile = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(again, profile, "another profile after writing and reading");

    let layer = layer();
    let source = crate::image::of_layers(&[&layer]).expect("an image");
    let tree = Tree::build(&source.layers).expect("a tree");
    let profiles = [profile];
    let _ = minimize::check(&source, &profiles, Allow::default());
    let plan = minimize::plan(&source, &tree, &profiles, &Policy::default()).expect("a plan");
    for entry in &profiles[0].paths {
        let id = tree.lookup(entry.path.as_bytes());
        let kept = id.is_some_and(|id| plan.kept.contains_key(&id));
        assert!(kept || plan.unshipped.contains_key(entry.path.as_bytes()), "lost without a word");
    }
}

/// Links that lead on, in circles and out of the root.
fn layer() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, target) in
        [("link", "etc"), ("loop", "loop"), ("etc/up", "../../.."), ("usr/far", "/link/up/a")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        builder.append_link(&mut header, name, target).expect("a link");
    }
    for name in ["a", "etc/passwd", "usr/bin/sh", "data/x"] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(1);
        builder.append_data(&mut header, name, &b"x"[..]).expect("a file");
    }
    builder.into_inner().expect("a layer")
}
