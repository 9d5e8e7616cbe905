//! libjpeg-turbo's `djpeg`, the reference for the pixels of JPEG files; the fuzz target `jpeg` uses it too.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The size of the image that `djpeg` decodes, and its channels one after another.
///
/// # Errors
/// What `djpeg` writes to its standard error where it gives no image.
///
/// # Panics
/// If the program cannot be started.
pub fn djpeg(program: &str, arguments: &[&str], bytes: &[u8]) -> Result<((u32, u32), Vec<u8>), String> {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut input = child.stdin.take().unwrap();
    // If it stops early, its status says so.
    let _ = input.write_all(bytes);
    drop(input);
    let output = child.wait_with_output().unwrap();
    // 2 says that there were warnings.
    if !matches!(output.status.code(), Some(0 | 2)) {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut rest = &output.stdout[..];
    let mut words = Vec::new();
    while words.len() < 4 {
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap();
        words.push(std::str::from_utf8(&rest[..end]).unwrap());
        rest = &rest[end + 1..];
    }
    let channels = if words[0] == "P5" { 1 } else { 3 };
    let planes = (0..channels).flat_map(|channel| rest.iter().skip(channel).step_by(channels).copied()).collect();
    Ok(((words[1].parse().unwrap(), words[2].parse().unwrap()), planes))
}
