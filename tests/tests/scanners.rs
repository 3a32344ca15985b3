//! Honest to scanners: what Syft finds in a minimized image is what is there.
//!
//! Each test that compares prints a row of a table.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use integration_tests::engine::{Image, docker, output};
use integration_tests::program::{Outcome, profiler};
use integration_tests::scanner::{Scan, validate};
use integration_tests::{distros, fixture, images};
use serde_json::Value;
use tempfile::TempDir;

/// An image before and after.
struct Comparison {
    directory: TempDir,
    image: Image,
    report: Value,
    before: Scan,
    after: Scan,
}

/// Profiles `image` under `script`.
#[track_caller]
fn profile(image: &Image, script: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profile.json");
    let mut run = profiler(["run", "--image", &image.name, "-o"]);
    Outcome::of(run.arg(file).arg("--").args(script)).succeeded();
    directory
}

/// Minimizes with the profile in `directory`, with more `arguments`.
#[track_caller]
fn minimize(directory: &Path, image: &Image, to: &str, arguments: &[&str]) -> Outcome {
    let mut minimize = profiler(["minimize", &image.name, "--force", "--output", to]);
    minimize.arg("--profile").arg(directory.join("profile.json"));
    Outcome::of(minimize.arg("--report").arg(directory.join("report.json")).args(arguments))
        .succeeded()
}

fn layout(directory: &Path) -> String {
    directory.join("result").display().to_string()
}

/// Minimizes into a layout and scans both sides.
#[track_caller]
fn compare(name: &str, image: Image, script: &[&str]) -> Comparison {
    let directory = profile(&image, script);
    let result = layout(directory.path());
    minimize(directory.path(), &image, &format!("oci:{result}:min"), &[]);
    let text = fs::read(directory.path().join("report.json")).unwrap();
    let comparison = Comparison {
        report: serde_json::from_slice(&text).unwrap(),
        before: Scan::of(&format!("docker:{}", image.name)),
        after: Scan::of(&format!("oci-dir:{result}")),
        directory,
        image,
    };
    comparison.print(name);
    comparison
}

impl Comparison {
    /// Packages of the report in one of these states.
    fn reported(&self, states: &[&str]) -> BTreeSet<&str> {
        let list = self.report["packages"]["list"].as_array().expect("a list of packages");
        list.iter()
            .filter(|package| states.iter().any(|&state| package["state"] == state))
            .filter_map(|package| package["name"].as_str())
            .collect()
    }

    /// A row of the table, past the test harness, which hides what tests that
    /// pass have printed.
    fn print(&self, name: &str) {
        static HEAD: Once = Once::new();
        let mut stderr = std::io::stderr();
        HEAD.call_once(|| {
            let _ = writeln!(
                stderr,
                "\n{:<12} {:>12} {:>12} {:>10} {:>8} {:>7} {:>5}  distribution",
                "image", "Syft before", "Syft after", "ours after", "removed", "partly", "whole"
            );
        });
        let state = |state| self.report["packages"][state].as_u64().unwrap_or_default();
        let _ = writeln!(
            stderr,
            "\n{name:<12} {:>12} {:>12} {:>10} {:>8} {:>7} {:>5}  {}",
            self.before.packages.len(),
            self.after.packages.len(),
            state("partial") + state("full") + state("unknown"),
            state("removed"),
            state("partial"),
            state("full"),
            self.after.distro
        );
    }

    /// Syft finds these packages and no other, each as it was before, and the
    /// distribution; the report says the same.
    #[track_caller]
    fn finds(&self, expected: &[&str]) {
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(self.after.names(), expected, "what Syft finds");
        assert!(self.after.packages.is_subset(&self.before.packages), "{self:#?}");
        assert_eq!(self.after.distro, self.before.distro);
        assert_eq!(self.reported(&["partial", "full"]), expected, "what the report says");
        let removed = self.reported(&["removed"]);
        assert!(removed.is_disjoint(&expected));
        let before: BTreeSet<&str> = self.before.names();
        assert_eq!(&removed | &expected, before, "every package has a state");
    }

    /// The result answers as the source does.
    #[track_caller]
    fn runs(&self) {
        let result = Image::future("scanned");
        let to = format!("docker-daemon:{}", result.name);
        minimize(self.directory.path(), &self.image, &to, &[]);
        assert_eq!(result.run(&[]), self.image.run(&[]));
    }
}

impl std::fmt::Debug for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparison")
            .field("before", &self.before)
            .field("after", &self.after)
            .field("packages", &self.report["packages"])
            .finish()
    }
}

/// Paths of an image's files and links, as an engine has them.
#[track_caller]
fn files(image: &Image) -> Vec<String> {
    let script = r#"id=$(docker create "$0" x); docker export "$id" | tar -t; docker rm "$id" >&2"#;
    output(Command::new("sh").args(["-c", script, &image.name]))
        .lines()
        .filter(|path| !path.ends_with('/'))
        .map(|path| format!("/{path}"))
        .collect()
}

/// Copies what is at `path` of an image into a directory.
#[track_caller]
fn copy_out(image: &Image, path: &str, to: &Path) {
    let script = r#"id=$(docker create "$0" x); docker cp "$id:$1" "$2"; docker rm "$id" >&2"#;
    output(Command::new("sh").args(["-c", script, &image.name, path]).arg(to));
}

/// Packages that dpkg itself says own these files, under the spelling of a
/// merged `/usr` and the older one.
#[track_caller]
fn owners(image: &Image, files: &[String]) -> BTreeSet<String> {
    // Directories to every package.
    let merged = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
    let payload = files.iter().filter(|path| !merged.contains(&path.as_str()));
    let spellings = payload.flat_map(|path| [Some(path.as_str()), path.strip_prefix("/usr")]);
    let paths: Vec<&str> = spellings.flatten().collect();
    // One that is not found makes dpkg fail.
    let script = r#"dpkg-query --search "$@" 2>/dev/null || true"#;
    let said = docker(
        ["run", "--rm", "--entrypoint=sh", &image.name, "-c", script, "sh"].iter().chain(&paths),
    );
    let lines = said.lines().filter_map(|line| line.split_once(": "));
    lines
        .flat_map(|(packages, _)| packages.split(", "))
        .filter(|package| !package.starts_with("diversion "))
        .map(|package| package.split(':').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn on_debian_exactly_the_packages_that_dpkg_says_keep_a_file_are_found() {
    let test = fixture("http-test.sh");
    let image = images::nginx();
    let script = [test.to_str().unwrap(), &image.name, "80", "Welcome to nginx"].map(str::to_owned);
    let script = script.each_ref().map(String::as_str);
    let found = compare("nginx", image, &script);
    let result = Image::future("scanned");
    let to = format!("docker-daemon:{}", result.name);
    minimize(found.directory.path(), &found.image, &to, &[]);
    let expected = owners(&found.image, &files(&result));
    found.finds(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found.after.distro, "debian-12");
    assert!(expected.contains("nginx") && expected.contains("libssl3"), "{expected:?}");
    assert!(!expected.contains("apt") && !expected.contains("curl"), "{expected:?}");

    // dpkg itself reads what is left, and misses nothing but configuration
    // that stands in the stanzas.
    let context = tempfile::tempdir().unwrap();
    copy_out(&result, "/", context.path());
    let volume = format!("{}:/result", context.path().display());
    let script = "dpkg-query --root=/result --show --showformat='${Package}\\n' \
        && (dpkg --root=/result --verify | grep -v ' c /' || true)";
    let said = docker(["run", "--rm", "--volume", &volume, &images::base(), "sh", "-c", script]);
    let listed: BTreeSet<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(listed, expected, "what dpkg lists, and what it finds amiss");

    let size = result.size() as f64 / 1e6;
    assert!(size < 10.4, "{size:.2} MB with the package database");
}

#[test]
fn on_a_distroless_image_exactly_the_packages_that_keep_a_file_are_found() {
    let image = distros::distroless();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let found = compare("distroless", image, &script.each_ref().map(String::as_str));
    found.finds(&["base-files", "jq", "libc6", "libjq1", "libonig5"]);
    found.runs();
}

#[test]
fn on_alpine_exactly_the_packages_that_keep_a_file_are_found() {
    let image = distros::alpine();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let found = compare("alpine", image, &script.each_ref().map(String::as_str));
    found.finds(&["alpine-baselayout-data", "alpine-release", "busybox", "greet", "musl"]);
    found.runs();
}

#[test]
fn on_an_rpm_image_exactly_the_packages_that_keep_a_file_are_found() {
    let (image, stage) = distros::fedora();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let found = compare("fedora", image, &script.each_ref().map(String::as_str));
    found.finds(&["fedora-release", "glibc", "tool"]);
    found.runs();

    // rpm itself reads what is left, and finds nothing amiss with it.
    let result = Image::future("scanned");
    let to = format!("docker-daemon:{}", result.name);
    minimize(found.directory.path(), &found.image, &to, &[]);
    let context = tempfile::tempdir().unwrap();
    copy_out(&result, "/usr", context.path());
    let volume = format!("{}:/result", context.path().display());
    let script = "database=/result/usr/lib/sysimage/rpm; \
        rpmdb --dbpath $database --verifydb && rpm --dbpath $database --query --all | sort";
    let said = docker(["run", "--rm", "--volume", &volume, &stage.name, "sh", "-c", script]);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["fedora-release-40-1.fc40.x86_64", "glibc-2.39-1.fc40.x86_64", "tool-1.0-1.fc40.x86_64"]
    );
}

#[test]
fn on_an_image_from_scratch_no_package_is_found_and_none_is_claimed() {
    let image = images::scratch();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let found = compare("scratch", image, &script.each_ref().map(String::as_str));
    found.finds(&[]);
    assert_eq!(found.after.distro, "");
}

#[test]
fn a_fragment_is_not_taken_for_a_whole_package() {
    let image = distros::distroless();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let found = compare("fragment", image, &script.each_ref().map(String::as_str));
    // libc6 has hundreds of files, of which three or four are kept.
    assert!(found.reported(&["partial"]).contains("libc6"), "{found:#?}");
    let list = found.report["packages"]["list"].as_array().unwrap();
    let libc6 = list.iter().find(|package| package["name"] == "libc6").unwrap();
    let count = |key: &str| libc6[key].as_u64().unwrap();
    assert!((1..10).contains(&count("kept_files")), "{libc6}");
    assert!(count("source_files") > 200, "{libc6}");
    // Its list has what is kept, and no line more.
    let sums = "/var/lib/dpkg/status.d/libc6.md5sums";
    let kept = found.report["kept"].as_array().unwrap();
    let sums = kept.iter().find(|entry| entry["path"] == sums).expect("its sums are kept");
    assert!(sums["size"].as_u64().unwrap() < 500, "{sums}");
    assert_eq!(sums["rule"], "packages");
}

#[test]
fn what_was_removed_is_listed_with_size_reason_and_package() {
    let image = distros::distroless();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let directory = profile(&image, &script.each_ref().map(String::as_str));
    let to = format!("oci:{}:min", layout(directory.path()));
    let outcome = minimize(directory.path(), &image, &to, &[]);
    assert!(outcome.stdout.contains("2 removed, 5 partly kept, 0 kept whole"), "{outcome:#?}");
    let text = fs::read_to_string(directory.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let entry = |list: &str, path: &str| {
        let list = report[list].as_array().unwrap();
        list.iter().find(|entry| entry["path"] == path).expect(path).clone()
    };
    let removed = entry("removed", "/usr/share/zoneinfo/Europe/Berlin");
    assert_eq!(removed["package"], "tzdata");
    assert!(removed["size"].as_u64().unwrap() > 500, "{removed}");
    let kept = entry("kept", "/usr/bin/jq");
    assert_eq!((&kept["package"], &kept["rule"]), (&"jq".into(), &"touched".into()));
    // The same again, byte for byte.
    minimize(directory.path(), &image, &to, &[]);
    assert_eq!(fs::read_to_string(directory.path().join("report.json")).unwrap(), text);
}

#[test]
fn package_metadata_is_kept_whole_or_dropped_when_asked_and_the_image_says_so() {
    let image = distros::alpine();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let directory = profile(&image, &script.each_ref().map(String::as_str));
    let result = layout(directory.path());
    let to = format!("oci:{result}:min");
    let before = Scan::of(&format!("docker:{}", image.name));
    let annotation = || {
        let index = json(&PathBuf::from(&result).join("index.json"));
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest = json(&PathBuf::from(&result).join("blobs").join(digest));
        manifest["annotations"]["io.github.profiler-rs.profiler.package-metadata"].clone()
    };
    let outcome = minimize(directory.path(), &image, &to, &["--package-metadata", "keep"]);
    assert!(!outcome.stderr.contains("dropped"), "{outcome:#?}");
    let after = Scan::of(&format!("oci-dir:{result}"));
    assert_eq!(after.packages, before.packages);
    assert_eq!(annotation(), "keep");

    let outcome = minimize(directory.path(), &image, &to, &["--package-metadata", "drop"]);
    assert!(outcome.stderr.contains("package metadata is dropped"), "{outcome:#?}");
    let after = Scan::of(&format!("oci-dir:{result}"));
    assert!(after.packages.is_empty(), "{after:#?}");
    assert_eq!(after.distro, before.distro, "the distribution is still named");
    assert_eq!(annotation(), "drop");
}

/// Of cyclonedx-python-lib: the published JSON schema.
const CYCLONEDX: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
assert error is None, error
";

/// Of the SPDX project's own tools.
const SPDX: &str = "\
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
errors = validate_full_spdx_document(parse_file(sys.argv[1]))
assert not errors, [error.validation_message for error in errors]
";

#[test]
fn bills_of_materials_are_valid_and_list_what_syft_finds() {
    for image in [distros::distroless(), distros::alpine(), distros::fedora().0] {
        let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
        let directory = profile(&image, &script.each_ref().map(String::as_str));
        let result = layout(directory.path());
        let to = format!("oci:{result}:min");
        let cyclonedx = directory.path().join("bill.cdx.json");
        let spdx = directory.path().join("bill.spdx.json");
        let formats = [
            format!("--sbom=cyclonedx={}", cyclonedx.display()),
            format!("--sbom=spdx={}", spdx.display()),
        ];
        let formats = formats.each_ref().map(String::as_str);
        minimize(directory.path(), &image, &to, &formats);
        validate(CYCLONEDX, &cyclonedx);
        validate(SPDX, &spdx);
        let found = Scan::of(&format!("oci-dir:{result}"));
        assert!(!found.packages.is_empty(), "{found:#?}");
        assert_eq!(Scan::of_bill(&cyclonedx).packages, found.packages, "{}", image.name);
        assert_eq!(Scan::of_bill(&spdx).packages, found.packages, "{}", image.name);

        // What is there in part says so, in both.
        let partial = |package: &Value| package.to_string().contains("partial: ");
        let names = |list: &Value| -> BTreeSet<String> {
            let list = list.as_array().unwrap().iter().filter(|package| partial(package));
            list.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
        };
        let report = json(&directory.path().join("report.json"));
        let states = report["packages"]["list"].as_array().unwrap().iter();
        let states = states.filter(|package| package["state"] == "partial");
        let expected: BTreeSet<String> =
            states.map(|package| package["name"].as_str().unwrap().to_owned()).collect();
        assert!(!expected.is_empty());
        assert_eq!(names(&json(&cyclonedx)["components"]), expected);
        assert_eq!(names(&json(&spdx)["packages"]), expected);

        // The same again, byte for byte: no clock, no dice.
        let before = [&cyclonedx, &spdx].map(|file| fs::read_to_string(file).unwrap());
        minimize(directory.path(), &image, &to, &formats);
        assert_eq!([&cyclonedx, &spdx].map(|file| fs::read_to_string(file).unwrap()), before);
    }
}

#[test]
fn a_python_services_own_packages_are_in_the_bill_beside_the_distributions() {
    let image = images::flask();
    let test = fixture("http-test.sh");
    let script = [test.to_str().unwrap(), &image.name.clone(), "8000", "Hello from Flask"]
        .map(str::to_owned);
    let found = compare("flask", image, &script.each_ref().map(String::as_str));
    let result = Image::future("scanned");
    let bill = found.directory.path().join("bill.cdx.json");
    let option = format!("--sbom=cyclonedx={}", bill.display());
    let to = format!("docker-daemon:{}", result.name);
    minimize(found.directory.path(), &found.image, &to, &[&option]);
    validate(CYCLONEDX, &bill);
    let expected = owners(&found.image, &files(&result));
    found.finds(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    let bill = json(&bill);
    let listed: BTreeSet<String> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|component| component["purl"].to_string().contains("pkg:pypi/"))
        .map(|component| component["name"].as_str().unwrap().to_lowercase())
        .collect();
    assert!(listed.contains("flask") && listed.contains("gunicorn"), "{listed:?}");
    assert!(!listed.contains("pip"), "{listed:?}");
    let by_syft = found.after.all.iter().filter_map(|found| found.strip_prefix("python "));
    for name in by_syft {
        assert!(listed.contains(&name.to_lowercase()), "{name} is not in {listed:?}");
    }
    let size = result.size() as f64 / 1e6;
    assert!(size < 34.0, "{size:.2} MB with the package database");
}

#[test]
fn statements_are_made_of_packages_that_are_gone_and_of_no_other() {
    let image = distros::distroless();
    let script = ["docker", "run", "--rm", &image.name.clone()].map(str::to_owned);
    let directory = profile(&image, &script.each_ref().map(String::as_str));
    let result = layout(directory.path());
    let to = format!("oci:{result}:min");
    // What Grype would say: of a package that goes, of one of which a part
    // stays, and of both.
    let before = Scan::of(&format!("docker:{}", image.name));
    let version = |name: &str| {
        let mut packages = before.packages.iter().map(|package| package.split(' '));
        packages.find_map(|mut p| (p.nth(1) == Some(name)).then(|| p.next())).flatten().unwrap()
    };
    let found = |vulnerability: &str, name: &str| {
        serde_json::json!({
            "vulnerability": { "id": vulnerability },
            "artifact": { "name": name, "version": version(name), "type": "deb" },
        })
    };
    let scan = directory.path().join("grype.json");
    let matches = [
        found("CVE-2000-0001", "tzdata"),
        found("CVE-2000-0002", "libc6"),
        found("CVE-2000-0003", "tzdata"),
        found("CVE-2000-0003", "jq"),
    ];
    fs::write(&scan, serde_json::json!({ "matches": matches }).to_string()).unwrap();
    let vex = directory.path().join("vex.json");
    let arguments =
        [format!("--vex={}", vex.display()), format!("--vulnerabilities={}", scan.display())];
    minimize(directory.path(), &image, &to, &arguments.each_ref().map(String::as_str));
    let document = json(&vex);
    assert_eq!(document["@context"], "https://openvex.dev/ns/v0.2.0");
    for required in ["@id", "author", "timestamp"] {
        assert!(document[required].is_string(), "{required} is not in {document:#}");
    }
    assert_eq!(document["version"], 1);
    let [statement] = document["statements"].as_array().unwrap().as_slice() else {
        panic!("not one statement: {document:#}");
    };
    assert_eq!(statement["vulnerability"]["name"], "CVE-2000-0001");
    assert_eq!(statement["status"], "not_affected");
    assert_eq!(statement["justification"], "component_not_present");
    let product = &statement["products"][0];
    let index = json(&PathBuf::from(&result).join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    assert_eq!(product["@id"], format!("pkg:oci/distroless@{digest}"));
    let package = product["subcomponents"][0]["@id"].as_str().unwrap();
    assert!(package.starts_with("pkg:deb/debian/tzdata@"), "{package}");
}

#[test]
fn statements_without_vulnerabilities_are_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("profile.json");
    fs::write(&profile, "{}").unwrap();
    let to = layout(directory.path());
    let refuse = |arguments: &[&str], words: &[&str]| {
        let mut command = profiler(["minimize", "x", "--output", &format!("oci:{to}:min")]);
        command.arg("--vex").arg(directory.path().join("vex.json")).args(arguments);
        command.arg("--profile").arg(&profile);
        Outcome::of(&mut command).refused(2, words);
    };
    refuse(&[], &["--vulnerabilities", "grype", "trivy"]);
    let other = directory.path().join("other.json");
    fs::write(&other, r#"{"artifacts": []}"#).unwrap();
    refuse(&["--vulnerabilities", other.to_str().unwrap()], &["other.json", "Grype's or Trivy's"]);
    refuse(&["--vulnerabilities", "/no/such/file"], &["/no/such/file"]);
    assert!(!PathBuf::from(&to).exists());
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
