//! Which class of a model a folder's name means.

use std::collections::{HashMap, HashSet};

use anyhow::{anyhow, bail};

use crate::cli::table::printable;
use crate::dataset::{Listing, composed};

/// Labels that a message lists.
pub(super) const LISTED: usize = 20;

/// For each folder the index of the label that it is named as.
///
/// No folder's name holds a `/`: where a label has one, the folder has `_`. Names are compared as [`composed`] makes them,
/// which `folders` are already.
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
            Err(anyhow!("the folder {folder:?} is no class of the model; its classes are: {known}"))
        }
    };
    folders.iter().map(class).collect()
}

/// Takes the folders that are named as none of `labels` out of `listing`; returns their names.
pub(super) fn skip_unknown(listing: &mut Listing, labels: &[String]) -> Vec<String> {
    let known: HashSet<String> = labels.iter().map(|label| label.replace('/', "_")).collect();
    let (kept, skipped): (Vec<_>, Vec<_>) =
        std::mem::take(&mut listing.classes).into_iter().enumerate().partition(|(_, folder)| known.contains(folder));
    let places: HashMap<usize, usize> = kept.iter().enumerate().map(|(place, &(class, _))| (class, place)).collect();
    listing.files.retain_mut(|file| places.get(&file.class).map(|&place| file.class = place).is_some());
    listing.classes = kept.into_iter().map(|(_, folder)| folder).collect();
    skipped.into_iter().map(|(_, folder)| folder).collect()
}

/// The first words of a list that may be long, and how many more there are.
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
            "the folder \"Cat\" is no class of the model; its classes are: cat, dog"
        );
        let many: Vec<String> = (0..1000).map(|class| class.to_string()).collect();
        assert!(said("1000", &many).ends_with(", 18, 19 and 980 more"), "{}", said("1000", &many));
        assert_eq!(said("crane", &texts(&["crane", "crane"])), "the folder \"crane\" names 2 classes of the model");
    }
}
