//! Every Rust file says what it is for, and is short enough to be read at once.

use super::repository::{Violation, check};

/// Lines of the longest file.
const MAX_LINES: usize = 500;
/// Nobody writes or reads this one.
const GENERATED: &str = "src/server/oip/grpc/generated.rs";

fn is_short(file: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().count();
    let violation = || Violation {
        file: file.to_owned(),
        line: MAX_LINES + 1,
        rule: format!("a file has at most {MAX_LINES} lines, this one has {lines}"),
        remedy: "split it by topic".to_owned(),
    };
    (lines > MAX_LINES && file != GENERATED).then(violation).into_iter().collect()
}

fn says_what_it_is_for(file: &str, text: &str) -> Vec<Violation> {
    let violation = || Violation {
        file: file.to_owned(),
        line: 1,
        rule: "a file begins with `//!`".to_owned(),
        remedy: "say in a sentence what the file guarantees, and what it must not know".to_owned(),
    };
    (!text.starts_with("//! ") && file != GENERATED).then(violation).into_iter().collect()
}

#[test]
fn every_file_is_short() {
    check("", is_short);
}

#[test]
fn every_file_says_what_it_is_for() {
    check("", says_what_it_is_for);
}

#[test]
fn a_file_that_is_long_or_says_nothing_is_found() {
    assert_eq!(is_short("a.rs", &"\n".repeat(500)), []);
    assert_eq!(is_short("a.rs", &"\n".repeat(501))[0].line, 501);
    assert_eq!(says_what_it_is_for("a.rs", "//! A rule.\n"), []);
    let said = says_what_it_is_for("src/a.rs", "// A remark.\n//! Late.\n")[0].to_string();
    assert!(said.starts_with("src/a.rs:1: a file begins with `//!`; say in a sentence "), "{said}");
}
