//! `exporter table` on generated images: it trains missing runs, keeps existing ones, and the page shows both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::shapes;

const CONFIG: &str = r#"
title = "LeNet on shapes"
data = "shapes"
narrowest = 0.25
paper-epochs = 7
train = { network = "lenet-3c1l", channels = 4, size = 28, epochs = 2, batch = 20, precision = "float32" }

[[row]]
name = "one-pass"
title = "one-pass (ours)"
seeds = [1, 2]

[[row]]
name = "us-net"
title = "US-Net"
statistics = [2, 3]
paper = [61.5, 62.25]
train = { method = "us-net" }

[[row]]
name = "fast"
title = "too fast"
train = { method = "awn", rate = 1e30 }

[[row]]
name = "dense"
title = "ordinary networks"
widths = [0.5, 1.0]
train = { method = "dense", rate = 0.02 }
"#;

/// A folder with generated images and a table file.
fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    shapes::draw(&place.path().join("shapes"), 20, 3);
    write(&place, CONFIG);
    place
}

fn write(place: &TempDir, config: &str) {
    fs::write(place.path().join("shapes.toml"), config).expect("written");
}

fn table(place: &TempDir, flags: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exporter"));
    command.current_dir(place.path()).arg("table").args(flags.split_whitespace());
    command.output().expect("the exporter starts")
}

fn succeeds(place: &TempDir, flags: &str) -> String {
    let output = table(place, flags);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{flags}: {said}");
    said
}

fn refusal(place: &TempDir, flags: &str) -> String {
    let output = table(place, flags);
    assert!(!output.status.success(), "{flags} succeeds");
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().last().and_then(|line| line.strip_prefix("error: ")).expect("an error").to_owned()
}

/// The contents of every file of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let named = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read(&path).expect("a file"))
    };
    entries.filter(|path| path.is_file()).map(named).collect()
}

#[test]
fn a_table_trains_what_is_missing_and_shows_what_is_there_beside_the_papers_values() {
    let place = place();
    let page = || fs::read_to_string(place.path().join("docs/paper.md")).expect("a page");
    succeeds(&place, "shapes.toml --no-training");
    assert!(page().contains("exporter table configs/*.toml --only shapes/us-net\n") && !page().contains("| US-Net"));

    // One row first; its result is kept.
    succeeds(&place, "shapes.toml --only shapes/us-net");
    let results = place.path().join("docs/paper/shapes");
    let before = files(&results);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["us-net-1.json"]);
    let said = succeeds(&place, "shapes.toml");
    assert!(!said.contains("shapes/us-net") && said.contains("shapes/one-pass-2"), "{said}");
    let after = files(&results);
    let names: Vec<&String> = after.keys().collect();
    assert_eq!(
        names,
        ["dense-0.5-1.json", "dense-1-1.json", "fast-1.json", "one-pass-1.json", "one-pass-2.json", "us-net-1.json"]
    );
    assert_eq!(after["us-net-1.json"], before["us-net-1.json"]);

    let page = page();
    for (start, cells) in [
        ("| one-pass (ours) |", ["±", " 2 (7) "]),
        ("| US-Net, statistics for 2 widths |", [" 61.50 ", " 2 (7) "]),
        ("| US-Net, statistics for 3 widths |", [" 62.25 ", " 2 (7) "]),
        ("| ordinary networks | ", [" 2 (7) ", " to "]),
    ] {
        let line = page.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}\n{page}"));
        assert!(cells.iter().all(|cell| line.contains(cell)), "{line}");
    }
    assert!(page.contains("- fast-1 diverged: "), "{page}");
    assert!(!page.contains("--only") && page.contains("The paper trains for 7 epochs"), "{page}");
    let figure = fs::read_to_string(place.path().join("docs/paper/shapes.svg")).expect("a figure");
    assert!(figure.contains("US-Net, statistics for 3 widths"), "{figure}");

    // The page is a function of the existing results.
    succeeds(&place, "shapes.toml --no-training");
    assert_eq!(fs::read_to_string(place.path().join("docs/paper.md")).expect("a page"), page);

    // A result of another recipe than the row's is an error.
    write(&place, &CONFIG.replace("epochs = 2", "epochs = 3"));
    let message = refusal(&place, "shapes.toml --no-training");
    assert!(
        message
            .contains("epochs: started with 2, the flags now say 3; to train it anew, remove the file and the folder"),
        "{message}"
    );
}

#[test]
fn an_interrupted_run_goes_on_and_one_of_another_method_is_named() {
    let place = place();
    let train = "train --network lenet-3c1l --channels 4 --size 28 --epochs 2 --batch 20 --precision float32 --data shapes \
                 --run runs/table/shapes/";
    let begin = |flags: &str| {
        let words = format!("{train}{flags}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_exporter"));
        command.current_dir(place.path()).args(words.split_whitespace());
        let output = command.output().expect("the exporter starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    begin("one-pass-1");
    begin("us-net-1");
    // Its steps are done; it is only measured.
    let said = succeeds(&place, "shapes.toml --only shapes/one-pass-1");
    assert!(!said.contains("epoch 1/2"), "{said}");
    assert!(place.path().join("docs/paper/shapes/one-pass-1.json").exists());
    let message = refusal(&place, "shapes.toml --only shapes/us-net");
    assert!(message.contains("method.name: started with \"one-pass\", the flags now say \"us-net\""), "{message}");
}

#[test]
fn what_is_wrong_with_a_table_is_said_before_anything_is_trained() {
    let place = place();
    for (from, to, flags, reason) in [
        ("epochs = 2", "epoks = 2", "", "\"epoks\" is not a flag of exporter train; the nearest one is \"epochs\""),
        ("rate = 1e30", "widths = [0.5]", "", "shapes/fast-1: widths: two or more are required"),
        (
            "rate = 1e30",
            "samples = 4",
            "",
            "shapes/fast-1: --samples is a setting of --method awn-rs and us-net and mutualnet",
        ),
        ("rate = 1e30", "rate = \"quick\"", "", "shapes/fast-1: invalid value 'quick' for '--rate"),
        ("rate = 1e30", "start = \"model.onnx\"", "", "shapes/fast-1: teacher and start are not for tables"),
        ("method = \"us-net\"", "method = \"awn-rs\"", "", "shapes/us-net-1: --statistics is a setting of"),
        ("", "", "--only shapes/usnet", "there is no such file, row or run; the nearest one is shapes/us-net-1"),
        ("data = \"shapes\"", "data = \"nowhere\"", "", "nowhere"),
        ("", "", "other.toml", "other.toml cannot be read"),
    ] {
        write(&place, &CONFIG.replace(from, to));
        let message = refusal(&place, &format!("shapes.toml {flags}"));
        assert!(message.contains(reason), "{message}");
        assert!(!place.path().join("runs").exists(), "{reason}: something was trained");
    }
}
