//! `docs/ice-tests.md`: each demand on ICE and TURN and each attack has a row, and each test that it names exists.

use std::{fs, path::Path};

use super::table;

const TABLE: &str = include_str!("../../docs/ice-tests.md");
/// Items by their numbers, then attacks.
fn expected() -> Vec<String> {
    let items = (1..=31).chain(37..=42).map(|number| number.to_string());
    items.chain((1..=10).map(|number| format!("A{number}"))).collect()
}

#[test]
fn every_item_has_a_row_whose_tests_exist() {
    let rows = TABLE.lines().filter_map(|line| {
        let mut columns = line.split('|').map(str::trim).skip(1);
        let row = columns.next()?;
        row.trim_start_matches('A').parse::<u32>().ok()?;
        Some((row.to_owned(), columns.next()?, columns.next()?))
    });
    let (mut numbers, mut wrong) = (Vec::new(), Vec::new());
    for (number, behaviour, tests) in rows {
        assert!(!behaviour.is_empty() && !tests.is_empty(), "item {number}");
        for name in tests.split(", ").map(|name| name.trim_matches('`')) {
            let (path, function) = name.split_once("::").unwrap_or((name, ""));
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            if !fs::read_to_string(path).is_ok_and(|text| table::has_test(&text, function)) {
                wrong.push(format!("{number}: {name}"));
            }
        }
        numbers.push(number);
    }
    assert_eq!(numbers, expected());
    assert!(wrong.is_empty(), "no such test:\n{}", wrong.join("\n"));
}
