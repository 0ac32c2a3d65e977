//! The architecture as a test: which layer may know what, and that sources stay readable.
//!
//! It reads the sources as text, with comments, string literals and `#[cfg(test)]` items blanked out, so that
//! it needs no compiler and tells file and line. See ARCHITECTURE.md for the reasons behind each rule.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A concept that takes more lines than this is two concepts.
const LINES_MAX: usize = 700;

/// Something that code under `folder` must not mention.
struct Rule {
    folder: &'static str,
    /// Files and folders that are the one place where it may be mentioned.
    except: &'static [&'static str],
    /// Paths are matched word by word, so that `tokio` does not match `tokio_like`.
    words: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        folder: "src/proto",
        except: &[],
        words: &["actix", "actix_rt", "actix_web", "tokio", "quinn_udp", "socket2"],
        why: "protocol code knows no runtime: its caller moves the bytes",
    },
    Rule {
        folder: "src/proto",
        except: &[],
        words: &["UdpSocket", "TcpStream", "TcpListener"],
        why: "protocol code opens no socket: it hands out datagrams by poll_transmit",
    },
    Rule {
        folder: "src/proto",
        except: &[],
        words: &["Instant::now", "SystemTime::now", "thread::sleep"],
        why: "protocol code reads no clock: `now` is an argument, so that tests run in virtual time",
    },
    Rule {
        folder: "src/proto",
        except: &[],
        words: &["rand::rng", "rand::random", "thread_rng", "from_os_rng", "OsRng", "from_entropy"],
        why: "protocol code draws from the generator it was given, so that a seed repeats a run",
    },
    Rule {
        folder: "src/proto",
        except: &[],
        words: &["crate::messages", "crate::actors", "crate::api", "crate::metrics"],
        why: "proto is the lowest layer: nothing above it may be imported",
    },
    Rule {
        folder: "src/messages",
        except: &[],
        words: &["crate::actors", "crate::api", "crate::metrics"],
        why: "messages stand between proto and the actors, and know only proto",
    },
    Rule {
        folder: "src/actors",
        except: &[],
        words: &["crate::api"],
        why: "the api is made of handles to the actors, not the other way round",
    },
    Rule {
        folder: "src",
        except: &["src/actors/kit", "src/proto"],
        words: &["Instant::now", "SystemTime::now"],
        why: "the clock is read in the kit alone (kit::now), which follows tokio's paused time",
    },
];

/// The kit serves all actors and depends on none.
const KIT: &str = "src/actors/kit";

#[test]
fn no_layer_mentions_what_it_must_not_know() {
    let mut complaints = String::new();
    for rule in RULES {
        for source in sources(rule.folder) {
            if rule.except.iter().any(|place| source.lies_in(place)) {
                continue;
            }
            for (number, word) in source.mentions(rule.words) {
                let _ = writeln!(complaints, "{}:{number}: {word}: {}", source.name, rule.why);
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn the_kit_imports_no_actor() {
    let others: Vec<String> = modules_beside_the_kit();
    let absolute: Vec<String> = others.iter().map(|name| format!("crate::actors::{name}")).collect();
    let words: Vec<&str> = absolute.iter().map(String::as_str).collect();
    let mut complaints = String::new();
    for source in sources(KIT) {
        for (number, word) in source.mentions(&words) {
            let _ = writeln!(complaints, "{}:{number}: {word}: the kit knows no actor", source.name);
        }
        for (number, module) in source.relative_imports(&others) {
            let _ = writeln!(complaints, "{}:{number}: {module}: the kit knows no actor", source.name);
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent: Vec<String> = all_sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| format!("{}: the first line is no //! comment", source.name))
        .collect();
    assert!(silent.is_empty(), "\n{}", silent.join("\n"));
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let long: Vec<String> = all_sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.name))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, name)| format!("{name}: {lines} lines, at most {LINES_MAX}: cut it by concept"))
        .collect();
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for entry in std::fs::read_dir(root()).expect("the root can be listed").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a document is readable text");
        for link in relative_links(&text) {
            if !root().join(link).exists() {
                dead.push(format!("{}: {link} does not exist", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
}

/// The targets of `[text](target)` that are paths, without what follows a `#`.
fn relative_links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':')).collect()
}

#[test]
fn the_rules_see_code_and_nothing_else() {
    let text = r##"//! tokio in a doc comment
use tokio::time; // 2
/* Instant::now /* nested */ still a comment */ let s = "Instant::now \" tokio"; let r = r#"tokio " "#;
let c = '"'; let now = Instant::now(); // 4
fn lifetime<'a>(x: &'a str) -> &'a str { x }
use my_tokio::x; use tokio_like::y;
#[cfg(test)]
mod tests {
    use tokio::time; // } "
}
#[cfg(test)]
use tokio::test_helper;
let again = std :: time :: Instant::now;
"##;
    let source = Source::new("sample.rs".to_owned(), text.to_owned());
    let found = source.mentions(&["tokio", "Instant::now"]);
    assert_eq!(found, [(2, "tokio"), (4, "Instant::now"), (13, "Instant::now")]);
}

#[test]
fn a_relative_import_out_of_the_kit_is_seen() {
    let text = "use super::super::shard::Shard;\nuse super::guard;\npub(super) fn shard() {}\n";
    let source = Source::new("src/actors/kit/lane.rs".to_owned(), text.to_owned());
    assert_eq!(source.relative_imports(&["shard".to_owned()]), [(1, "shard".to_owned())]);
}

/// One source file, and what the compiler sees of it outside tests.
struct Source {
    name: String,
    text: String,
    code: String,
}

impl Source {
    fn new(name: String, text: String) -> Self {
        let code = without_tests(&without_comments_and_strings(&text));
        Self { name, text, code }
    }

    fn lies_in(&self, place: &str) -> bool {
        self.name.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
    }

    /// Line numbers and words, in the order of the lines.
    fn mentions<'a>(&self, words: &[&'a str]) -> Vec<(usize, &'a str)> {
        let mut found = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            found.extend(words.iter().filter(|word| has_word(line, word)).map(|word| (index + 1, *word)));
        }
        found
    }

    /// `super::super::NAME` of one of the named modules, which from inside the kit leads to an actor.
    fn relative_imports(&self, modules: &[String]) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            for module in modules {
                if has_word(line, &format!("super::super::{module}")) {
                    found.push((index + 1, module.clone()));
                }
            }
        }
        found
    }
}

/// Whether the line holds the word with nothing before or after it that would make it another word.
fn has_word(line: &str, word: &str) -> bool {
    let part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !part(before.chars().next_back()) && !part(after.chars().next())
    })
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Everything written in Rust here.
fn all_sources() -> Vec<Source> {
    ["src", "crates", "xtask", "tests", "examples", "benches"].into_iter().flat_map(every_source).collect()
}

/// The sources of a folder that are more than tests.
fn sources(folder: &str) -> Vec<Source> {
    every_source(folder).into_iter().filter(|source| !is_test_file(&source.name)).collect()
}

/// Tests over 200 lines live in a file or folder of their own, named `tests`.
fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

fn every_source(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file is readable text");
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            Source::new(name, text)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    // Not every folder exists in every state of the project.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !["target", "node_modules"].contains(&name) {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The names of the modules that lie in `src/actors` next to the kit.
fn modules_beside_the_kit() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root().join("src/actors")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| {
        let path = entry.path();
        let name = path.file_stem()?.to_str()?.to_owned();
        (!["kit", "mod"].contains(&name.as_str())).then_some(name)
    });
    names.collect()
}

/// Blanks comments, strings and characters, keeping the lines as they are.
fn without_comments_and_strings(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = match characters[at] {
            '/' if characters.get(at + 1) == Some(&'/') => end_of_line(&characters, at),
            '/' if characters.get(at + 1) == Some(&'*') => end_of_block_comment(&characters, at),
            '"' => end_of_string(&characters, at),
            'r' if !follows_word(&characters, at) => end_of_raw_string(&characters, at).unwrap_or(at),
            '\'' => end_of_character(&characters, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            code.push(characters[at]);
            at += 1;
            continue;
        }
        let blanked = characters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' });
        code.extend(blanked);
        at = end;
    }
    code
}

fn end_of_line(characters: &[char], at: usize) -> usize {
    characters[at..].iter().position(|c| *c == '\n').map_or(characters.len(), |length| at + length)
}

/// Block comments nest in Rust.
fn end_of_block_comment(characters: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(characters: &[char], mut at: usize) -> usize {
    at += 1;
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

/// `r"…"`, `r#"…"#` and so on; `None` when the letter starts something else.
fn end_of_raw_string(characters: &[char], at: usize) -> Option<usize> {
    let hashes = characters[at + 1..].iter().take_while(|c| **c == '#').count();
    let mut end = at + 1 + hashes;
    if characters.get(end) != Some(&'"') {
        return None;
    }
    end += 1;
    while end < characters.len() {
        let closes = characters[end] == '"' && characters[end + 1..].iter().take(hashes).all(|c| *c == '#');
        if closes && characters.len() > end + hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(characters.len())
}

/// A character literal; `None` for a lifetime.
fn end_of_character(characters: &[char], at: usize) -> Option<usize> {
    if characters.get(at + 1) == Some(&'\\') {
        let close = characters.get(at + 3..)?.iter().position(|c| *c == '\'')?;
        return Some(at + 3 + close + 1);
    }
    (characters.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

fn follows_word(characters: &[char], at: usize) -> bool {
    // `br"…"` is a raw string too: the letter before the r belongs to it.
    at > 0 && (characters[at - 1].is_alphanumeric() && characters[at - 1] != 'b' || characters[at - 1] == '_')
}

/// Blanks every item under `#[cfg(test)]`, up to its semicolon or closing brace.
fn without_tests(code: &str) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(ATTRIBUTE) {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = end_of_item(item, ATTRIBUTE.len());
        kept.extend(item[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[end..];
    }
    kept.push_str(rest);
    kept
}

fn end_of_item(item: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, character) in item.char_indices().skip_while(|(at, _)| *at < from) {
        match character {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && character == '}' {
                    return at + 1;
                }
            }
            ';' | ',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}
