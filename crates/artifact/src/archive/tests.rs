//! Tests of accepted and rejected layers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const MAX_BYTES: u64 = 1 << 20;

/// An archive of raw entries: unchecked path, type, link name, content.
fn archive(entries: &[(&str, EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, link, bytes) in entries {
        let mut header = Header::new_ustar();
        // `set_path` rejects the paths under test.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_link_name_literal(link).expect("a short link");
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, *bytes).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn file<'a>(path: &'a str, bytes: &'a [u8]) -> (&'a str, EntryType, &'a str, &'a [u8]) {
    (path, EntryType::Regular, "", bytes)
}

fn read(layers: &[Vec<u8>], wanted: &[&str]) -> Result<Files, LayerError> {
    let wanted = wanted.iter().map(|path| (*path).to_owned()).collect();
    let mut files = Files::new(wanted, MAX_BYTES);
    for layer in layers {
        files.apply_layer(layer, LayerCompression::Plain, &Digest::of(layer))?;
    }
    Ok(files)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn a_written_layer_can_be_read() {
    let layer = write("hello.wasm", b"\0asm").expect("an archive");
    let files = read(std::slice::from_ref(&layer), &["hello.wasm"]).expect("a good layer");
    assert_eq!(files.choose(), Ok(b"\0asm".to_vec()));
    let mut files = Files::new(Vec::new(), MAX_BYTES);
    files
        .apply_layer(&gzip(&layer), LayerCompression::Gzip, &Digest::of(&layer))
        .expect("a good layer");
    assert_eq!(files.choose(), Ok(b"\0asm".to_vec()));
}

#[test]
fn one_file_is_chosen() {
    let check = |entries: &[_], wanted: &[&str], expected: Result<&[u8], &[&str]>| {
        let files = read(&[archive(entries)], wanted).expect("a good layer");
        let expected = expected.map(<[u8]>::to_vec).map_err(|names| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        });
        assert_eq!(files.choose(), expected, "{wanted:?}");
    };
    let two = [
        file("a.wasm", b"a"),
        file("./b.wasm", b"b"),
        file("etc/c.wasm", b"c"),
    ];
    check(&two, &["b.wasm"], Ok(b"b"));
    check(&two, &["a.wasm"], Ok(b"a"));
    check(&two, &["etc/c.wasm"], Ok(b"c"));
    check(&two, &["x.wasm", "etc/c.wasm", "a.wasm"], Ok(b"c"));
    check(&two, &["x.wasm"], Err(&["a.wasm", "b.wasm"]));
    check(&two, &[], Err(&["a.wasm", "b.wasm"]));
    check(
        &[file("a.wasm", b"a"), file("LICENSE", b"l")],
        &["x"],
        Ok(b"a"),
    );
    check(&[file("LICENSE", b"l")], &[], Err(&[]));
}

#[test]
fn later_layers_cover_earlier_ones() {
    let check = |upper: &[_], expected: Result<&[u8], &[&str]>| {
        let lower = archive(&[file("a.wasm", b"old")]);
        let files = read(&[lower, archive(upper)], &["a.wasm"]).expect("good layers");
        let expected = expected.map(<[u8]>::to_vec).map_err(|names| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        });
        assert_eq!(files.choose(), expected);
    };
    check(&[file("b", b"")], Ok(b"old"));
    check(&[file("a.wasm", b"new")], Ok(b"new"));
    check(&[file(".wh.a.wasm", b"")], Err(&[]));
    check(&[file(".wh..wh..opq", b"")], Err(&[]));
    check(
        &[file(".wh..wh..opq", b""), file("b.wasm", b"new")],
        Ok(b"new"),
    );
    check(&[file(".wh.a.was", b"")], Ok(b"old"));
}

#[test]
fn paths_out_of_the_image_are_rejected() {
    let check = |path: &str| {
        let outcome = read(&[archive(&[file(path, b"x")])], &[]);
        assert!(
            matches!(outcome, Err(LayerError::Path { .. })),
            "{path}: {outcome:?}"
        );
    };
    check("../a.wasm");
    check("a/../../b.wasm");
    check("/a.wasm");
    check("a//b");
    check("a\\..\\b");
}

#[test]
fn links_and_devices_are_refused() {
    let check = |kind: EntryType, link: &str| {
        let chain = [
            ("a", EntryType::Directory, "", &b""[..]),
            ("a/b", kind, link, b""),
        ];
        let outcome = read(&[archive(&chain)], &[]);
        assert!(
            matches!(outcome, Err(LayerError::Kind { .. })),
            "{kind:?}: {outcome:?}"
        );
    };
    check(EntryType::Symlink, "../../etc");
    check(EntryType::Symlink, "/etc/passwd");
    check(EntryType::Symlink, "harmless");
    check(EntryType::Link, "../a");
    check(EntryType::Char, "");
    check(EntryType::Block, "");
    check(EntryType::Fifo, "");
}

#[test]
fn a_file_twice_is_refused() {
    let twice = archive(&[file("a.wasm", b"1"), file("./a.wasm", b"2")]);
    let outcome = read(&[twice], &[]);
    assert!(
        matches!(outcome, Err(LayerError::Twice { .. })),
        "{outcome:?}"
    );
}

#[test]
fn contradicting_sizes_are_refused() {
    fn check(extended: &str, refused: bool) {
        let mut builder = Builder::new(Vec::new());
        builder
            .append_pax_extensions([("size", extended.as_bytes())])
            .expect("memory");
        let mut header = Header::new_ustar();
        header.set_path("a.wasm").expect("a short path");
        header.set_size(4);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, &b"four"[..]).expect("memory");
        let layer = builder.into_inner().expect("memory");
        let outcome = read(&[layer], &[]);
        assert_eq!(outcome.is_err(), refused, "{extended}: {outcome:?}");
        if extended.parse::<u64>().is_ok() && refused {
            let contradiction = matches!(outcome, Err(LayerError::Contradiction { .. }));
            assert!(contradiction, "{extended}: {outcome:?}");
        }
    }
    check("4", false);
    check("0", true);
    check("3", true);
    check("512", true);
    check("x", true);
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let bomb = archive(&[file("zeros", &vec![0; 4 << 20])]);
    let packed = gzip(&bomb);
    assert!(packed.len() < 64 << 10, "{}", packed.len());
    let mut files = Files::new(Vec::new(), MAX_BYTES);
    let outcome = files.apply_layer(&packed, LayerCompression::Gzip, &Digest::of(&bomb));
    assert!(
        matches!(outcome, Err(LayerError::Size { limit: MAX_BYTES })),
        "{outcome:?}"
    );
    // Layers share one limit.
    let half = archive(&[file("half", &vec![0; 700 << 10])]);
    let outcome = read(&[half.clone(), half], &[]);
    assert!(
        matches!(outcome, Err(LayerError::Size { .. })),
        "{outcome:?}"
    );
}

#[test]
fn too_many_entries_are_refused() {
    let names: Vec<String> = (0..=MAX_ENTRIES).map(|index| format!("f{index}")).collect();
    let entries: Vec<_> = names.iter().map(|name| file(name, b"")).collect();
    let layer = archive(&entries);
    let mut files = Files::new(Vec::new(), 16 << 20);
    let outcome = files.apply_layer(&layer, LayerCompression::Plain, &Digest::of(&layer));
    assert!(matches!(outcome, Err(LayerError::Entries)), "{outcome:?}");
}

#[test]
fn another_content_than_announced_is_refused() {
    let layer = write("a.wasm", b"x").expect("an archive");
    let outcome = Files::new(Vec::new(), MAX_BYTES).apply_layer(
        &layer,
        LayerCompression::Plain,
        &Digest::of(b"other"),
    );
    assert!(
        matches!(outcome, Err(LayerError::Digest { .. })),
        "{outcome:?}"
    );
}

#[test]
fn bytes_that_are_no_archive_are_damaged() {
    let check = |bytes: &[u8], compression| {
        let outcome =
            Files::new(Vec::new(), MAX_BYTES).apply_layer(bytes, compression, &Digest::of(bytes));
        assert!(
            matches!(outcome, Err(LayerError::Damaged(_))),
            "{outcome:?}"
        );
    };
    check(&[7; 600], LayerCompression::Plain);
    check(b"not gzip", LayerCompression::Gzip);
    let whole = gzip(&write("a.wasm", &[1; 4096]).expect("an archive"));
    check(&whole[..whole.len() - 9], LayerCompression::Gzip);
}
