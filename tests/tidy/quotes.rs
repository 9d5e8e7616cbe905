//! Defaults and limits that documents quote are those of the program.
//!
//! The pages of settings and metrics are generated and compared as a whole, in `tests/server/documents.rs`; these are single
//! numbers in sentences.

use super::repository::{Violation, report, root};

/// A value where it is declared, and where it is quoted.
struct Quote {
    file: &'static str,
    /// The declaration, up to and including the value; white space counts as one blank.
    declared: &'static str,
    /// Documents with the words that quote it, as short as they are unmistakable.
    quoted: &'static [(&'static str, &'static str)],
}

const fn quote(file: &'static str, declared: &'static str, quoted: &'static [(&'static str, &'static str)]) -> Quote {
    Quote { file, declared, quoted }
}

const SETTINGS: &str = "src/config/table.rs";

const QUOTES: [Quote; 25] = [
    quote(
        SETTINGS,
        r#"port: u16 { unit: "port", default: Fixed("8080"),"#,
        &[("docs/quickstart.md", "http://127.0.0.1:8080/")],
    ),
    quote(
        SETTINGS,
        r#"default_budget_ms: f64 { unit: "ms", default: Fixed("50"),"#,
        &[("docs/concepts.md", "**target** (50 ms,")],
    ),
    quote(
        SETTINGS,
        r#"queue_limit: usize { unit: "images", default: Fixed("512"),"#,
        &[("docs/architecture.md", "77 MB for 512 of 224x224")],
    ),
    quote(
        SETTINGS,
        r#"max_bytes_in_flight: usize { unit: "bytes", default: Fixed("1073741824"),"#,
        &[("docs/operating.md", "The defaults (50 megapixels, 1 GiB)")],
    ),
    quote(
        SETTINGS,
        r#"max_pixels: u64 { unit: "pixels", default: Fixed("50000000"),"#,
        &[("docs/operating.md", "The defaults (50 megapixels, 1 GiB)")],
    ),
    quote(
        SETTINGS,
        r#"read_timeout_ms: u64 { unit: "ms", default: Fixed("10000"),"#,
        &[("docs/api.md", "`--read-timeout-ms` (10 s)"), ("docs/python.md", "`--read-timeout-ms` (10 s)")],
    ),
    quote(
        SETTINGS,
        r#"keep_alive_timeout_ms: u64 { unit: "ms", default: Fixed("75000"),"#,
        &[
            ("docs/api.md", "`--keep-alive-timeout-ms` (75 s)"),
            ("docs/operating.md", "(`ANYWIDTH_KEEP_ALIVE_TIMEOUT_MS`, 75 s)"),
            ("docs/operating.md", "75000, the default"),
            ("docs/python.md", "closes it after 75 s without a request"),
        ],
    ),
    quote("src/config/file.rs", "const MAX_BYTES: u64 = 64 << 10;", &[("docs/configuration.md", "at most 64 KiB")]),
    quote(
        "src/engine/onnx/mod.rs",
        "const MAX_FILE_BYTES: usize = 512 << 20;",
        &[("docs/model-files.md", "at most 512 MiB")],
    ),
    quote("src/engine/onnx/mod.rs", "const MAX_NODES: usize = 4096;", &[("docs/model-files.md", "4096 nodes")]),
    quote(
        "src/engine/onnx/mod.rs",
        "const MAX_SIDE: usize = 4096;",
        &[("docs/model-files.md", "sides of 1 to 4096 pixels")],
    ),
    quote(
        "src/engine/onnx/parse.rs",
        "const OLDEST_OPSET: i64 = 13;",
        &[("docs/model-files.md", "operator set 13 or later")],
    ),
    quote(
        "src/engine/metadata.rs",
        "const MAX_ENTRY_BYTES: usize = 1 << 20;",
        &[("docs/model-files.md", "No entry may exceed 1 MiB")],
    ),
    quote(
        "src/engine/metadata.rs",
        "const MAX_LABEL_BYTES: usize = 256;",
        &[("docs/model-files.md", "strings of at most 256 bytes")],
    ),
    quote(
        "src/engine/metadata.rs",
        "const FORMAT: u64 = 1;",
        &[("docs/model-files.md", "`1`; other versions are refused")],
    ),
    quote(
        "src/policy/widest_fit/backlog.rs",
        "const ROOM: u64 = 64;",
        &[("docs/api.md", "at least 64 images per worker"), ("docs/concepts.md", "at least 64 images per worker")],
    ),
    quote("src/policy/queue/budget.rs", "const OUTSIDE: u32 = 50;", &[("docs/concepts.md", "98 % of the budget")]),
    quote(
        "src/policy/queue/mod.rs",
        "const DEFAULT_BUDGET_FACTOR: u32 = 4;",
        &[
            ("docs/python.md", "target is four times"),
            ("docs/configuration.md", "at least four times the service time"),
        ],
    ),
    quote(
        "src/scheduler/turns.rs",
        "const LONGEST_WAIT: Duration = Duration::from_millis(2);",
        &[("docs/architecture.md", "a worker waits, at most 2 ms")],
    ),
    quote(
        "src/server/connection/mod.rs",
        "const LINGER: Duration = Duration::from_millis(100);",
        &[("docs/architecture.md", "gives each 100 ms to begin a request")],
    ),
    quote(
        "src/server/http/inflate.rs",
        "const STEP: usize = 64 << 10;",
        &[("docs/architecture.md", "in steps of 64 KiB")],
    ),
    quote("src/server/http/inflate.rs", "const MAX_ENCODINGS: usize = 3;", &[("docs/api.md", "or more than three")]),
    quote(
        "src/server/http/retry.rs",
        "const LEAST_SPREAD: Duration = Duration::from_millis(100);",
        &[("docs/api.md", "(up to 100 ms at least)")],
    ),
    quote(
        "src/telemetry/lines.rs",
        "const MAX_BYTES: usize = 1 << 20;",
        &[("docs/operating.md", "lines wait in at most 1 MiB")],
    ),
    quote(
        "src/cli/mod.rs",
        "const PATIENCE: Duration = Duration::from_secs(2);",
        &[("docs/operating.md", "At exit the last lines have two seconds")],
    ),
];

/// A file with white space as single blanks, as sentences and declarations may be wrapped anywhere.
fn unwrapped(file: &str) -> String {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The line that has the first word of `text`, or the first line.
fn line_of(file: &str, text: &str) -> usize {
    let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    let start = text.split([':', '=']).next().unwrap_or_default().trim();
    source.lines().position(|line| line.contains(start)).map_or(1, |index| index + 1)
}

fn violations(quote: &Quote) -> Vec<Violation> {
    let Quote { file, declared, quoted } = quote;
    let violation =
        |file: &str, line: usize, rule: String, remedy: String| Violation { file: file.to_owned(), line, rule, remedy };
    if !unwrapped(file).contains(declared) {
        let documents: Vec<_> = quoted.iter().map(|(document, words)| format!("{document} ({words:?})")).collect();
        let remedy = format!("correct {} and tests/tidy/quotes.rs", documents.join(", "));
        return vec![violation(
            file,
            line_of(file, declared),
            format!("documents quote `{declared}`, which has changed"),
            remedy,
        )];
    }
    let wrong = quoted.iter().filter(|(document, words)| !unwrapped(document).contains(words));
    let rule = |words: &str| format!("{words:?} quotes `{declared}` of {file}, and is gone");
    let remedy = "restore the value, or give tests/tidy/quotes.rs the new words";
    wrong
        .map(|(document, words)| violation(document, line_of(document, words), rule(words), remedy.to_owned()))
        .collect()
}

#[test]
fn constants_that_documents_quote_are_those_of_the_program() {
    report(&QUOTES.iter().flat_map(violations).collect::<Vec<_>>());
}

#[test]
fn a_quote_of_another_value_is_found() {
    let said = |declared, words| {
        let quoted: &'static [_] = Box::leak(Box::new([("docs/model-files.md", words)]));
        let found = violations(&quote("src/engine/onnx/parse.rs", declared, quoted));
        found.iter().map(Violation::to_string).collect::<String>()
    };
    assert_eq!(said("const OLDEST_OPSET: i64 = 13;", "operator set 13"), "");
    let changed = said("const OLDEST_OPSET: i64 = 12;", "operator set 12");
    assert!(
        changed.contains("/parse.rs:") && changed.contains("; correct docs/model-files.md (\"operator set 12\")"),
        "{changed}"
    );
    let gone = said("const OLDEST_OPSET: i64 = 13;", "operator set 12");
    assert!(gone.starts_with("docs/model-files.md:") && gone.contains("quotes `const OLDEST_OPSET"), "{gone}");
}
