//! What a minimization did.

use super::super::document::{Kept, Package, Removed, Report};
use super::ROWS;
use super::page::Align::{Left, Right};
use super::page::{Columns, Page};
use super::text::{code, count, number, share};

/// Adds a report.
pub fn section(page: &mut Page, report: &Report) {
    let Report { source, output, .. } = report;
    page.paragraph(&format!("### Minimized {}", code(&source.reference)));
    let columns =
        [("", Left), ("image", Left), ("bytes", Right), ("files", Right), ("layers", Right)];
    let rows = [
        vec![
            "before".into(),
            code(&source.reference),
            number(source.bytes),
            number(source.files),
            number(source.layers as u64),
        ],
        vec![
            "after".into(),
            code(&output.reference),
            format!("{}{}", number(output.bytes), share(output.bytes, source.bytes)),
            format!("{}{}", number(output.files), share(output.files, source.files)),
            number(output.layers as u64),
        ],
    ];
    page.table(&Columns(&columns), rows.len(), rows.into_iter());
    let digest = output.digest.as_ref();
    let digest = digest.map(|digest| format!(", manifest {}", code(digest))).unwrap_or_default();
    page.paragraph(&format!("Image ID {}{digest}", code(&output.id)));
    packages(page, report);
    kept(page, report);
    removed(page, report);
    let columns = Columns(&[("path", Left), ("why", Left)]);
    let rows = report.unshipped.iter().map(|one| vec![path(&one.path), code(&one.why)]);
    page.folded(
        &format!("Recorded and not in the image: {}", number(report.unshipped.len() as u64)),
        &columns,
        report.unshipped.len(),
        rows.take(ROWS),
    );
    let rows = report.warnings.iter().map(|warning| vec![code(warning)]);
    page.folded(
        &format!("Warnings: {}", number(report.warnings.len() as u64)),
        &Columns(&[("warning", Left)]),
        report.warnings.len(),
        rows.take(ROWS),
    );
}

fn packages(page: &mut Page, report: &Report) {
    let Some(packages) = report.packages.as_ref().filter(|packages| !packages.list.is_empty())
    else {
        return;
    };
    let mut line = format!(
        "Packages: {} removed, {} partly kept, {} kept whole",
        number(packages.removed as u64),
        number(packages.partial as u64),
        number(packages.full as u64)
    );
    if packages.unknown > 0 {
        line = format!("{line}, {} unknown", number(packages.unknown as u64));
    }
    page.paragraph(&line);
    let (gone, left): (Vec<&Package>, Vec<&Package>) =
        packages.list.iter().partition(|package| package.state == "removed");
    let columns = Columns(&[
        ("package", Left),
        ("version", Left),
        ("what is left", Left),
        ("files", Right),
        ("of", Right),
    ]);
    for (title, list) in [("Packages of which something is left", left), ("Packages removed", gone)]
    {
        let rows = list.iter().map(|package| {
            vec![
                code(&package.name),
                code(&package.version),
                code(&package.state),
                number(package.kept_files as u64),
                number(package.source_files as u64),
            ]
        });
        let title = format!("{title}: {}", number(list.len() as u64));
        page.folded(&title, &columns, list.len(), rows.take(ROWS));
    }
}

fn kept(page: &mut Page, report: &Report) {
    let mut list: Vec<&Kept> = report.kept.iter().collect();
    list.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    let columns = Columns(&[
        ("bytes", Right),
        ("path", Left),
        ("package", Left),
        ("rule", Left),
        ("because of", Left),
    ]);
    let rows = list.iter().map(|kept| {
        vec![
            number(kept.size),
            path(&kept.path),
            package(&kept.package),
            code(&kept.rule),
            code(&kept.detail),
        ]
    });
    let title = format!("Kept: {}, the largest first", count(list.len(), "path"));
    page.folded(&title, &columns, list.len(), rows.take(ROWS));
}

fn removed(page: &mut Page, report: &Report) {
    let mut list: Vec<&Removed> = report.removed.iter().collect();
    list.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    let columns = Columns(&[("bytes", Right), ("path", Left), ("package", Left)]);
    let rows = list
        .iter()
        .map(|removed| vec![number(removed.size), path(&removed.path), package(&removed.package)]);
    let title = format!("Removed: {}, the largest first", count(list.len(), "path"));
    page.folded(&title, &columns, list.len(), rows.take(ROWS));
}

fn path(path: &::profiler::profile::BytePath) -> String {
    code(&path.to_string_lossy())
}

fn package(package: &Option<String>) -> String {
    code(package.as_deref().unwrap_or_default())
}
