//! Command output as a page that looks like a terminal.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;

const STYLE: &str = "body { margin: 0; background: #16181d; color: #d6dae2; }
    pre { margin: 0; padding: 14px 18px; font: 14px/1.35 'DejaVu Sans Mono', 'Liberation Mono', monospace; }
    b { color: #7fd18b; font-weight: normal; }";

/// Runs `program` in `folder` with each of these command lines, and returns the URL of a page that shows them with
/// their output. Arguments must not contain spaces.
///
/// # Errors
/// If a command fails.
pub fn page(program: &Path, folder: &Path, command_lines: &[&str]) -> Result<String> {
    let name = program.file_name().context("a program has a name")?.to_string_lossy();
    let mut text = String::new();
    for line in command_lines {
        let ran = Command::new(program).args(line.split_whitespace()).current_dir(folder).output();
        let ran = ran.with_context(|| format!("cannot run {}", program.display()))?;
        ensure!(ran.status.success(), "{name} {line}: {}", String::from_utf8_lossy(&ran.stderr));
        let printed = String::from_utf8(ran.stdout)?;
        writeln!(text, "<b>$</b> {}\n{}", escape(&format!("{name} {line}")), escape(&printed))?;
    }
    let html = format!("<!doctype html><meta charset=utf-8><style>{STYLE}</style><pre>{}</pre>", text.trim_end());
    Ok(format!("data:text/html;base64,{}", base64::engine::general_purpose::STANDARD.encode(html)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
