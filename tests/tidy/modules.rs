//! Which module may name which others, and who alone names clocks, threads, tract and status codes.

use super::code::Code;
use super::repository::{Violation, check};

/// The modules of `src/`, and what each may name: only modules above it, so that there is no cycle.
const ARROWS: [(&str, &[&str]); 12] = [
    ("engine", &[]),
    ("image", &[]),
    ("policy", &["engine"]),
    ("system_files", &[]),
    ("dataset", &["system_files"]),
    ("nearest", &[]),
    ("telemetry", &["engine"]),
    ("repository", &["engine", "image", "system_files"]),
    ("scheduler", &["engine", "image", "policy", "telemetry", "repository"]),
    ("server", &["engine", "image", "policy", "nearest", "telemetry", "repository", "scheduler"]),
    ("config", &["engine", "image", "policy", "nearest", "telemetry", "repository", "server"]),
    (
        "cli",
        &[
            "engine",
            "image",
            "policy",
            "dataset",
            "nearest",
            "telemetry",
            "repository",
            "scheduler",
            "server",
            "config",
        ],
    ),
];

/// Modules whose results depend on their arguments alone.
const PURE: [&str; 5] = ["engine", "image", "policy", "system_files", "dataset"];

/// What a pure module does not name: the clock, and crates that are asynchronous or talk to the world.
const IMPURE: [&str; 9] =
    ["Instant::now", "SystemTime", "tokio", "axum", "hyper", "tower", "tracing", "prometheus", "rustix"];

/// What a pure module does not name of the standard library.
const IMPURE_STD: [&str; 4] = ["env", "net", "process", "thread"];

/// The only file that names tract.
const TRACT: &str = "src/engine/onnx/parse.rs";

/// Status codes that the server answers with, but for 200 and 500, which are also numbers of other things.
const STATUS_CODES: [&str; 20] = [
    "400", "401", "403", "404", "405", "406", "408", "409", "411", "412", "413", "414", "415", "417", "422", "429",
    "431", "502", "503", "504",
];

/// The module of `src/` that a file belongs to; none for `lib.rs` and `main.rs`.
fn module(file: &str) -> Option<&str> {
    let path = file.strip_prefix("src/")?;
    let module = path.split('/').next()?.trim_end_matches(".rs");
    (!["lib", "main"].contains(&module)).then_some(module)
}

fn violation(file: &str, line: usize, rule: String, remedy: &str) -> Violation {
    Violation { file: file.to_owned(), line, rule, remedy: remedy.to_owned() }
}

fn names_only_modules_that_it_may(file: &str, text: &str) -> Vec<Violation> {
    let Some(module) = module(file) else { return vec![] };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        let rule = format!("every module of src/ is in the table of tests/tidy/modules.rs, {module} is not");
        return vec![violation(file, 1, rule, "add it with the modules that it may name")];
    };
    let code = Code::of(file, text);
    let named = code.names_after("crate::").into_iter().chain(code.names_after("anywidth::"));
    let is_module = |name: &str| ARROWS.iter().any(|(module, _)| *module == name);
    let wrong = named.filter(|&(_, name)| is_module(name) && name != module && !allowed.contains(&name));
    let mut wrong: Vec<_> = wrong
        .map(|(line, name)| {
            let may = if allowed.is_empty() { "no other module".to_owned() } else { allowed.join(", ") };
            let remedy =
                "pass the value as an argument, or move what is shared down; docs/architecture.md draws the arrows";
            violation(file, line, format!("{module} may name {may}, not {name}"), remedy)
        })
        .collect();
    // As many `super` as the module's path has names lead to the root; tests lie a module deeper.
    let depth = file.trim_end_matches("/mod.rs").matches('/').count();
    let escapes =
        code.lines().filter(|(line, text)| text.matches("super::").count() >= depth + usize::from(code.is_test(*line)));
    let rule = || format!("{module} names what is outside as `crate::`");
    wrong.extend(escapes.map(|(line, _)| violation(file, line, rule(), "write the path from the root")));
    wrong
}

fn is_pure(file: &str, text: &str) -> Vec<Violation> {
    let Some(module) = module(file).filter(|module| PURE.contains(module)) else { return vec![] };
    let code = Code::of(file, text);
    let words = IMPURE.iter().flat_map(|&word| code.lines_with(word).into_iter().map(move |line| (line, word)));
    let std = code.names_after("std::").into_iter().filter(|(_, name)| IMPURE_STD.contains(name));
    let named = words.chain(std).filter(|&(line, _)| !code.is_test(line));
    let remedy = "take the time, the number or the text as an argument";
    named
        .map(|(line, name)| violation(file, line, format!("{module} is pure and does not name {name}"), remedy))
        .collect()
}

fn only_one_file_names_tract(file: &str, text: &str) -> Vec<Violation> {
    let code = Code::of(file, text);
    let mut lines = [code.lines_with("tract_onnx"), code.lines_with("tract")].concat();
    lines.retain(|&line| file != TRACT && !code.is_test(line));
    let remedy = "let it read the file, and take what it returns";
    lines.into_iter().map(|line| violation(file, line, format!("only {TRACT} names tract"), remedy)).collect()
}

fn only_the_server_names_status_codes(file: &str, text: &str) -> Vec<Violation> {
    if module(file) == Some("server") {
        return vec![];
    }
    let code = Code::of(file, text);
    let named = ["StatusCode"].into_iter().chain(STATUS_CODES);
    let lines = named.flat_map(|word| code.lines_with(word).into_iter().map(move |line| (line, word)));
    let remedy =
        "return a typed error, which src/server/http/error.rs translates; a number of another thing gets a name there";
    let lines = lines.filter(|&(line, _)| !code.is_test(line));
    lines
        .map(|(line, word)| violation(file, line, format!("only src/server names status codes, as {word}"), remedy))
        .collect()
}

#[test]
fn a_module_names_only_those_that_it_may() {
    check("src/", names_only_modules_that_it_may);
}

#[test]
fn the_table_has_no_cycle_and_only_modules() {
    for (index, (module, allowed)) in ARROWS.iter().enumerate() {
        for name in *allowed {
            let above = ARROWS[..index].iter().any(|(above, _)| above == name);
            assert!(above, "{module} may name {name}, which must stand above it in the table");
        }
        let path = super::repository::root().join("src").join(module);
        assert!(path.is_dir() || path.with_extension("rs").is_file(), "no module {module}: remove it from the table");
    }
}

#[test]
fn pure_modules_name_no_clock_thread_environment_or_network() {
    check("src/", is_pure);
}

#[test]
fn one_file_names_tract() {
    check("src/", only_one_file_names_tract);
}

#[test]
fn only_the_server_has_status_codes() {
    check("src/", only_the_server_names_status_codes);
}

#[test]
fn what_breaks_a_rule_of_modules_is_found() {
    let said = |rule: fn(&str, &str) -> Vec<Violation>, file: &str, text: &str| {
        rule(file, text).iter().map(Violation::to_string).collect::<Vec<_>>().join("\n")
    };
    let arrow = said(
        names_only_modules_that_it_may,
        "src/policy/mod.rs",
        "use crate::engine::Width;\nuse crate::{server, policy};\n",
    );
    assert!(arrow.starts_with("src/policy/mod.rs:2: policy may name engine, not server; pass the value "), "{arrow}");
    for (file, text) in [
        ("src/engine/pass.rs", "use anywidth::image::Image;\n"),
        ("src/new/mod.rs", ""),
        ("src/image/mod.rs", "use super::engine;\n"),
    ] {
        assert_ne!(said(names_only_modules_that_it_may, file, text), "", "{text}");
    }
    for text in
        ["let now = Instant::now();\n", "use std::{env, fs};\n", "std::thread::spawn(f);\n", "tracing::info!();\n"]
    {
        assert!(
            said(is_pure, "src/dataset/mod.rs", text).starts_with("src/dataset/mod.rs:1: dataset is pure "),
            "{text}"
        );
        assert_eq!(said(is_pure, "src/dataset/mod.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}}}\n")), "");
        assert_eq!(said(is_pure, "src/scheduler/mod.rs", text), "");
    }
    assert_ne!(said(only_one_file_names_tract, "src/engine/onnx/mod.rs", "use tract_onnx::pb;\n"), "");
    assert_eq!(said(only_one_file_names_tract, "src/engine/onnx/mod.rs", "// tract\nextract();\n"), "");
    for text in ["StatusCode::OK\n", "if status == 503 {}\n"] {
        assert_ne!(said(only_the_server_names_status_codes, "src/scheduler/mod.rs", text), "", "{text}");
        assert_eq!(said(only_the_server_names_status_codes, "src/server/mod.rs", text), "");
    }
}
