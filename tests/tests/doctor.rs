//! `profiler doctor`.

use std::process::Command;

use integration_tests::program::{Outcome, binary, profiler};

#[test]
fn this_machine_can_profile_and_the_tier_is_named() {
    let outcome = Outcome::of(&mut profiler(["doctor", "--format", "json"])).succeeded();
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let text = report.to_string();
    assert!(text.contains("tracepoint") || text.contains("fexit"), "{text}");
    assert!(text.contains("\"ok\""), "{text}");
    let plain = Outcome::of(&mut profiler(["doctor"])).succeeded();
    assert!(plain.stdout.lines().count() >= 5, "{plain:#?}");
}

#[test]
fn without_btf_it_fails_with_1_and_names_btf() {
    let outcome = Outcome::of(
        Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg(r#"mount -t tmpfs none /sys/kernel/btf && exec "$0" doctor"#)
            .arg(binary()),
    );
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(outcome.stdout.contains("BTF"), "{outcome:#?}");
}
