//! `make demo` with stand-ins for cargo and the server: the files it writes, and the processes it stops.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::{Reply, Server};
use tempfile::TempDir;

/// A server that exits when it is terminated, and then writes a file.
fn stand_in(folder: &TempDir, url: &str) -> String {
    let stopped = folder.path().join("stopped");
    format!(
        "echo 'anywidth 0 listens on {url}'\ntrap 'touch {}; exit 0' TERM\nwhile :; do sleep 0.05; done",
        stopped.display()
    )
}

/// Starts the demo without a build, with this script as the server.
fn start(folder: &TempDir, cargo: &str, server: &str, plan: &str) -> Child {
    let release = folder.path().join("release");
    fs::create_dir(&release).unwrap();
    fs::write(release.join("anywidth"), format!("#!/bin/sh\n{server}\n")).unwrap();
    fs::set_permissions(release.join("anywidth"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink(env!("CARGO_BIN_EXE_anywidth-load"), release.join("anywidth-load")).unwrap();
    let mut demo = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo.sh"));
    demo.arg(plan).env("CARGO", cargo).env("CARGO_TARGET_DIR", folder.path()).env("CI", "true");
    demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_demo_leaves_a_report_and_no_server() {
    let (server, folder) = (Server::always(Reply::answer("0.5")), tempfile::tempdir().unwrap());
    let output =
        start(&folder, "true", &stand_in(&folder, &server.url()), "0.2:50ms,0.5:50ms").wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let demo = folder.path().join("demo");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with(&format!("The report: {}/report.html\n", demo.display())), "{text}");
    for file in ["report.html", "chart.svg", "run.json"] {
        assert!(fs::metadata(demo.join(file)).unwrap().len() > 0, "{file}");
    }
    assert!(folder.path().join("stopped").exists());
}

#[test]
fn an_interrupted_demo_leaves_no_server() {
    let (mut server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let demo = start(&folder, "true", &stand_in(&folder, &server.url()), "0.2:3600s");
    // Once the load has begun.
    server.asked.blocking_recv().unwrap().reply(Reply::answer("1"));
    assert!(Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().unwrap().success());
    let output = demo.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", errors(&output));
    assert!(folder.path().join("stopped").exists());
}

#[test]
fn what_goes_wrong_is_named() {
    let error = |cargo: &str, server: &str| {
        let output = start(&tempfile::tempdir().unwrap(), cargo, server, "1:1s").wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        errors(&output)
    };
    assert_eq!(error("false", "exit 0"), "demo: the build failed: see above\n");
    let not_ready = "the model is broken\ndemo: the server did not become ready: its log is above\n";
    assert_eq!(error("true", "echo the model is broken"), not_ready);
    let deaf = Server::always(Reply::answer("1")).unmeasured();
    let text = error("true", &format!("echo 'anywidth 0 listens on {}'\nexec sleep 600", deaf.url()));
    assert!(
        text.contains("has no /profile") && text.ends_with("demo: the load generator ended with an error\n"),
        "{text}"
    );
}
