//! Maps folder names to a model's classes.

use std::collections::{HashMap, HashSet};

use anyhow::{anyhow, bail};

use crate::cli::table::printable;
use crate::dataset::{Listing, composed};

/// Maximum number of labels listed in a message.
pub(super) const LISTED: usize = 20;

/// The class index of each folder: the label of the same name.
///
/// A `/` in a label matches `_` in a folder's name. Names are compared in Unicode composed form ([`composed`]), which `folders`
/// already have.
pub(super) fn classes(folders: &[String], labels: &[String]) -> anyhow::Result<Vec<usize>> {
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (class, label) in labels.iter().enumerate() {
        by_name.entry(composed(&label.replace('/', "_"))).or_default().push(class);
    }
    let class = |folder: &String| match by_name.get(folder).map(Vec::as_slice) {
        Some(&[class]) => Ok(class),
        Some(classes) => bail!("the folder {folder:?} names {} classes of the model", classes.len()),
        None => {
            let known = first(labels.iter().map(String::as_str), LISTED);
            Err(anyhow!("the folder {folder:?} is not a class of the model; its classes are: {known}"))
        }
    };
    folders.iter().map(class).collect()
}

/// Removes the folders that match no label from `listing` and returns their names.
pub(super) fn skip_unknown(listing: &mut Listing, labels: &[String]) -> Vec<String> {
    let known: HashSet<String> = labels.iter().map(|label| label.replace('/', "_")).collect();
    let (kept, skipped): (Vec<_>, Vec<_>) =
        std::mem::take(&mut listing.classes).into_iter().enumerate().partition(|(_, folder)| known.contains(folder));
    let indices: HashMap<usize, usize> = kept.iter().enumerate().map(|(index, &(class, _))| (class, index)).collect();
    listing.files.retain_mut(|file| indices.get(&file.class).map(|&index| file.class = index).is_some());
    listing.classes = kept.into_iter().map(|(_, folder)| folder).collect();
    skipped.into_iter().map(|(_, folder)| folder).collect()
}

/// The first `most` words of a list, and the number of the others.
pub(super) fn first<'a>(mut words: impl Iterator<Item = &'a str>, most: usize) -> String {
    let text = words.by_ref().take(most).map(printable).collect::<Vec<_>>().join(", ");
    match words.count() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn folders_are_matched_by_name_and_a_slash_is_written_as_an_underscore() {
        let labels = texts(&["cat", "T-shirt/top", "Ankle boot"]);
        assert_eq!(classes(&texts(&["Ankle boot", "T-shirt_top"]), &labels).unwrap(), [2, 1]);
    }

    #[test]
    fn a_label_matches_its_folder_however_its_letters_are_composed() {
        let labels = texts(&["gru\u{308}n", "\u{c9}t\u{e9}"]);
        assert_eq!(classes(&texts(&["\u{c9}t\u{e9}", "gr\u{fc}n"]), &labels).unwrap(), [1, 0]);
    }

    #[test]
    fn a_folder_that_is_no_class_or_several_is_named() {
        let said = |folder: &str, labels: &[String]| classes(&texts(&[folder]), labels).unwrap_err().to_string();
        assert_eq!(
            said("Cat", &texts(&["cat", "dog"])),
            "the folder \"Cat\" is not a class of the model; its classes are: cat, dog"
        );
        let many: Vec<String> = (0..1000).map(|class| class.to_string()).collect();
        assert!(said("1000", &many).ends_with(", 18, 19 and 980 more"), "{}", said("1000", &many));
        assert_eq!(said("crane", &texts(&["crane", "crane"])), "the folder \"crane\" names 2 classes of the model");
    }
}
