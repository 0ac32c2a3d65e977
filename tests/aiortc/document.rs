//! The document: a summary for each file of aiortc, then every row.

use std::fmt::Write;

use super::table::{Ours, Row};

const INTRODUCTION: &str = "\
# The tests of aiortc, and ours

Each test of aiortc 1.16.0 and aioice 0.13.0, and the tests here that show the same behaviour. *Does not apply* is said
with its reason; *missing* says what nobody tests yet. Where a decision differs from aiortc's, the note
tells it. The table is generated from `docs/aiortc-tests.tsv`
(`ACTIX_RTC_WRITE=1 cargo test --test aiortc`), and checked: every function named here exists.
";

/// `files` in the order in which they are shown.
pub(crate) fn render(files: &[&str], rows: &[Row]) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n| File | Tests | Tested | Does not apply | Missing |\n|---|--:|--:|--:|--:|\n");
    for file in files {
        summary(&mut text, &format!("`{file}`"), rows.iter().filter(|row| row.file == *file));
    }
    summary(&mut text, "**All**", rows.iter());
    for file in files {
        write!(text, "\n## {file}\n\n| Test | Here | Note |\n|---|---|---|\n").unwrap();
        rows.iter().filter(|row| row.file == *file).for_each(|row| line(&mut text, row));
    }
    text
}

fn summary<'a>(text: &mut String, name: &str, rows: impl Iterator<Item = &'a Row>) {
    let (mut tested, mut does_not_apply, mut missing) = (0, 0, 0);
    for row in rows {
        match row.ours {
            Ours::Tests(_) => tested += 1,
            Ours::DoesNotApply => does_not_apply += 1,
            Ours::Missing => missing += 1,
        }
    }
    let all = tested + does_not_apply + missing;
    writeln!(text, "| {name} | {all} | {tested} | {does_not_apply} | {missing} |").unwrap();
}

fn line(text: &mut String, row: &Row) {
    let ours = match &row.ours {
        Ours::Tests(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("<br>"),
        Ours::DoesNotApply => "does not apply".to_owned(),
        Ours::Missing => "**missing**".to_owned(),
    };
    writeln!(text, "| `{}` | {ours} | {} |", row.test, row.note.replace('|', "\\|")).unwrap();
}
