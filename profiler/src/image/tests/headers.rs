//! Header groups: sparse files, names, devices.

use std::io::{Read as _, Seek as _, SeekFrom};

use super::{Tar, content, filter, image, rewrite};
use crate::image::blob::digest_of;
use crate::image::{NodeKind, Tree, WriteOptions};

/// An old GNU sparse file of these pieces, written by hand.
fn gnu_sparse(name: &str, len: u64, pieces: &[(u64, &[u8])]) -> Vec<u8> {
    let stored: Vec<u8> = pieces.iter().flat_map(|(_, data)| data.iter().copied()).collect();
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1234);
    header.set_size(stored.len() as u64);
    let field = |field: &mut [u8; 12], value: u64| {
        field.copy_from_slice(format!("{value:011o}\0").as_bytes());
    };
    let gnu = header.as_gnu_mut().unwrap();
    field(&mut gnu.realsize, len);
    let (front, rest) = pieces.split_at(pieces.len().min(4));
    for (slot, (offset, data)) in gnu.sparse.iter_mut().zip(front) {
        field(&mut slot.offset, *offset);
        field(&mut slot.numbytes, data.len() as u64);
    }
    gnu.isextended = [u8::from(!rest.is_empty())];
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    let mut chunks = rest.chunks(21).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = tar::GnuExtSparseHeader::new();
        for (slot, (offset, data)) in block.sparse.iter_mut().zip(chunk) {
            field(&mut slot.offset, *offset);
            field(&mut slot.numbytes, data.len() as u64);
        }
        block.isextended = [u8::from(chunks.peek().is_some())];
        bytes.extend_from_slice(block.as_bytes());
    }
    bytes.extend_from_slice(&stored);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pieces(count: u64) -> Vec<(u64, &'static [u8])> {
    (0..count).map(|n| (n * 1000, &b"data"[..])).collect()
}

#[test]
fn gnu_sparse_files_are_carried_as_they_stand_and_read_with_their_holes() {
    for count in [1, 4, 5, 26] {
        let tar = Tar::new().raw(&gnu_sparse("s", 30_000, &pieces(count))).file("f", "x").bytes();
        let source = image(vec![tar.clone()]);
        let tree = Tree::build(&source.layers).unwrap();
        let id = tree.lookup(b"/s").unwrap();
        assert_eq!(tree.node(id).size, 30_000);
        let text = content(&tree, "/s");
        assert_eq!(text.len(), 30_000);
        assert_eq!(text.matches("data").count(), count as usize);
        let directory = tempfile::tempdir().unwrap();
        let result = filter(&source, &["/s", "/f"], directory.path());
        assert_eq!(result.diff_ids, [digest_of(&tar)]);
    }
}

/// PAX records in their order.
type Records = &'static [(&'static str, &'static str)];

#[test]
fn pax_sparse_files_of_all_formats_are_read_and_carried() {
    let made_up = "GNUSparseFile.0/s";
    let one_zero = [&b"2\n0\n4\n1000\n4\n"[..], &[0; 499], b"datadata"].concat();
    let formats: [(Records, &str, &[u8]); 3] = [
        (
            &[
                ("GNU.sparse.size", "2000"),
                ("GNU.sparse.numblocks", "2"),
                ("GNU.sparse.offset", "0"),
                ("GNU.sparse.numbytes", "4"),
                ("GNU.sparse.offset", "1000"),
                ("GNU.sparse.numbytes", "4"),
            ],
            "d/s",
            b"datadata",
        ),
        (
            &[
                ("GNU.sparse.size", "2000"),
                ("GNU.sparse.map", "0,4,1000,4"),
                ("GNU.sparse.name", "d/s"),
            ],
            made_up,
            b"datadata",
        ),
        (
            &[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "d/s"),
                ("GNU.sparse.realsize", "2000"),
            ],
            made_up,
            &one_zero,
        ),
    ];
    for (records, name, stored) in formats {
        let mut tar = Tar::new().dir("d");
        tar.0.append_pax_extensions(records.iter().map(|(k, v)| (*k, v.as_bytes()))).unwrap();
        let tar =
            tar.entry(tar::EntryType::Regular, name, "", 0o640, stored).hard("d/t", "d/s").bytes();
        let source = image(vec![tar.clone()]);
        let tree = Tree::build(&source.layers).unwrap();
        assert_eq!(tree.node(tree.lookup(b"/d/s").unwrap()).size, 2000, "{records:?}");
        let expected = content(&tree, "/d/s");
        assert_eq!((expected.len(), expected.matches("data").count()), (2000, 2), "{records:?}");
        let directory = tempfile::tempdir().unwrap();
        let whole = filter(&source, &["/d", "/d/s", "/d/t"], directory.path());
        assert_eq!(whole.diff_ids, [digest_of(&tar)]);
        // The second name takes the map over with the content.
        let second = filter(&source, &["/d/t"], directory.path());
        let tree = Tree::build(&second.layers).unwrap();
        assert_eq!(content(&tree, "/d/t"), expected);
        assert!(tree.lookup(b"/d/s").is_none());
        // New content has no holes, and no made-up name.
        let options = WriteOptions { force: true, ..WriteOptions::default() };
        let edited = rewrite(&source, &["/d/s"], &[("/d/s", "new")], &options, directory.path());
        assert_eq!(content(&Tree::build(&edited.layers).unwrap(), "/d/s"), "new");
    }
}

#[test]
fn gnu_sparse_files_outlive_their_first_name_and_can_be_edited() {
    let tar =
        Tar::new().raw(&gnu_sparse("s", 30_000, &pieces(7))).hard("t", "s").hard("u", "s").bytes();
    let source = image(vec![tar]);
    let expected = content(&Tree::build(&source.layers).unwrap(), "/s");
    let directory = tempfile::tempdir().unwrap();
    let result = filter(&source, &["/t", "/u"], directory.path());
    let tree = Tree::build(&result.layers).unwrap();
    assert_eq!(content(&tree, "/t"), expected);
    assert_eq!(tree.hard_links(tree.lookup(b"/u").unwrap()).len(), 2);
    let options = WriteOptions { force: true, ..WriteOptions::default() };
    let edited = rewrite(&source, &["/s", "/t"], &[("/s", "new")], &options, directory.path());
    assert_eq!(content(&Tree::build(&edited.layers).unwrap(), "/t"), "new");
}

#[test]
fn a_claim_of_four_gibibytes_costs_nothing() {
    let claim = 4 << 30;
    let tar = Tar::new().raw(&gnu_sparse("s", claim, &[(claim - 4, b"last")])).bytes();
    let source = image(vec![tar]);
    let tree = Tree::build(&source.layers).unwrap();
    let id = tree.lookup(b"/s").unwrap();
    assert_eq!(tree.node(id).size, claim);
    let mut reader = tree.open(id).unwrap().unwrap();
    let mut start = [1; 4];
    reader.read_exact(&mut start).unwrap();
    reader.seek(SeekFrom::End(-4)).unwrap();
    let mut end = String::new();
    reader.read_to_string(&mut end).unwrap();
    assert_eq!((start, end.as_str()), ([0; 4], "last"));
    let directory = tempfile::tempdir().unwrap();
    filter(&source, &["/s"], directory.path());
    assert!(directory.path().join("out.tar").metadata().unwrap().len() < 16 * 1024);
}

#[test]
fn names_that_are_not_utf8_survive() {
    let mut long = vec![b'n'; 120];
    long.push(0xff);
    let (mut short_header, mut long_header) = (tar::Header::new_gnu(), tar::Header::new_gnu());
    for header in [&mut short_header, &mut long_header] {
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1);
        header.set_size(1);
    }
    short_header.as_old_mut().name[..3].copy_from_slice(b"a\xfez");
    short_header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&short_header, &b"1"[..]).unwrap();
    use std::os::unix::ffi::OsStrExt as _;
    tar.append_data(&mut long_header, std::ffi::OsStr::from_bytes(&long), &b"2"[..]).unwrap();
    let mut tar = Tar(tar);
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Link);
    link.set_size(0);
    tar.0.append_link(&mut link, "link", std::ffi::OsStr::from_bytes(&long)).unwrap();
    let tar = tar.bytes();
    let source = image(vec![tar.clone()]);
    let tree = Tree::build(&source.layers).unwrap();
    assert!(tree.lookup(b"/a\xfez").is_some());
    assert!(tree.lookup(&[b"/", &long[..]].concat()).is_some());
    let directory = tempfile::tempdir().unwrap();
    let keep = tree.all().into_iter().collect();
    let subset = crate::image::Subset { keep, ..Default::default() };
    let output = format!("oci:{}", directory.path().join("out").display()).parse().unwrap();
    crate::image::write(&source, &tree, &subset, &output, &WriteOptions::default()).unwrap();
    assert_eq!(crate::image::open(&output).unwrap().diff_ids, [digest_of(&tar)]);
}

#[test]
fn devices_fifos_and_attributes_are_carried_as_they_stand() {
    let mut device = tar::Header::new_gnu();
    device.set_entry_type(tar::EntryType::Char);
    device.set_path("null").unwrap();
    device.set_mode(0o666);
    device.set_uid(0);
    device.set_gid(0);
    device.set_mtime(1);
    // Some writers leave a size there; no content follows all the same.
    device.set_size(77);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    device.set_cksum();
    let tar = Tar::new()
        .raw(device.as_bytes())
        .entry(tar::EntryType::Block, "disk", "", 0o600, b"")
        .entry(tar::EntryType::Fifo, "fifo", "", 0o600, b"")
        .xattr("SCHILY.xattr.security.capability", b"\x01\0\0\x02\xff\0")
        .file("ping", "x")
        .bytes();
    let source = image(vec![tar.clone()]);
    let tree = Tree::build(&source.layers).unwrap();
    let kind = |path: &str| tree.node(tree.lookup(path.as_bytes()).unwrap()).kind.clone();
    assert_eq!(kind("/null"), NodeKind::Char);
    assert_eq!(kind("/disk"), NodeKind::Block);
    assert_eq!(kind("/fifo"), NodeKind::Fifo);
    let directory = tempfile::tempdir().unwrap();
    let result = filter(&source, &["/null", "/disk", "/fifo", "/ping"], directory.path());
    assert_eq!(result.diff_ids, [digest_of(&tar)]);
}

#[test]
fn a_name_split_over_two_fields_does_not_grow_when_it_takes_over_content() {
    // POSIX headers hold 255 bytes of name without an extension block; one
    // with an extension block would make the layer larger than its source.
    let long = format!("{}/{}", "d".repeat(90), "n".repeat(60));
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Link);
    link.set_path(&long).unwrap();
    link.set_link_name("first").unwrap();
    link.set_mode(0o644);
    link.set_uid(7);
    link.set_gid(8);
    link.set_mtime(1234);
    link.set_size(0);
    link.set_cksum();
    let tar = Tar::new().file("first", "content").raw(link.as_bytes()).bytes();
    let source = image(vec![tar.clone()]);
    let directory = tempfile::tempdir().unwrap();
    let result = filter(&source, &[&format!("/{long}")], directory.path());
    let tree = Tree::build(&result.layers).unwrap();
    assert_eq!(content(&tree, &format!("/{long}")), "content");
    assert!(result.layers[0].backing.len <= tar.len() as u64);
}
