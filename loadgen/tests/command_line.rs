//! The binary: its output, files and exit codes.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{PROFILE, Reply, Server};
use tempfile::TempDir;

/// Runs the binary in a folder with `image.png` and `times.txt`.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    fs::write(folder.join("image.png"), "an image").unwrap();
    fs::write(folder.join("times.txt"), "0\n0.001\n0.001\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_anywidth-load"));
    command.args(arguments).current_dir(folder).env_clear().output().unwrap()
}

/// Checks the exit code and returns standard error.
fn fails(arguments: &[&str], code: i32) -> String {
    let output = run(tempfile::tempdir().unwrap().path(), arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

fn succeeds(folder: &TempDir, arguments: &[&str]) -> String {
    let output = run(folder.path(), arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_is_printed_and_written_and_compared() {
    let (server, folder) = (Server::always(Reply::answer("0.5")), tempfile::tempdir().unwrap());
    let url = server.url();
    let text = succeeds(
        &folder,
        &[
            "run",
            &url,
            "--image",
            "image.png",
            "--arrivals",
            "constant",
            "--rate",
            "1000",
            "--duration",
            "50ms",
            "--deadline-ms",
            "3600000",
            "--json",
            "a.json",
            "--report",
            "a.html",
            "--svg",
            "a.svg",
        ],
    );
    assert!(text.lines().any(|line| line.contains("SLO attainment") && line.ends_with("100.00 %")), "{text}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("a.json")).unwrap();
    // One per millisecond, none at the end of the plan.
    assert_eq!((&json["totals"]["offered"], &json["totals"]["on_time"]), (&Value::from(49), &Value::from(49)));
    assert_eq!(
        (&json["totals"]["effective_accuracy"], &json["setup"]["model"]),
        (&Value::from(0.6), &Value::from("tiny"))
    );
    assert!(read("a.html").starts_with("<!DOCTYPE html>") && read("a.svg").starts_with("<svg"));

    succeeds(
        &folder,
        &["run", &url, "--image", "image.png", "--replay", "times.txt", "--width", "1", "--json", "b.json"],
    );
    let text = succeeds(&folder, &["compare", "a.json", "b.json", "--report", "c.html"]);
    let offered = text.lines().find(|line| line.trim_start().starts_with("offered")).unwrap();
    assert_eq!(offered.split_whitespace().take(3).collect::<Vec<_>>(), ["offered", "49", "3"]);
    assert!(text.contains("Warning: The runs had different arrivals") && read("c.html").contains("<h2>b</h2>"));
}

/// Answers the next request and returns its path.
fn answered(server: &mut Server) -> String {
    let asked = server.asked.blocking_recv().unwrap();
    let path = asked.path.clone();
    asked.reply(Reply::answer("1"));
    path
}

#[test]
fn load_in_units_of_the_server_is_sent_and_told_in_numbers() {
    let (mut server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let url = server.url();
    let answering = std::thread::spawn(move || {
        // 10 of the first step, 50 of the second, none at the end of the plan.
        let paths: Vec<String> = (0..59).map(|_| answered(&mut server)).collect();
        // The server must live until the end of the run.
        (paths, server)
    });
    let plan = ["--of-capacity", "--steps", "0.1:100ms,1:50ms", "--arrivals", "constant"];
    let files = ["--json", "a.json", "--report", "a.html", "--chart", "a.svg"];
    let flags = ["run", &url, "--image", "image.png", "--budget-ms", "20x:1,0.1x:1,7:1"];
    succeeds(&folder, &[&flags[..], &plan, &files].concat());

    let budgets = ["/classify?budget_ms=40", "/classify?budget_ms=0.2", "/classify?budget_ms=7"];
    let (paths, _) = answering.join().unwrap();
    assert!(paths.iter().all(|path| budgets.contains(&path.as_str())), "{paths:?}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("a.json")).unwrap();
    assert_eq!(json["totals"]["offered"], 59);
    let setup = &json["setup"];
    assert_eq!(setup["deadlines_ms"], serde_json::json!([0.2, 7.0, 40.0]));
    assert_eq!(setup["units"], serde_json::json!({"capacity_per_s": 1000.0, "image_ms": 2.0}));
    let arrivals =
        "constant, 100:100ms,1000:50ms (requests per second:time; 0.1:100ms,1:50ms of the capacity at full width)";
    assert_eq!(setup["arrivals"], arrivals);
    assert!(read("a.html").contains(arrivals) && read("a.html").contains("one image takes 2 ms"));
    assert!(read("a.svg").starts_with("<svg") && !read("a.svg").contains("Waiting"));
}

#[test]
fn a_server_with_another_api_is_asked_as_its_flags_say() {
    let (mut server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let url = server.url();
    let answering = std::thread::spawn(move || {
        let asked = server.asked.blocking_recv().unwrap();
        let (path, headers) = (asked.path.clone(), asked.headers.clone());
        asked.reply(Reply::error(200, "[0.5]"));
        (path, headers, server)
    });
    let flags =
        ["--path", "/v2/models/tiny/infer", "--header", "Inference-Header-Content-Length: 0", "--header", "A:b:c"];
    let plan = [
        "--image",
        "image.png",
        "--rate",
        "10",
        "--duration",
        "150ms",
        "--arrivals",
        "constant",
        "--deadline-ms",
        "9000",
    ];
    succeeds(&folder, &[&["run", &url], &flags[..], &plan].concat());
    let (path, headers, _) = answering.join().unwrap();
    assert_eq!(path, "/v2/models/tiny/infer");
    assert_eq!([&headers["inference-header-content-length"], &headers["a"]], ["0", "b:c"]);
}

#[test]
fn all_of_the_capacity_is_sent_unless_told_otherwise() {
    let (server, folder) = (Server::always(Reply::answer("1")), tempfile::tempdir().unwrap());
    let flags = ["--image", "image.png", "--of-capacity", "--duration", "20ms", "--json", "a.json"];
    succeeds(&folder, &[&["run", &server.url()], &flags[..]].concat());
    let json: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("a.json")).unwrap()).unwrap();
    let arrivals = "Poisson, 1000:20ms (requests per second:time; 1:20ms of the capacity at full width)";
    assert_eq!(json["setup"]["arrivals"], arrivals);
}

#[test]
fn a_server_that_does_not_say_how_fast_it_is_gets_no_load_in_its_units() {
    let server = Server::always(Reply::answer("1")).unmeasured();
    let error = |more: &[&str]| fails(&[&["run", &server.url(), "--image", "image.png"], more].concat(), 1);
    let message = "has no /profile (status 404): give rates per second and budgets in milliseconds\n";
    assert!(error(&["--of-capacity", "--rate", "1"]).ends_with(message));
    assert!(error(&["--budget-ms", "none:1,20x:1"]).ends_with(message));
    assert!(error(&["--deadline-ms", "20x"]).ends_with(message));
}

#[test]
fn a_measured_server_is_played_on_virtual_time() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.json"), PROFILE).unwrap();
    let text = succeeds(&folder, &["simulate", "--profile", "p.json", "--model", "tiny", "--seeds", "1"]);
    assert!(text.starts_with("tiny, version 3, as a server measured it\n\n### "), "{text}");
    assert!(text.contains("| widest fit |"), "{text}");
    let recording = r#"{"model":"tiny","widths":[0.5,1],"images":[[[0.5,0],[0.9,1]]]}"#;
    fs::write(folder.path().join("r.json"), recording).unwrap();
    let played = ["simulate", "--profile", "p.json", "--model", "tiny", "--seeds", "1", "--recording", "r.json"];
    assert_ne!(succeeds(&folder, &played), text, "the only image is right at full width alone");
    let unknown = fails(&["simulate", "--profile", "times.txt", "--model", "tiny"], 1);
    assert!(unknown.starts_with("error: times.txt: not a measured profile"), "{unknown}");
    assert!(fails(&["simulate", "--model", "tiny"], 2).contains("--profile"));
    assert!(fails(&["simulate", "--recording", "r.json"], 2).contains("--profile"));
}

#[test]
fn the_same_seed_sends_the_same() {
    let (server, folder) = (Server::always(Reply::answer("1")), tempfile::tempdir().unwrap());
    let offered = |seed: &str| {
        succeeds(
            &folder,
            &[
                "run",
                &server.url(),
                "--image",
                "image.png",
                "--arrivals",
                "gamma",
                "--steps",
                "100:20ms,100..3000:50ms",
                "--budget-ms",
                "10:0.5,none:0.5",
                "--width",
                "auto:0.5,0.25:0.5",
                "--seed",
                seed,
                "--json",
                "a.json",
            ],
        );
        let text = fs::read_to_string(folder.path().join("a.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        json["intervals"].as_array().unwrap().iter().map(|interval| interval["offered"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(offered("5"), offered("5"));
    assert_ne!(offered("5"), offered("6"));
}

#[test]
fn without_an_image_samples_are_sent_and_the_result_is_told_first() {
    let (server, folder) = (Server::always(Reply::answer("0.5")), tempfile::tempdir().unwrap());
    let text = succeeds(&folder, &["run", &server.url(), "--replay", "times.txt", "--report", "a.html"]);
    let verdict = "All 3 requests were answered on time; all answers had width 0.5.";
    assert!(text.starts_with(verdict) && text.contains("Accuracies are the model's own"), "{text}");
    let page = fs::read_to_string(folder.path().join("a.html")).unwrap();
    // The repeated run may use another server.
    assert!(page.contains(verdict) && page.contains("<pre>anywidth-load run URL --replay"), "{page}");
}

#[test]
fn a_server_that_answers_nothing_ends_the_command_with_an_error() {
    let (server, folder) = (Server::always(Reply::Hang), tempfile::tempdir().unwrap());
    let output = run(
        folder.path(),
        &["run", &server.url(), "--image", "image.png", "--replay", "times.txt", "--json", "a.json"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "error: not one of 3 requests was answered\n");
    // The results are written nevertheless.
    assert!(folder.path().join("a.json").exists());
    assert!(
        String::from_utf8(output.stdout).unwrap().contains("3 requests failed, most often: the connection ended early")
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let here = "http://127.0.0.1:9";
    let with = |more: &[&str]| fails(&[&["run", here, "--image", "image.png"], more].concat(), 2);
    for (flags, message) in [
        (&["--rate", "0"][..], "the plan has no request"),
        (&["--rate", "fast"], "\"fast:10s\" is not a piece of a rate plan"),
        (&["--duration", "10"], "\"100:10\" is not a piece of a rate plan"),
        (&["--steps", "100:10s,x"], "\"x\" is not a piece of a rate plan"),
        (&["--arrivals", "gamma", "--cv2", "0"], "a squared coefficient of variation of 0"),
        (&["--arrivals", "sometimes"], "[possible values: constant, poisson, gamma]"),
        (&["--rate", "1000000", "--duration", "3s"], "more than 1000000 requests: raise --max-requests to allow them"),
        (&["--rate", "5", "--steps", "5:1s"], "cannot be used with"),
        (&["--of-capacity", "--replay", "times.txt"], "cannot be used with"),
        (&["--budget-ms", "x"], "bad value \"x\": milliseconds are a number above 0"),
        (&["--replay", "absent"], "cannot read absent"),
        (&["--replay", "image.png"], "image.png: line 1 of the trace: \"an image\" is not a time"),
        (&["--budget-ms", "0"], "bad value \"0\": milliseconds are a number above 0 and up to 3600000"),
        (&["--budget-ms", "10:0.5,NaN:0.5"], "bad value \"NaN\""),
        (&["--budget-ms", "10:0.5,20"], "\"20\" has no share"),
        (&["--width", "1.5"], "bad value \"1.5\": out of range: a width is a decimal above 0 and up to 1, or auto"),
        (&["--width", "1e-1"], "bad value \"1e-1\": not a decimal number: a width is"),
        (&["--deadline-ms", "-1"], "--deadline-ms"),
        (&["--deadline-ms", "1e18"], "milliseconds are a number"),
        (&["--max-outstanding", "0"], "1..=100000"),
        (&["--timeout-ms", "0"], "1..=600000"),
        (&["--interval-ms", "1", "--duration", "60s"], "cuts the run into 60000 intervals: at most 2000 are allowed"),
        (&["--image", "absent.png"], "cannot read absent.png"),
        (&["--path", "classify"], "not the path of a URL, such as /classify"),
        (&["--path", "/classify?width=1"], "parameters go into --query"),
        (&["--header", "X-Priority"], "a header is NAME:VALUE"),
        (&["--header", "X Priority: high"], "\"X Priority\" is not the name of a header"),
        (&["--header", "X-Priority: \u{7f}"], "is not the value of a header"),
        (&["--query", &"x".repeat(2001)], "--query and --model have 2001 bytes together: at most 2000 are allowed"),
        (&["--speed", "9"], "unexpected argument '--speed'"),
    ] {
        let text = with(flags);
        assert!(text.contains(message), "{flags:?}: {message:?} is not in {text:?}");
    }
    assert!(fails(&[], 2).contains("Usage: anywidth-load <COMMAND>"));
}

#[test]
fn what_cannot_be_reached_or_must_not_be_is_named() {
    let image = ["--image", "image.png"];
    let with = |url: &str| fails(&[&["run", url], &image[..]].concat(), 1);
    assert!(with("http://192.0.2.1:80").contains("192.0.2.1:80 is not this machine"));
    assert!(with("http://127.0.0.1:9/classify").contains("is not a server's URL"));
    // Port 9 (discard) has no listener.
    assert!(with("http://127.0.0.1:9").starts_with("error: cannot reach 127.0.0.1:9: "));

    let server = Server::always(Reply::answer("1"));
    let url = server.url();
    let unknown = fails(&[&["run", &url, "--model", "huge"], &image[..]].concat(), 1);
    assert_eq!(unknown, "error: there is no model \"huge\"; there are: tiny\n");
    let nowhere = fails(&[&["run", &url, "--json", "absent/a.json"], &image[..]].concat(), 1);
    assert!(nowhere.starts_with("error: cannot write absent/a.json: "), "{nowhere}");
    assert!(fails(&["compare", "image.png", "absent"], 1).contains("image.png is not a run written by --json"));
}

#[test]
fn help_says_when_to_use_what() {
    let folder = tempfile::tempdir().unwrap();
    let help = succeeds(&folder, &["run", "--help"]);
    // Lines end wherever the terminal does.
    let text = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["poisson for many independent callers", "Schedule", "Requests", "--allow-remote"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn an_interrupted_run_is_reported_all_the_same() {
    let (mut server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    // The second request is due in an hour.
    fs::write(folder.path().join("times.txt"), "0\n3600\n").unwrap();
    fs::write(folder.path().join("image.png"), "an image").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_anywidth-load"));
    let flags = ["--image", "image.png", "--replay", "times.txt", "--json", "a.json"];
    command.args(["run", &server.url()]).args(flags).current_dir(folder.path());
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = run.id().to_string();
    let ended = std::thread::spawn(move || run.wait_with_output().unwrap());
    let first = loop {
        if let Ok(asked) = server.asked.try_recv() {
            break asked;
        }
        assert!(!ended.is_finished(), "{:?}", ended.join());
        std::thread::yield_now();
    };
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    first.reply(Reply::answer("1"));

    let output = ended.join().unwrap();
    assert!(
        output.status.success()
            && String::from_utf8(output.stdout).unwrap().contains("stopped before the end of its plan")
    );
    let json: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("a.json")).unwrap()).unwrap();
    assert_eq!((&json["interrupted"], &json["totals"]["on_time"]), (&Value::from(true), &Value::from(1)));
}
