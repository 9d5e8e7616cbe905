//! Names of files and folders that operating systems, file servers and tools create. One rule applies to every listed
//! folder: models, labelled images and training images.

use std::ffi::OsStr;

/// Names of system files in lowercase, except those that begin with `.`.
const NAMES: &[&str] = &[
    // Linux and Python
    "lost+found",
    "__pycache__",
    // macOS, and archives that it writes
    "__macosx",
    "network trash folder",
    "temporary items",
    "icon\r",
    // Windows
    "$recycle.bin",
    "recycler",
    "system volume information",
    "thumbs.db",
    "thumbs.db:encryptable",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    // Synology, QNAP and NetApp
    "@eadir",
    "@tmp",
    "#recycle",
    "#snapshot",
    "@recycle",
    "@recently-snapshot",
    "~snapshot",
];

/// Whether a file or folder of this name is hidden (`.git`, `.DS_Store`, `.Trash-1000`) or created by a system or tool
/// (`lost+found`, `Thumbs.db`). Case-insensitive.
pub fn is_system_file(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_files_are_recognised_and_other_names_are_not() {
        for name in [
            ".",
            "..",
            ".git",
            ".DS_Store",
            "._cat.jpg",
            ".Trash-1000",
            ".ipynb_checkpoints",
            "lost+found",
            "__pycache__",
            "@eaDir",
            "__MACOSX",
            "$RECYCLE.BIN",
            "$Recycle.Bin",
            "System Volume Information",
            "Thumbs.db",
            "desktop.ini",
        ] {
            assert!(is_system_file(OsStr::new(name)), "{name}");
        }
        for name in ["cat", "lost and found", "recycle", "thumbs", "tmp", "snapshot", "icon", "MACOSX", "@", "#1", "_"]
        {
            assert!(!is_system_file(OsStr::new(name)), "{name}");
        }
    }
}
