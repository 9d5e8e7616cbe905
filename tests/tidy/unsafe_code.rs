//! `unsafe` is in few files, and each use states why it is sound.

use super::code::Code;
use super::repository::{Violation, check};

/// The files with `unsafe`. The lint `unsafe_code` denies it everywhere else, and each of these says why it needs it.
const ALLOWED: [&str; 10] = [
    "exporter/src/memory.rs",
    "src/engine/kernel/simd/mod.rs",
    "src/engine/kernel/simd/native.rs",
    "src/engine/kernel/simd/portable.rs",
    "src/engine/kernel/simd/tests.rs",
    "src/engine/kernel/conv/depthwise.rs",
    "src/engine/kernel/conv/direct.rs",
    "src/engine/kernel/conv/winograd/mod.rs",
    "src/engine/kernel/conv/winograd/tile.rs",
    "src/engine/kernel/gemm.rs",
];

fn unsafe_is_allowed_and_explained(file: &str, text: &str) -> Vec<Violation> {
    let code = Code::of(file, text);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let violation = |line: usize, rule: &str, remedy: &str| Violation {
        file: file.to_owned(),
        line,
        rule: rule.to_owned(),
        remedy: remedy.to_owned(),
    };
    let mut violations = Vec::new();
    let used = code.lines_with("unsafe");
    if used.is_empty() {
        return violations;
    }
    if !ALLOWED.contains(&file) {
        let rule = format!("`unsafe` is in {} only", ALLOWED.join(", "));
        return used.iter().map(|&line| violation(line, &rule, "write it safely, or move it there")).collect();
    }
    if !text.contains("[expect(unsafe_code, reason = ") {
        violations.push(violation(
            used[0],
            "a file with `unsafe` says why",
            "add `expect(unsafe_code, reason = \"...\")`",
        ));
    }
    for line in used.into_iter().filter(|line| !is_explained(&lines, line - 1)) {
        let remedy = "state why it is sound in `// SAFETY:`, or what the caller owes in `/// # Safety`, directly above";
        violations.push(violation(line, "each `unsafe` is explained", remedy));
    }
    violations
}

/// Whether the comment directly above a line explains its `unsafe`. A method of a trait, whose contract the trait states, may
/// have the comment as its first line instead.
fn is_explained(lines: &[&str], at: usize) -> bool {
    let above = lines[..at].iter().rev().skip_while(|line| line.starts_with("#["));
    let comment = above.take_while(|line| line.starts_with("//"));
    let explains = |line: &str| line.starts_with("// SAFETY: ") || line == "/// # Safety";
    let is_method = lines[at].contains("unsafe fn");
    comment.into_iter().any(|line| explains(line))
        || (is_method && lines.get(at + 1).is_some_and(|line| explains(line)))
}

#[test]
fn unsafe_is_in_few_files_and_explained() {
    check("", unsafe_is_allowed_and_explained);
}

#[test]
fn unsafe_elsewhere_or_without_a_reason_is_found() {
    let found = |file: &str, text: &str| {
        unsafe_is_allowed_and_explained(file, text).iter().map(|one| one.line).collect::<Vec<_>>()
    };
    let allowed = |text: &str| {
        found("src/engine/kernel/simd/mod.rs", &format!("#![expect(unsafe_code, reason = \"a\")]\n{text}"))
    };
    assert_eq!(found("src/a.rs", "// unsafe\nlet a = \"unsafe\";\nunsafe { b() }\n"), [3]);
    assert_eq!(found("src/engine/kernel/simd/mod.rs", "// SAFETY: a.\nunsafe { b() }\n"), [2]);
    assert_eq!(allowed("// SAFETY: a,\n// and b.\nunsafe { b() }\n"), [] as [usize; 0]);
    assert_eq!(allowed("/// # Safety\n/// A.\n#[inline]\nunsafe fn a();\n"), [] as [usize; 0]);
    assert_eq!(allowed("// SAFETY: a.\n\nunsafe { b() }\nunsafe fn c() {\n"), [4, 5]);
}
