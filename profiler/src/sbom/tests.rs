//! Documents about an image made here.

use serde_json::{Value, json};

use super::vulnerabilities::{Finding, ScanError, parse};
use super::*;
use crate::image::tests::{Tar, image};
use crate::image::{SourceImage, Tree};
use crate::minimize::{Plan, Reason, Rule};
use crate::packages::{Inventory, Manager, Presence};

/// Three packages: one keeps all, one a part, one nothing.
fn source() -> SourceImage {
    let record = |name: &str, files: &str| {
        format!("P:{name}\nV:1-r0\nA:x86_64\nL:MIT AND \"odd\"\no:{name}-src\n{files}\n")
    };
    let database = [
        record("full", "F:bin\nR:full\n"),
        record("part", "F:lib\nR:a\nR:b\n"),
        record("gone", "F:usr\nR:gone\n"),
    ];
    image(vec![
        Tar::new()
            .file("bin/full", "x")
            .file("lib/a", "x")
            .file("lib/b", "x")
            .file("usr/gone", "x")
            .file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n")
            .file("lib/apk/db/installed", &database.concat())
            .bytes(),
    ])
}

fn with(work: impl FnOnce(&Subject, &Inventory, &Tree<'_>, &Plan)) {
    let image = source();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = Plan::default();
    for path in ["/bin/full", "/lib/a"] {
        let reason = Reason { rule: Rule::Touched, detail: String::new() };
        plan.kept.insert(tree.lookup(path.as_bytes()).unwrap(), reason);
    }
    let config = br#"{"created":"2024-05-06T07:08:09.1Z"}"#;
    let subject = Subject::new("x/app:1", "sha256:aa", "sha256:bb", config, &inventory.distro);
    work(&subject, &inventory, &tree, &plan);
}

const PART: &str = "pkg:apk/alpine/part@1-r0?arch=x86_64&distro=alpine-3.20.3&upstream=part-src";
const GONE: &str = "pkg:apk/alpine/gone@1-r0?arch=x86_64&distro=alpine-3.20.3&upstream=gone-src";

#[test]
fn bills_of_materials_list_what_is_there_and_mark_parts() {
    with(|subject, inventory, tree, plan| {
        let components = components(inventory, tree, plan).unwrap();
        let bill = Format::CycloneDx.document(subject, &components);
        let listed = bill["components"].as_array().unwrap();
        let names: Vec<_> = listed.iter().map(|component| &component["name"]).collect();
        assert_eq!(names, ["alpine", "full", "part"]);
        assert_eq!(listed[2]["purl"], PART);
        let state = "io.github.profiler-rs.profiler:package.state";
        assert_eq!(listed[2]["properties"][0], json!({"name": state, "value": "partial"}));
        assert_eq!(listed[1]["properties"][0], json!({"name": state, "value": "full"}));
        assert_eq!(bill["metadata"]["timestamp"], "2024-05-06T07:08:09Z");

        let bill = Format::Spdx.document(subject, &components);
        let packages = bill["packages"].as_array().unwrap();
        assert_eq!(packages.len(), 3, "the image and two packages");
        assert!(packages[2]["comment"].as_str().unwrap().starts_with("partial: 1 of the 2"));
        assert_eq!(packages[2]["annotations"][0]["comment"], packages[2]["comment"]);
        assert_eq!(packages[1].get("comment"), None);
        assert_eq!(Format::Spdx.document(subject, &components), bill);
    });
}

fn finding(vulnerability: &str, package: &str) -> Finding {
    Finding {
        vulnerability: vulnerability.into(),
        manager: Some(Manager::Apk),
        package: package.into(),
        version: "1-r0".into(),
    }
}

#[test]
fn only_packages_of_which_nothing_is_left_are_called_not_affected() {
    with(|subject, inventory, _, plan| {
        let mut unknown = finding("CVE-4", "gone");
        unknown.manager = None;
        let mut other_version = finding("CVE-5", "gone");
        other_version.version = "0.9-r0".into();
        let findings = [
            finding("CVE-1", "gone"),
            finding("CVE-2", "part"),
            finding("CVE-3", "gone"),
            finding("CVE-3", "full"),
            unknown,
            other_version,
            finding("CVE-6", "never-heard-of"),
        ];
        let document = openvex::document(subject, inventory, plan, &findings);
        assert_eq!(
            document["statements"],
            json!([{
                "vulnerability": { "name": "CVE-1" },
                "products": [{
                    "@id": "pkg:oci/app@sha256:aa",
                    "subcomponents": [{ "@id": GONE }],
                }],
                "status": "not_affected",
                "justification": "component_not_present",
                "impact_statement": "no file that the package database lists for the package is in the image",
            }])
        );
    });
}

#[test]
fn findings_of_grype_and_trivy_are_read() {
    let grype = json!({ "matches": [
        { "vulnerability": { "id": "CVE-1" },
          "artifact": { "name": "gone", "version": "1-r0", "type": "apk" } },
        { "vulnerability": { "id": "GHSA-1" },
          "artifact": { "name": "flask", "version": "1", "type": "python" } },
        { "vulnerability": {} },
    ]});
    let trivy = json!({ "SchemaVersion": 2, "Results": [
        { "Class": "os-pkgs", "Vulnerabilities": [
            { "VulnerabilityID": "CVE-1", "PkgName": "gone", "InstalledVersion": "1-r0",
              "PkgIdentifier": { "PURL": "pkg:apk/alpine/gone@1-r0" } } ] },
        { "Class": "lang-pkgs", "Vulnerabilities": [
            { "VulnerabilityID": "GHSA-1", "PkgName": "flask", "InstalledVersion": "1" } ] },
        { "Class": "secret" },
    ]});
    let read = |value: Value| parse(value.to_string().as_bytes());
    let mut flask = finding("GHSA-1", "flask");
    (flask.manager, flask.version) = (None, "1".into());
    assert_eq!(read(grype), Ok(vec![finding("CVE-1", "gone"), flask.clone()]));
    assert_eq!(read(trivy), Ok(vec![finding("CVE-1", "gone"), flask]));
    assert_eq!(read(json!({ "artifacts": [] })), Err(ScanError::Unknown));
    assert!(matches!(parse(b"{"), Err(ScanError::Json(_))));
}

#[test]
fn packages_of_languages_are_listed_when_something_of_them_is_there() {
    let site = "usr/lib/python3/dist-packages";
    let metadata =
        |name: &str| format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n\nVersion: 9\n");
    let record = "flask_x/__init__.py,sha256=a,1\n\"flask_x/a,b.py\",,\nabsent.py,,\n\
        flask_x/a.pyc,,\nFlask_X-1.2.dist-info/METADATA,,\n../../../bin/flask,,\n";
    let image = image(vec![
        Tar::new()
            .file(&format!("{site}/flask_x/__init__.py"), "x")
            .file(&format!("{site}/flask_x/a,b.py"), "x")
            .file(&format!("{site}/flask_x/a.pyc"), "x")
            .file("usr/bin/flask", "x")
            .file(&format!("{site}/Flask_X-1.2.dist-info/METADATA"), &metadata("Flask_X"))
            .file(&format!("{site}/Flask_X-1.2.dist-info/RECORD"), record)
            .file(&format!("{site}/other-1.2.dist-info/METADATA"), &metadata("other"))
            .file(&format!("{site}/bare-1.2.dist-info/METADATA"), &metadata("bare"))
            .file("app/package.json", "{\"name\":\"app\",\"version\":\"1\"}")
            .file(
                "app/node_modules/@s/p/package.json",
                "{\"name\":\"@s/p\",\"version\":\"2.0.0\",\"license\":\"ISC\"}",
            )
            .file("app/node_modules/@s/p/index.js", "x")
            .file("app/node_modules/@s/p/node_modules/q/package.json", "no json")
            .file("app/node_modules/@s/p/node_modules/q/index.js", "x")
            .bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    let mut plan = Plan::default();
    for path in [
        format!("/{site}/flask_x/__init__.py"),
        format!("/{site}/bare-1.2.dist-info/METADATA"),
        "/app/node_modules/@s/p/index.js".into(),
        "/app/node_modules/@s/p/node_modules/q/index.js".into(),
    ] {
        let reason = Reason { rule: Rule::Touched, detail: String::new() };
        plan.kept.insert(tree.lookup(path.as_bytes()).expect(&path), reason);
    }
    let inventory = Inventory::read(&tree).unwrap();
    let components = components(&inventory, &tree, &plan).unwrap();
    let found: Vec<_> = components
        .iter()
        .map(|found| (found.purl.as_str(), found.presence, found.kept, found.of))
        .collect();
    assert_eq!(
        found,
        [
            ("pkg:npm/%40s/p@2.0.0", Presence::Full, 1, 1),
            ("pkg:pypi/bare@1.2", Presence::Unknown, 0, 0),
            ("pkg:pypi/flask-x@1.2", Presence::Partial, 1, 3),
        ]
    );
}
