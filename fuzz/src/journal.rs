//! Journals of sessions that were killed: read, made into profiles, and those
//! planned with.

use profiler::journal::Replay;

/// Takes in one input.
pub fn run(data: &[u8]) {
    let Ok(replay) = Replay::read(data) else { return };
    for recording in &replay.finish().profiles {
        let profile = recording.to_profile();
        assert_eq!(recording.paths(), profile.paths.len());
        assert!(profile.paths.is_sorted_by(|one, other| one.path < other.path));
        let text = serde_json::to_vec(&profile).expect("a profile can be written");
        crate::profile::run(&text);
    }
}
