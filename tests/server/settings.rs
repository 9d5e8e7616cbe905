//! Settings: what each of the places may say, which of them wins, and what is said about mistakes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

use anywidth::config::{SETTINGS, Setting};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::binary::{anywidth, failed};

/// A folder with a file of settings.
struct Folder(TempDir);

impl Folder {
    fn with(text: impl AsRef<[u8]>) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::write(folder.path(), text).unwrap();
        folder
    }

    fn path(&self) -> String {
        self.0.path().join("a.toml").to_str().unwrap().to_owned()
    }

    /// `anywidth config` with the file, and these arguments.
    fn config(&self, arguments: &[&str]) -> Command {
        anywidth(&[&["config", "--config", &self.path()], arguments].concat())
    }

    /// What is said about the file, which is one line, without its path.
    fn error(&self) -> String {
        let text = failed(&self.config(&[]).output().unwrap(), 2);
        assert_eq!(text.lines().count(), 1, "{text}");
        text.trim_end().strip_prefix("error: ").unwrap().replace(&self.path(), "FILE")
    }
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The line of a setting, without the spaces that align it.
fn line(text: &str, key: &str) -> String {
    let begins = |line: &&str| line.trim_start_matches("# ").split(' ').next() == Some(key);
    let line = text.lines().find(begins).unwrap_or_else(|| panic!("no {key} in\n{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the text sets.
fn values(text: &str) -> toml::Table {
    text.parse().unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

#[test]
fn a_flag_beats_a_variable_and_a_variable_the_file() {
    let folder = Folder::with("# a comment\nport = 1\nqueue_limit = 100\nmax_batch = 3\nhost = \"::1\"\n");
    let mut command = folder.config(&["--port", "3"]);
    command.env("ANYWIDTH_PORT", "2").env("ANYWIDTH_QUEUE_LIMIT", "200");
    let shown = text(command.output().unwrap());
    assert_eq!(line(&shown, "port"), "port = 3 # --port");
    assert_eq!(line(&shown, "queue_limit"), "queue_limit = 200 # ANYWIDTH_QUEUE_LIMIT");
    assert_eq!(
        line(&shown, "max_batch"),
        format!("max_batch = 3 # {}:4", fs::canonicalize(folder.path()).unwrap().display())
    );
    assert_eq!(line(&shown, "max_files"), "max_files = 64 # default");
    assert_eq!(line(&shown, "threads"), "# threads # default: all cores");
    assert_eq!(line(&shown, "model"), "# model # not set");

    // A variable can name the file as well, for every command that takes settings.
    let said = anywidth(&["config"]).env("ANYWIDTH_CONFIG", folder.path()).output().unwrap();
    assert_eq!(values(&text(said))["port"].as_integer(), Some(1));
}

#[test]
fn of_a_folder_and_a_file_the_one_from_the_stronger_place_is_served() {
    let sources = |file: &str, variable: Option<(&str, &str)>, arguments: &[&str]| {
        let folder = Folder::with(file);
        let shown = values(&text(folder.config(arguments).envs(variable).output().unwrap()));
        ["models", "model"].map(|key| shown.get(key).map(|value| value.as_str().unwrap().to_owned()))
    };
    let (folder, file) = ([Some("a".to_owned()), None], [None, Some("b".to_owned())]);
    assert_eq!(sources("models = 'a'", None, &[]), folder);
    assert_eq!(sources("models = 'a'", None, &["--model", "b"]), file);
    assert_eq!(sources("models = 'a'", Some(("ANYWIDTH_MODEL", "b")), &[]), file);
    assert_eq!(sources("", Some(("ANYWIDTH_MODEL", "b")), &["--models", "a"]), folder);
    assert!(Folder::with("models = 'a'\nmodel = 'b'").error().contains("not both"));
}

#[test]
fn a_list_is_a_repeated_flag_a_variable_with_commas_and_a_list_in_the_file() {
    let origins = |file: &str, variable: Option<&str>, arguments: &[&str]| {
        let folder = Folder::with(file);
        let variable = variable.map(|value| ("ANYWIDTH_CORS_ORIGIN", value));
        let shown = text(folder.config(arguments).envs(variable).output().unwrap());
        // What is shown can be used as a file, and says the same then.
        let again = values(&text(Folder::with(&shown).config(&[]).output().unwrap()));
        assert_eq!(values(&shown), again);
        let origins = again.get("cors_origin").map_or(vec![], |list| list.as_array().unwrap().clone());
        origins.iter().map(|origin| origin.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = ("https://a.example", "http://localhost:3000");
    assert_eq!(origins("", None, &["--cors-origin", one, "--cors-origin", two]), [one, two]);
    assert_eq!(origins("", Some(&format!("{one},{two}")), &[]), [one, two]);
    assert_eq!(origins(&format!("cors_origin = ['{one}', '{two}']"), None, &[]), [one, two]);
    assert_eq!(origins("cors_origin = ['*']", None, &[]), ["*"]);
    assert_eq!(origins("cors_origin = ['*']", Some(one), &[]), [one]);
    assert_eq!(origins("cors_origin = ['*']", Some(one), &["--cors-origin", two]), [two]);
    let none: [&str; 0] = [];
    for file in ["", "cors_origin = []"] {
        assert_eq!(origins(file, None, &[]), none);
        assert_eq!(origins(file, Some(""), &[]), none);
    }
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    for (text, error) in [
        ("port = 1\nprot = 2\n", "FILE:2: unknown key \"prot\", did you mean \"port\"?; `anywidth config` shows all"),
        (
            "max-batch = 2",
            "FILE:1: unknown key \"max-batch\", did you mean \"max_batch\"?; `anywidth config` shows all",
        ),
        ("zzz = 1", "FILE:1: unknown key \"zzz\"; `anywidth config` shows all"),
        ("config = 'other.toml'", "FILE:1: unknown key \"config\"; `anywidth config` shows all"),
        ("\n[host]\nname = 'a'", "FILE:2: host is of type table: it must be a string"),
        ("port = '8080'", "FILE:1: port is of type string: it must be a number"),
        ("host = 1", "FILE:1: host is of type integer: it must be a string"),
        ("max_files = [1]", "FILE:1: max_files is of type array: it must be a number"),
        ("log_format = true", "FILE:1: log_format is of type boolean: it must be a string"),
        ("port = 70000", "FILE:1: --port is 70000: it must be a whole number from 0 to 65535"),
        ("port = 8080.5", "FILE:1: --port is 8080.5: it must be a whole number from 0 to 65535"),
        ("max_batch = -1", "FILE:1: --max-batch is -1: it must be a whole number from 1 to 1024"),
        ("narrowest = 2", "FILE:1: --narrowest is 2: it must be a number above 0 and up to 1"),
        ("\n\nmax_batch = 0", "FILE:3: --max-batch is 0: it must be from 1 to 1024"),
        ("default_budget_ms = nan", "FILE:1: --default-budget-ms is nan: it must be above 0 and up to 3600000"),
        ("log = 'a=b=c'", "FILE:1: --log is \"a=b=c\": not a log filter"),
        ("log_format = 'xml'", "FILE:1: --log-format is \"xml\": it must be text or json"),
        ("cors_origin = 'https://a.example'", "FILE:1: cors_origin is of type string: it must be a list of strings"),
        ("cors_origin = [1]", "FILE:1: cors_origin is of type array: it must be a list of strings"),
        (
            "cors_origin = ['https://a.example', 'https://b.example/']",
            "FILE:1: --cors-origin is \"https://a.example,https://b.example/\": not an origin: it must be *",
        ),
        ("port = 1\nport = 2", "FILE:2: not TOML: duplicate key"),
        ("port 1", "FILE:1: not TOML: "),
    ] {
        let said = Folder::with(text).error();
        assert!(said.starts_with(error), "{said}\nnot {error}");
    }
    assert_eq!(Folder::with(b"port = 1\nhost = '\xff'").error(), "FILE:2: not UTF-8");
    let large = Folder::with("# much\n".repeat(10_000)).error();
    assert!(large.ends_with("it exceeds the limit of 65536 bytes"), "{large}");
    let numbers =
        text(Folder::with("port = 0x1F\nmax_pixels = 1_000_000\nnarrowest = 1").config(&[]).output().unwrap());
    assert_eq!((line(&numbers, "port").split_once(" #")).unwrap().0, "port = 31");
    assert_eq!(values(&numbers)["max_pixels"].as_integer(), Some(1_000_000));
}

#[test]
fn a_file_that_cannot_be_read_is_one_line_before_anything_starts() {
    for path in ["/nowhere/a.toml", "/"] {
        for command in ["serve", "config", "healthcheck"] {
            let said = failed(&anywidth(&[command, "--config", path]).output().unwrap(), 2);
            assert!(said.starts_with(&format!("error: cannot read the settings in {path:?}: ")), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    // The commands without a server know no such file.
    let inspect = anywidth(&["inspect", "mnist"]).env("ANYWIDTH_CONFIG", "/nowhere/a.toml").output().unwrap();
    assert!(inspect.status.success());
}

#[test]
fn a_variable_that_does_not_hold_is_named() {
    let output = anywidth(&["serve"]).env("ANYWIDTH_MAX_BATCH", "0").output().unwrap();
    assert_eq!(failed(&output, 2), "error: ANYWIDTH_MAX_BATCH: --max-batch is 0: it must be from 1 to 1024\n");
}

#[test]
fn a_variable_that_cannot_be_read_is_named_in_one_line_with_what_is_allowed() {
    for (variable, value, says) in [
        ("PORT", "99999", "--port is 99999: it must be a whole number from 0 to 65535"),
        ("PORT", "tcp://10.0.0.1:80", "--port is \"tcp://10.0.0.1:80\": it must be a whole number from 0 to 65535"),
        ("MAX_BATCH", "many", "--max-batch is \"many\": it must be a whole number from 1 to 1024"),
        ("MAX_BATCH", "-1", "--max-batch is -1: it must be a whole number from 1 to 1024"),
        ("NARROWEST", "2", "--narrowest is 2: it must be a number above 0 and up to 1"),
        ("NARROWEST", "wide", "--narrowest is \"wide\": it must be a number above 0 and up to 1"),
        ("DEFAULT_BUDGET_MS", "soon", "--default-budget-ms is \"soon\": it must be a number above 0 and up to 3600000"),
        ("LOG_FORMAT", "xml", "--log-format is \"xml\": it must be text or json"),
    ] {
        let variable = format!("ANYWIDTH_{variable}");
        for typed in [&[][..], &["serve"], &["config"]] {
            let output = anywidth(typed).env(&variable, value).output().unwrap();
            assert_eq!(failed(&output, 2), format!("error: {variable}: {says}\n"));
        }
    }
    let output = anywidth(&["healthcheck"]).env("ANYWIDTH_PORT", "99999").output().unwrap();
    assert!(failed(&output, 2).starts_with("error: ANYWIDTH_PORT: --port is 99999: "));
    let bytes = std::ffi::OsStr::from_bytes(b"info\xff");
    let output = anywidth(&["config"]).env("ANYWIDTH_LOG", bytes).output().unwrap();
    assert_eq!(failed(&output, 2), "error: ANYWIDTH_LOG: --log is \"info\u{fffd}\": it must be valid UTF-8\n");
    // What was typed beats the variable, whatever that holds; what was typed wrongly is no matter of the variable.
    let output = anywidth(&["config", "--port", "9"]).env("ANYWIDTH_PORT", "99999").output().unwrap();
    assert_eq!(line(&text(output), "port"), "port = 9 # --port");
    let output = anywidth(&["config", "--port=99999"]).env("ANYWIDTH_PORT", "1").output().unwrap();
    assert!(failed(&output, 2).starts_with("error: --port is 99999: "));
}

#[test]
fn every_setting_that_is_no_text_says_what_its_value_must_be() {
    let mut told = 0;
    for setting in SETTINGS {
        let output = anywidth(&["config"]).env(setting.variable(), "no such value").output().unwrap();
        if output.status.success() {
            continue;
        }
        let said = failed(&output, 2);
        assert!(said.starts_with(&format!("error: {}: {}", setting.variable(), setting.flag())), "{said}");
        assert!(said.lines().count() == 1, "{said}");
        told += 1;
    }
    assert!(told >= 15, "{told}");
}

#[test]
fn what_was_mistyped_is_told_with_the_nearest() {
    for (typed, nearest) in [
        (&["--prot", "1"][..], "--port"),
        (&["serve", "--max-bach", "1"], "--max-batch"),
        (&["serve", "--queue-limits", "1"], "--queue-limit"),
        (&["classify", "a.png", "--topk", "1"], "--top-k"),
        (&["srve"], "serve"),
        (&["clasify", "a.png"], "classify"),
        (&["inspct"], "inspect"),
    ] {
        let said = failed(&anywidth(typed).output().unwrap(), 2);
        assert!(said.contains("similar") && said.contains(nearest), "{typed:?}: {said}");
    }
    let output = anywidth(&["config"]).env("ANYWIDTH_PROT", "1").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    assert_eq!(said, "warning: unknown variable ANYWIDTH_PROT, did you mean \"ANYWIDTH_PORT\"?\n");
}

#[test]
fn the_origin_is_the_whole_path_of_the_file() {
    let folder = Folder::with("port = 1");
    let (path, parent) = (folder.path(), folder.0.path());
    let output = anywidth(&["config", "--config", "./a.toml"]).current_dir(parent).output().unwrap();
    let whole = fs::canonicalize(path).unwrap();
    assert_eq!(line(&text(output), "port"), format!("port = 1 # {}:1", whole.display()));
}

#[test]
fn an_empty_variable_is_none() {
    let variables = ["CONFIG", "PORT", "HOST", "MODELS", "LOG"].map(|name| (format!("ANYWIDTH_{name}"), ""));
    for typed in [&["config"][..], &["config", "--port", "9"], &["inspect", "mnist"]] {
        let shown = text(anywidth(typed).envs(variables.clone()).output().unwrap());
        let plain = text(anywidth(typed).output().unwrap());
        assert_eq!(shown, plain);
    }
    // Without a subcommand: the port is that of the flag, and it is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = failed(&anywidth(&["--port", &port]).envs(variables).output().unwrap(), 1);
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_healthcheck_asks_where_the_file_says() {
    let folder = Folder::with("port = 0");
    let output = anywidth(&["healthcheck", "--config", &folder.path()]).output().unwrap();
    assert!(failed(&output, 2).contains("--port is 0"));
}

/// A value that the setting can have, as it would be typed.
fn value(setting: &Setting) -> BoxedStrategy<String> {
    let number = |range: std::ops::Range<u32>| range.prop_map(|number| number.to_string()).boxed();
    match setting.key {
        "host" => "[a-z]{1,8}".boxed(),
        "models" | "model" | "default_model" => "[a-z ä\"'#\\\\]{0,8}[a-z]".boxed(),
        "port" => number(0..65536),
        "narrowest" | "audit_share" => (1u32..1_000_000).prop_map(|width| format!("0.{width:06}")).boxed(),
        "default_budget_ms" => (1u32..1_000_000).prop_map(|ms| (f64::from(ms) / 128.0).to_string()).boxed(),
        "policy" => prop_oneof!["widest-fit", "fixed:0[.]5", "rate-table"].prop_map(|policy: String| policy).boxed(),
        "precision" => prop_oneof!["f32", "auto,mnist=bf16"].prop_map(|precision: String| precision).boxed(),
        // More than that needs a folder of models.
        "watch_models_ms" => number(0..1),
        "model_control" => prop_oneof!["none", "explicit"].prop_map(|mode: String| mode).boxed(),
        "log_format" => prop_oneof!["text", "json"].prop_map(|format: String| format).boxed(),
        "log" => prop_oneof!["warn", "info,anywidth=debug"].prop_map(|filter: String| filter).boxed(),
        "decoders" => number(1..2),
        "cors_origin" => "https://[a-z]{1,8}".boxed(),
        "max_bytes_in_flight" => number(1 << 31..u32::MAX),
        "queue_limit" => number(100..1000),
        "max_files" => number(1..100),
        "max_body_bytes" | "max_pixels" => number(1..1 << 30),
        _ => number(1..1000),
    }
}

/// For some settings, a value in each of some places: flag, variable, file.
type Said = Vec<(&'static str, [Option<String>; 3])>;

fn said() -> impl Strategy<Value = Said> {
    let settings = SETTINGS.iter().filter(|setting| setting.key != "model");
    let said = settings.map(|setting| {
        let place = || proptest::option::weighted(0.4, value(setting));
        [place(), place(), place()].prop_map(move |places| (setting.key, places))
    });
    said.collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_where_the_strongest_place_wins_and_the_output_says_the_same(said in said()) {
        let named = |key: &str| SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        let (mut typed, mut variables, mut file) = (Vec::new(), Vec::new(), String::new());
        for (key, [flag, variable, line]) in &said {
            typed.extend(flag.iter().map(|value| format!("{}={value}", named(key).flag())));
            variables.extend(variable.iter().map(|value| (named(key).variable(), value)));
            let is_text = ["host", "models", "model_control", "default_model", "precision", "policy", "log_format", "log"].contains(key);
            let line = line.iter().map(|value| match is_text {
                _ if *key == "cors_origin" => format!("{key} = ['{value}']\n"),
                true => format!("{key} = {}\n", toml::Value::from(value.as_str())),
                false => format!("{key} = {value}\n"),
            });
            file.extend(line);
        }
        let folder = Folder::with(&file);
        let typed: Vec<_> = typed.iter().map(String::as_str).collect();
        let shown = text(folder.config(&typed).envs(variables).output().unwrap());

        let effective = values(&shown);
        for (key, places) in &said {
            let expected = places.iter().flatten().next().map(String::as_str).or(named(key).default.fixed());
            match effective.get(*key) {
                Some(toml::Value::String(value)) => prop_assert_eq!(Some(value.as_str()), expected),
                Some(toml::Value::Array(values)) => prop_assert_eq!(values[0].as_str(), expected),
                Some(value) => prop_assert_eq!(value.to_string().parse(), expected.unwrap().parse::<f64>()),
                None => prop_assert!(places.iter().all(Option::is_none), "{} is not in\n{}", key, shown),
            }
        }
        let again = text(Folder::with(&shown).config(&[]).output().unwrap());
        prop_assert_eq!(values(&again), effective);
    }
}
