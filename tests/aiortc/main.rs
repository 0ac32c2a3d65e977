//! `docs/aiortc-tests.md`: which test here shows what a test of aiortc 1.16.0 or aioice 0.13.0 shows, and the
//! calls of aiortc's suite that no other target makes.
//!
//! The table is kept in `docs/aiortc-tests.tsv`; this target checks it and renders the document.
//! `ACTIX_RTC_WRITE=1 cargo test --test aiortc` renders it anew.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod document;
#[cfg(test)]
mod items;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod signalling;
#[cfg(test)]
mod table;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::{
        document,
        table::{self, Ours, Row},
    };

    const DOCUMENT: &str = "docs/aiortc-tests.md";

    /// How many tests each file of aiortc 1.16.0 and aioice 0.13.0 has (`async def` and `def` in its test classes).
    const TESTS: [(&str, usize); 31] = [
        ("test_rtcpeerconnection", 90),
        ("test_rtcdtlstransport", 16),
        ("test_rtcicetransport", 32),
        ("test_rtcrtptransceiver", 1),
        ("test_rtcsctptransport", 105),
        ("test_rtcsessiondescription", 2),
        ("test_sdp", 20),
        ("test_ortc", 1),
        ("test_rtcrtpsender", 19),
        ("test_rtcrtpreceiver", 26),
        ("test_rtp", 42),
        ("test_mediastreams", 7),
        ("test_jitterbuffer", 15),
        ("test_utils", 6),
        ("test_clock", 3),
        ("test_contrib_signaling", 9),
        ("test_rate", 31),
        ("test_codecs", 2),
        ("test_contrib_media", 30),
        ("test_g711", 13),
        ("test_g722", 7),
        ("test_h264", 24),
        ("test_opus", 7),
        ("test_vpx", 21),
        // aioice 0.13.0
        ("test_candidate", 13),
        ("test_exceptions", 2),
        ("test_ice", 82),
        ("test_ice_trickle", 1),
        ("test_mdns", 12),
        ("test_stun", 29),
        ("test_turn", 19),
    ];

    fn in_project(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    #[test]
    fn every_test_of_aiortc_has_one_row() {
        let mut rows: BTreeMap<(String, String), usize> = BTreeMap::new();
        for row in table::read() {
            *rows.entry((row.file, row.test)).or_default() += 1;
        }
        let twice: Vec<_> = rows.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        for (file, expected) in TESTS {
            let count = rows.keys().filter(|(of, _)| of == file).count();
            assert_eq!(count, expected, "rows of {file}");
        }
        let known = |file: &str| TESTS.iter().any(|(of, _)| *of == file);
        assert!(rows.keys().all(|(file, _)| known(file)), "a row of an unknown file");
    }

    /// A row that points at no test says why.
    #[test]
    fn what_is_not_tested_has_a_reason() {
        let silent: Vec<Row> = table::read()
            .into_iter()
            .filter(|row| !matches!(row.ours, Ours::Tests(_)) && row.note.is_empty())
            .collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn every_test_that_is_named_exists() {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let mut wrong = Vec::new();
        for row in table::read() {
            let named = match &row.ours {
                Ours::Tests(names) => names.as_slice(),
                Ours::DoesNotApply | Ours::Missing => &[],
            };
            for name in named.iter().map(String::as_str).chain(table::tests_in(&row.note)) {
                let (path, function) = name.split_once("::").unwrap_or((name, ""));
                let text = texts
                    .entry(path.to_owned())
                    .or_insert_with(|| fs::read_to_string(in_project(path)).unwrap_or_default());
                let found = match function {
                    // A script: which case of it is in the note.
                    "" => !path.ends_with(".rs") && !text.is_empty() && !row.note.is_empty(),
                    function => table::has_test(text, function),
                };
                if !found {
                    wrong.push(format!("{} {}: {name}", row.file, row.test));
                }
            }
        }
        assert!(wrong.is_empty(), "no such test:\n{}", wrong.join("\n"));
    }

    #[test]
    fn the_document_shows_the_table() {
        let files: Vec<&str> = TESTS.iter().map(|(file, _)| *file).collect();
        let rendered = document::render(&files, &table::read());
        let path = in_project(DOCUMENT);
        if std::env::var_os("ACTIX_RTC_WRITE").is_some() {
            fs::write(&path, &rendered).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        assert!(stored == rendered, "{DOCUMENT} is stale: ACTIX_RTC_WRITE=1 cargo test --test aiortc");
    }

    #[test]
    fn only_tests_count_as_tests() {
        let text = "#[test]\n/// Words.\n#[ignore]\nfn a_test() {}\n\nfn helper() {}\n    #[test]\n    async fn other() {}\n";
        assert!(table::has_test(text, "a_test") && table::has_test(text, "other"));
        assert!(!table::has_test(text, "helper") && !table::has_test(text, "a_"));
    }
}
