//! Folders of labelled images, good and bad, are listed or refused with the reason.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Creates a folder with these files, each of which contains its own path. A path that ends with `/` is an empty
/// folder.
fn folder<P: AsRef<str>>(paths: impl IntoIterator<Item = P>) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for path in paths {
        let path = path.as_ref();
        let place = root.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(place).unwrap();
        } else {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, path).unwrap();
        }
    }
    root
}

/// The path of each image below the folder, with the name of its class.
fn images<'a>(root: &TempDir, listing: &'a Listing) -> Vec<(String, &'a str)> {
    let relative = |path: &Path| path.strip_prefix(root.path()).unwrap().to_str().unwrap().to_owned();
    listing.files.iter().map(|file| (relative(&file.path), listing.classes[file.class].as_str())).collect()
}

fn error(root: &Path) -> String {
    let text = list(root).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn images_are_listed_by_class_and_path_with_every_class_folder() {
    let root = folder([
        "tabby cat/b.JPG",
        "tabby cat/a/2.webp",
        "tabby cat/a/1.jpeg",
        "tabby cat/c.JFIF",
        "tabby cat/d.jpe",
        "tabby cat/notes.txt",
        "tabby cat/.hidden.png",
        "tabby cat/.hidden/1.png",
        "Hündin/x.y.Png",
        "Hündin/png",
        "empty/",
        ".hidden/1.png",
        "README.md",
        "stray.png",
    ]);
    let listing = list(root.path()).unwrap();
    assert_eq!(listing.classes, ["Hündin", "empty", "tabby cat"]);
    let expected = [
        ("Hündin/x.y.Png", "Hündin"),
        ("tabby cat/a/1.jpeg", "tabby cat"),
        ("tabby cat/a/2.webp", "tabby cat"),
        ("tabby cat/b.JPG", "tabby cat"),
        ("tabby cat/c.JFIF", "tabby cat"),
        ("tabby cat/d.jpe", "tabby cat"),
    ];
    assert_eq!(images(&root, &listing), expected.map(|(path, class)| (path.to_owned(), class)));
    // notes.txt, png, README.md, and the image outside the class folders.
    assert_eq!(listing.ignored, 4);
}

#[test]
fn links_are_followed_and_dangling_ones_are_listed() {
    let (elsewhere, root) = (folder(["dogs/1.png", "cat.png"]), folder(["cat/"]));
    symlink(elsewhere.path().join("dogs"), root.path().join("dog")).unwrap();
    symlink(elsewhere.path().join("cat.png"), root.path().join("cat/1.png")).unwrap();
    symlink("/nowhere", root.path().join("cat/2.png")).unwrap();
    let listing = list(root.path()).unwrap();
    let expected = [("cat/1.png", "cat"), ("cat/2.png", "cat"), ("dog/1.png", "dog")];
    assert_eq!(images(&root, &listing), expected.map(|(path, class)| (path.to_owned(), class)));
    assert!(matches!(read(&listing.files[1].path, 9), Err(DatasetError::Unread { .. })));
}

#[test]
fn a_loop_of_links_is_an_error_that_names_the_path() {
    let root = folder(["cat/1.png"]);
    symlink("..", root.path().join("cat/up")).unwrap();
    let said = error(root.path());
    assert!(said.contains("cat/up/cat/up") && said.ends_with("at most 8 levels of folders are allowed"), "{said}");

    let deepest = folder(["1/2/3/4/5/6/7/8/image.png"]);
    assert_eq!(list(deepest.path()).unwrap().files.len(), 1);
    let deeper = folder(["1/2/3/4/5/6/7/8/9/"]);
    assert!(error(deeper.path()).contains("1/2/3/4/5/6/7/8/9 is nested too deep"));
}

#[test]
fn a_folder_without_class_folders_is_refused_with_the_reason() {
    let root = folder(["1.png", "2.png"]);
    let path = root.path().display();
    assert!(error(&root.path().join("nowhere")).starts_with(&format!("cannot list {path}/nowhere: No such file")));
    assert!(error(&root.path().join("1.png")).starts_with(&format!("cannot list {path}/1.png: Not a directory")));
    let expected = format!("{path} holds no folder: one per class is expected, and there are 2 files");
    assert_eq!(error(root.path()), expected);

    let classes = |count: usize| folder((0..count).map(|class| format!("{class}/")));
    assert_eq!(list(classes(1000).path()).unwrap().classes.len(), 1000);
    assert!(error(classes(1001).path()).contains("holds 1001 folders: one per class is expected, at most 1000"));
}

#[test]
fn a_folder_whose_name_cannot_be_a_label_is_named() {
    let root = folder(["cat/1.png"]);
    fs::create_dir(root.path().join(OsStr::from_bytes(b"dog\xFF"))).unwrap();
    let said = error(root.path());
    assert!(said.contains(r"dog\xFF") && said.ends_with("its name must be UTF-8 of at most 256 bytes"), "{said}");
    let longest = "ü".repeat(128);
    assert_eq!(class_name(OsStr::new(&longest)), Some(longest.clone()));
    assert_eq!(class_name(OsStr::new(&(longest + "x"))), None);
}

#[test]
fn more_files_and_folders_than_the_limit_are_refused() {
    let root = folder(["cat/1.png", "cat/2.txt", "dog/1.png"]);
    assert!(list_at_most(5, root.path()).is_ok());
    let said = list_at_most(4, root.path()).unwrap_err().to_string();
    assert!(said.ends_with("holds more than 4 files and folders"), "{said}");
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let root = folder(["cat/1.png"]);
    let path = root.path().join("cat/1.png");
    assert_eq!(read(&path, 9).unwrap(), b"cat/1.png");
    assert_eq!(read(&path, usize::MAX).unwrap(), b"cat/1.png");
    let said = read(&path, 8).unwrap_err().to_string();
    assert!(said.ends_with("1.png: it has more than 8 bytes, the most that is allowed"), "{said}");
    assert!(read(root.path(), 8).unwrap_err().to_string().starts_with("cannot read "));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_listing_is_every_image_in_the_order_of_paths(
        paths in proptest::collection::btree_set("[ab-]{1,2}(/[ab-]{1,2}){0,2}/f[ab]?\\.(png|JPEG|txt)", 1..20),
    ) {
        let root = folder(&paths);
        let listing = list(root.path()).unwrap();
        let (ignored, images): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.ends_with("txt"));
        let mut expected: Vec<_> =
            images.iter().map(|path| (Path::new(path), path.split('/').next().unwrap_or_default())).collect();
        expected.sort();
        let listed: Vec<_> = listing
            .files
            .iter()
            .map(|file| (file.path.strip_prefix(root.path()).unwrap(), listing.classes[file.class].as_str()))
            .collect();
        prop_assert_eq!(listed, expected);
        prop_assert_eq!(listing.ignored, ignored.len());
    }
}

#[test]
fn system_files_are_neither_classes_nor_images_nor_counted_as_ignored() {
    let left =
        ["lost+found", "__pycache__", "@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", ".Trash-0"];
    let beside = left.map(|name| format!("{name}/1.png"));
    let inside = left.map(|name| format!("cat/{name}/1.png"));
    let files = [".DS_Store", "Thumbs.db", "desktop.ini", "cat/.DS_Store", "cat/Thumbs.db", "cat/._1.png", "cat/1.png"];
    let root = folder(beside.iter().chain(&inside).map(String::as_str).chain(files));
    let listing = list(root.path()).unwrap();
    assert_eq!((listing.classes.as_slice(), listing.ignored), (&["cat".to_owned()][..], 0));
    assert_eq!(images(&root, &listing), [("cat/1.png".to_owned(), "cat")]);
}

#[test]
fn class_names_are_composed_and_sorted() {
    // In the decomposed form that macOS stores, "z" would sort before the second name.
    let root = folder(["gru\u{308}n/1.png", "\u{e9}t\u{e9}/1.png", "E\u{301}/1.png", "z/1.png"]);
    let listing = list(root.path()).unwrap();
    assert_eq!(listing.classes, ["gr\u{fc}n", "z", "\u{c9}", "\u{e9}t\u{e9}"]);
    let classes: Vec<_> = listing.files.iter().map(|file| file.class).collect();
    assert_eq!(classes, [0, 1, 2, 3]);
}

#[test]
fn two_folders_that_differ_only_in_their_encoding_are_both_named() {
    let root = folder(["gru\u{308}n/1.png", "gr\u{fc}n/2.png"]);
    let said = error(root.path());
    assert!(said.contains("gru\\u{308}n") && said.contains("gr\u{fc}n\"") && said.contains("same class"), "{said}");
}
