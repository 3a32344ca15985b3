//! A report's figures, a `NAME=VALUE` a line: what shells read, and what
//! GitLab takes as a dotenv report.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;

use super::document::{Document, Report};

/// The lines. Values are numbers and digests, so nothing needs quotes.
///
/// # Errors
/// When the document is not the report of one image.
pub fn lines(file: &Path, document: &Document) -> anyhow::Result<String> {
    let file = file.display();
    let report = match document {
        Document::Reports(reports) => match reports.as_slice() {
            [report] => report,
            _ => bail!(
                "{file} tells of {} images; choose one with `profiler minimize --platform`",
                reports.len()
            ),
        },
        Document::Profile(_) => {
            bail!("{file} is a profile; name a report of `profiler minimize --report`")
        }
    };
    let Report { source, output, .. } = report;
    let digest = output.digest.as_deref().unwrap_or(&output.id);
    let mut lines = String::new();
    for (name, value) in [
        ("PROFILER_IMAGE_ID", output.id.as_str()),
        ("PROFILER_DIGEST", digest),
        ("PROFILER_SOURCE_ID", source.id.as_str()),
    ] {
        if !is_digest(value) {
            bail!("{file} is damaged: {value:?} is not a digest; write it again");
        }
        let _ = writeln!(lines, "{name}={value}");
    }
    for (name, value) in [
        ("PROFILER_SIZE_BEFORE", source.bytes),
        ("PROFILER_SIZE_AFTER", output.bytes),
        ("PROFILER_FILES_BEFORE", source.files),
        ("PROFILER_FILES_AFTER", output.files),
    ] {
        let _ = writeln!(lines, "{name}={value}");
    }
    Ok(lines)
}

/// Who reads the lines trusts that a value ends with its line.
fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:");
    hex.is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(digest: Option<&str>) -> serde_json::Value {
        let side = |id: &str, bytes: u64, files: u64| {
            let digest = digest.filter(|_| bytes == 7);
            json!({"reference": "x", "id": id, "digest": digest, "bytes": bytes, "files": files, "layers": 1})
        };
        json!({
            "version": 1, "source": side("sha256:aa", 70, 5), "output": side("sha256:bb", 7, 2),
            "kept": [], "removed": [], "unshipped": [],
        })
    }

    fn read(reports: Vec<serde_json::Value>) -> anyhow::Result<String> {
        let reports = reports.into_iter().map(|report| serde_json::from_value(report).unwrap());
        lines(Path::new("r.json"), &Document::Reports(reports.collect()))
    }

    #[test]
    fn figures_are_lines_and_the_digest_is_the_manifests_where_there_is_one() {
        let text = read(vec![report(None)]).unwrap();
        assert_eq!(
            text,
            "PROFILER_IMAGE_ID=sha256:bb\nPROFILER_DIGEST=sha256:bb\nPROFILER_SOURCE_ID=sha256:aa\n\
             PROFILER_SIZE_BEFORE=70\nPROFILER_SIZE_AFTER=7\nPROFILER_FILES_BEFORE=5\n\
             PROFILER_FILES_AFTER=2\n"
        );
        assert!(read(vec![report(Some("sha256:cc"))]).unwrap().contains("_DIGEST=sha256:cc\n"));
    }

    #[test]
    fn a_digest_that_would_add_lines_is_refused_and_so_are_several_reports() {
        let error = read(vec![report(Some("sha256:cc\nPATH=/tmp"))]).unwrap_err().to_string();
        assert!(error.contains("not a digest"), "{error}");
        let error = read(vec![report(None), report(None)]).unwrap_err().to_string();
        assert!(error.contains("2 images"), "{error}");
    }
}
