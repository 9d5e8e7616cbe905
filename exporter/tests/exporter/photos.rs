//! A folder of photographs is read as the server would preprocess it, and split by its folders or a seed.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anywidth::dataset::Labelled;
use anywidth::image::{Image, ImageLimits, InputSpec, Preprocessing};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::Tensor;
use tempfile::TempDir;

use exporter::data::photos::{self, Album, PhotosError, Reading, Shares, Splits, Trouble};
use exporter::data::{Augmentation, Examples};

use crate::shapes;

const SHARES: Shares = Shares { validation: 0.2, test: 0.1 };
const READING: Reading = Reading { size: 32, memory: 1 << 30, threads: 2 };

fn shapes(count: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    shapes::draw(folder.path(), count, 1);
    folder
}

fn split(root: &Path) -> Splits {
    photos::split(root, SHARES, 1).expect("a folder of classes")
}

fn read(splits: &Splits, reading: Reading) -> Album {
    photos::read(splits, reading, &|| ()).expect("images")
}

fn of_class(files: &[Labelled], class: usize) -> usize {
    files.iter().filter(|file| file.class == class).count()
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, bytes).expect("written");
}

#[test]
fn every_class_is_split_by_the_seed_and_no_image_is_lost() {
    let folder = shapes(20);
    let splits = split(folder.path());
    assert_eq!(splits.classes, shapes::CLASSES);
    for class in 0..4 {
        let counts = [&splits.train, &splits.validation, &splits.test].map(|files| of_class(files, class));
        assert_eq!(counts, [14, 4, 2]);
    }
    let all: HashSet<&PathBuf> =
        [&splits.train, &splits.validation, &splits.test].into_iter().flatten().map(|file| &file.path).collect();
    assert_eq!(all.len(), 80);
    assert_eq!(split(folder.path()), splits);
    assert_ne!(photos::split(folder.path(), SHARES, 2).expect("a folder of classes").test, splits.test);
}

#[test]
fn folders_named_for_their_purpose_are_taken_as_they_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    for (part, count) in [("train", 5), ("val", 3), ("test", 2)] {
        for class in ["a", "b"] {
            (0..count).for_each(|number| put(&root.join(part).join(class).join(format!("{number}.png")), b"x"));
        }
    }
    let splits = split(root);
    assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len()], [10, 6, 4]);
    assert!(splits.test.iter().all(|file| file.path.starts_with(root.join("test"))));

    // A missing split is taken from the training images.
    fs::remove_dir_all(root.join("val")).expect("removed");
    let splits = split(root);
    assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len()], [8, 2, 4]);

    // A class that only a test folder has cannot be learned.
    put(&root.join("test/c/0.png"), b"x");
    let error = photos::split(root, SHARES, 1).expect_err("a class that is not trained");
    assert!(error.to_string().contains("class \"c\" is not among those of"), "{error}");

    // A folder next to the splits is not a class.
    fs::remove_dir_all(root.join("test/c")).expect("removed");
    put(&root.join("originals/0.png"), b"x");
    let error = photos::split(root, SHARES, 1).expect_err("a folder beside them").to_string();
    assert!(error.contains("originals is neither train, val nor test"), "{error}");
}

/// A folder with these files, which contain their own path.
fn files(paths: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    paths.iter().for_each(|path| put(&folder.path().join(path), path.as_bytes()));
    folder
}

#[test]
fn folders_for_a_purpose_are_known_by_their_usual_names_in_any_case() {
    for [train, validation, test] in
        [["train", "valid", "test"], ["Train", "VAL", "Test"], ["training", "validation", "testing"]]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (part, count) in [(train, 4), (validation, 2), (test, 1)] {
            for class in ["disc", "square"] {
                (0..count).for_each(|number| put(&folder.path().join(format!("{part}/{class}/{number}.png")), b"x"));
            }
        }
        let splits = split(folder.path());
        assert_eq!(splits.classes, ["disc", "square"], "{train}");
        assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len()], [8, 4, 2], "{train}");
    }
}

#[test]
fn train_is_a_class_only_if_it_holds_images_and_no_other_purpose_stands_beside_it() {
    let classes = |paths: &[&str]| {
        let folder = files(paths);
        photos::split(folder.path(), SHARES, 1).map(|splits| splits.classes).map_err(|error| error.to_string())
    };
    let vehicles = ["bus/1.png", "bus/2.png", "bus/3.png", "train/1.png", "train/2.png", "train/3.png"];
    assert_eq!(classes(&vehicles), Ok(vec!["bus".into(), "train".into()]));
    let error = classes(&["bus/1.png", "train/a/1.png", "train/b/2.png"]).expect_err("a folder beside train");
    assert!(error.contains("bus is neither train, val nor test"), "{error}");
    let error = classes(&[&vehicles[..], &["test/1.png"]].concat()).expect_err("a folder beside train and test");
    assert!(error.contains("bus is neither"), "{error}");
    let error = classes(&["bus/1.png", "tram/1.png", "Test/bus/1.png"]).expect_err("nothing to train on");
    assert!(error.contains("Test holds no images itself") && error.contains("no train stands beside it"), "{error}");
    let tests = ["bus/1.png", "bus/2.png", "bus/3.png", "test/1.png", "test/2.png", "test/3.png"];
    assert_eq!(classes(&tests), Ok(vec!["bus".into(), "test".into()]));
    let error = classes(&["train/1.png", "val/1.png"]).expect_err("no classes");
    assert!(error.contains("train holds no folder"), "{error}");
    let error = classes(&["train/a/1.png", "train/b/1.png", "val/a/1.png", "validation/b/1.png"]).expect_err("two");
    assert!(error.contains("val and ") && error.contains("validation are for the same purpose"), "{error}");
}

#[test]
fn a_class_without_images_says_what_is_there_instead() {
    let telephone: Vec<String> =
        (0..30).flat_map(|number| ["cat", "dog"].map(|class| format!("{class}/{number}.heic"))).collect();
    let folder = files(&telephone.iter().map(String::as_str).collect::<Vec<_>>());
    let error = photos::split(folder.path(), SHARES, 1).expect_err("no images").to_string();
    assert!(error.contains("of all files, 60 without the extension of a JPEG, PNG or WebP were ignored"), "{error}");
    let folder = files(&["cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/2.png", "dog/3.png"]);
    // Files that an operating system leaves behind are not a class.
    fs::create_dir(folder.path().join("__MACOSX")).expect("a folder");
    assert_eq!(photos::split(folder.path(), SHARES, 1).expect("two classes").classes, ["cat", "dog"]);
    fs::create_dir(folder.path().join("notes")).expect("a folder");
    let error = photos::split(folder.path(), SHARES, 1).expect_err("an empty folder").to_string();
    assert!(error.contains("\"notes\" has 0 images") && error.contains("its folder must go"), "{error}");
}

#[test]
fn folders_that_nobody_can_learn_from_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refusal = || photos::split(folder.path(), SHARES, 1).expect_err("no classes").to_string();
    assert!(refusal().contains("holds no folder"), "{}", refusal());
    put(&folder.path().join("cat/1.png"), b"x");
    assert!(refusal().contains("one class only, \"cat\""), "{}", refusal());
    fs::create_dir(folder.path().join("dog")).expect("a folder");
    assert!(refusal().contains("class \"cat\" has 1 image, at least 3"), "{}", refusal());
    put(&folder.path().join("cat/2.png"), b"x");
    put(&folder.path().join("cat/3.png"), b"x");
    assert!(refusal().contains("class \"dog\" has 0 images, at least 3"), "{}", refusal());
}

#[test]
fn images_to_measure_with_are_what_a_server_makes_of_them() {
    let folder = shapes(6);
    let splits = split(folder.path());
    let album = read(&splits, READING);
    let input = InputSpec::new(3, 32, 32).expect("an input").with_preprocessing(Preprocessing::for_training());
    let batch = album.validation.batch(0..album.validation.len());
    for (place, file) in splits.validation.iter().enumerate() {
        let bytes = fs::read(&file.path).expect("a file");
        let served = Image::decode(&bytes, &ImageLimits::default()).expect("an image").input(&input);
        let seen = Tensor::from_slice(&served).view([3, 32, 32]);
        assert!(batch.images.get(place as i64).equal(&seen), "{}", file.path.display());
        assert_eq!(batch.labels.int64_value(&[place as i64]), file.class as i64);
    }
}

#[test]
fn neither_threads_nor_memory_change_what_is_trained_on() {
    let folder = shapes(8);
    let splits = split(folder.path());
    let augmentation = Augmentation { crop: 0.3, flip: true, jitter: 0.2, cutout: 8, ..Augmentation::default() };
    let batches = |reading: Reading| {
        let album = read(&splits, reading);
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let images = |indices: &[usize], random: &mut ChaCha8Rng| {
            album.train.augmented(indices, &augmentation, random).expect("a batch").images
        };
        let batches = [images(&[0, 5, 3], &mut random), images(&[5, 1], &mut random)];
        (batches, album.mean, album.std, album.train.labels().to_vec())
    };
    let expected = batches(READING);
    for (memory, threads) in [(0, 1), (20_000, 3), (1 << 30, 1)] {
        let found = batches(Reading { memory, threads, ..READING });
        assert!(found.0.iter().zip(&expected.0).all(|(a, b)| a.equal(b)), "{memory} bytes, {threads} threads");
        assert_eq!((&found.1, &found.2, &found.3), (&expected.1, &expected.2, &expected.3));
    }
    // Each use draws another augmentation.
    assert!(!expected.0[0].get(1).equal(&expected.0[1].get(0)));
}

#[test]
fn mean_and_deviation_are_those_of_the_training_pixels() {
    let folder = shapes(5);
    let album = read(&split(folder.path()), READING);
    let indices: Vec<usize> = (0..album.train.labels().len()).collect();
    let input = InputSpec::new(3, 32, 32).expect("an input").with_preprocessing(Preprocessing::for_training());
    let splits = split(folder.path());
    let pixels = splits.train.iter().flat_map(|file| {
        Image::decode(&fs::read(&file.path).expect("a file"), &ImageLimits::default()).expect("an image").input(&input)
    });
    let pixels = Tensor::from_slice(&pixels.collect::<Vec<f32>>()).view([indices.len() as i64, 3, 32, 32]);
    let pixels = pixels.permute([1, 0, 2, 3]).flatten(1, 3).to_kind(tch::Kind::Double);
    for channel in 0..3 {
        let values = pixels.get(channel as i64);
        let expected = [values.mean(None), values.std(false)].map(|value| value.double_value(&[]));
        let found = [album.mean[channel], album.std[channel]];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}, {expected:?}");
    }
}

#[test]
fn broken_files_are_named_and_left_out_and_many_of_them_end_the_run() {
    let folder = shapes(20);
    put(&folder.path().join("disc/text.jpg"), b"this is no image");
    put(&folder.path().join("disc/empty.png"), b"");
    put(&folder.path().join("square/notes.txt"), b"not even by its name");
    let splits = split(folder.path());
    assert_eq!(splits.ignored, 1);
    let looked = AtomicUsize::new(0);
    let album = photos::read(&splits, READING, &|| _ = looked.fetch_add(1, Ordering::Relaxed)).expect("images");
    assert_eq!(looked.into_inner(), 82);
    let mut broken: Vec<_> = album.broken.iter().map(|one| one.path.file_name().expect("a name")).collect();
    broken.sort();
    assert_eq!(broken, ["empty.png", "text.jpg"]);
    assert!(album.broken.iter().all(|one| !one.reason.is_empty()));
    assert_eq!(album.train.labels().len() + album.validation.len() + album.test.len(), 80);

    for number in 0..4 {
        put(&folder.path().join(format!("square/broken{number}.jpg")), b"");
    }
    let error = photos::read(&split(folder.path()), READING, &|| ()).expect_err("too many").to_string();
    assert!(error.starts_with("6 of 86 images are broken, above 5 %: ") && error.contains(".jpg: "), "{error}");
}

#[test]
fn a_class_whose_training_images_are_all_broken_is_named() {
    let folder = shapes(30);
    (0..3).for_each(|number| put(&folder.path().join(format!("zebra/{number}.png")), b"stripes"));
    let error = photos::read(&split(folder.path()), READING, &|| ()).expect_err("no zebra");
    assert!(matches!(&error, PhotosError::FewImages { class, .. } if class == "zebra"), "{error}");
}

#[test]
fn an_image_that_is_gone_when_it_is_needed_again_is_named() {
    let folder = shapes(4);
    let splits = split(folder.path());
    let album = read(&splits, Reading { memory: 0, ..READING });
    fs::remove_dir_all(folder.path()).expect("removed");
    let error = album.train.plain(&[0]).expect_err("it is gone").to_string();
    assert!(error.contains(&splits.train[0].path.display().to_string()), "{error}");
    assert!(error.contains("restore it, and continue with --resume"), "{error}");
}

#[test]
fn images_to_measure_with_are_the_same_whether_the_others_are_read_or_not() {
    let folder = shapes(20);
    put(&folder.path().join("disc/0.png"), b"broken");
    for seed in 1..4 {
        let splits = photos::split(folder.path(), SHARES, seed).expect("a folder of classes");
        let album = read(&splits, READING);
        let measured = photos::read_measured(&splits, Reading { threads: 3, ..READING }, &|| ()).expect("images");
        assert_eq!((measured.validation, measured.test), (album.validation, album.test));
        assert_eq!(measured.broken.len() + splits.train.len() - album.train.labels().len(), 1);
    }
}

#[test]
fn decoded_images_are_kept_as_far_as_memory_may_be_used() {
    let folder = shapes(8);
    let kept = |memory| read(&split(folder.path()), Reading { memory, ..READING }).train.kept();
    let all = read(&split(folder.path()), READING).train.labels().len();
    assert_eq!([kept(0), kept(1 << 30)], [0, all]);
    assert!((1..all).contains(&kept(20_000)), "{}", kept(20_000));
}

#[test]
fn an_image_that_is_there_twice_is_found_where_it_does_harm() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    for (path, bytes) in [
        ("train/a/1.png", &b"one"[..]),
        ("train/a/again.png", b"one"),
        ("train/b/2.png", b"two"),
        ("train/a/wrong.png", b"red"),
        ("train/b/wrong.png", b"red"),
        ("val/a/3.png", b"six"),
        ("val/b/twin.png", b"two"),
        ("test/a/4.png", b"one"),
        ("test/a/six.png", b"six"),
        ("test/b/5.png", b"other"),
    ] {
        put(&root.join(path), bytes);
    }
    let found = photos::twins(&split(root));
    let relative = |path: &PathBuf| path.strip_prefix(root).expect("below the root").display().to_string();
    let found: Vec<_> = found.iter().map(|twins| (twins.paths.each_ref().map(relative), twins.trouble)).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    let has = |one: &str, other: &str, trouble| {
        found.iter().any(|(paths, of)| paths[0].starts_with(one) && paths[1] == other && *of == trouble)
    };
    assert!(has("train/a/", "test/a/4.png", Trouble::Memory), "{found:?}");
    assert!(has("train/b/2.png", "val/b/twin.png", Trouble::Memory), "{found:?}");
    assert!(has("val/a/3.png", "test/a/six.png", Trouble::Chosen), "{found:?}");
    let wrong = found.iter().find(|(_, trouble)| *trouble == Trouble::Contradiction).map(|(paths, _)| paths.clone());
    let mut wrong = wrong.expect("an image in two classes");
    wrong.sort();
    assert_eq!(wrong, ["train/a/wrong.png", "train/b/wrong.png"]);
}
