//! The table: four columns of `docs/aiortc-tests.tsv`, one row for each test of aiortc.

const TABLE: &str = include_str!("../../docs/aiortc-tests.tsv");

/// The first line of the file.
const COLUMNS: &str = "file\ttest\tours\tnote";

/// What shows here what a test shows there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    /// `path/to/file.rs::function`, or the path of a script whose case is in the note.
    Tests(Vec<String>),
    /// Nothing has to: the note says why.
    DoesNotApply,
    /// Nothing does yet: the note says what is missing.
    Missing,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) test: String,
    pub(crate) ours: Ours,
    pub(crate) note: String,
}

/// All rows, in the order of the file.
pub(crate) fn read() -> Vec<Row> {
    let mut lines = TABLE.lines();
    assert_eq!(lines.next(), Some(COLUMNS));
    lines.enumerate().map(|(number, line)| row(number + 2, line)).collect()
}

fn row(number: usize, line: &str) -> Row {
    let columns: Vec<&str> = line.split('\t').collect();
    let [file, test, ours, note] = columns[..] else {
        panic!("line {number}: {} columns instead of 4", columns.len())
    };
    assert!(columns.iter().all(|column| column.trim() == *column), "line {number}: spaces at an end");
    assert!(!file.is_empty() && !test.is_empty() && !ours.is_empty(), "line {number}: an empty column");
    let ours = match ours {
        "-" => Ours::DoesNotApply,
        "missing" => Ours::Missing,
        names => Ours::Tests(names.split(", ").map(str::to_owned).collect()),
    };
    Row { file: file.to_owned(), test: test.to_owned(), ours, note: note.to_owned() }
}

/// The tests that a note speaks of.
pub(crate) fn tests_in(note: &str) -> impl Iterator<Item = &str> {
    note.split([' ', '(', ')', ',', ';']).filter(|word| word.contains(".rs::"))
}

/// Whether a source text has a function of this name with a `test` attribute directly above it.
pub(crate) fn has_test(text: &str, function: &str) -> bool {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.ends_with("test]");
        } else if let Some((before, name)) = line.split_once("fn ") {
            let name = name.split(['(', '<']).next().unwrap_or_default();
            if is_test && name == function && matches!(before, "" | "async ") {
                return true;
            }
            is_test = false;
        } else if !line.starts_with("//") {
            is_test = false;
        }
    }
    false
}
