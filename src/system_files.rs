//! Names that operating systems, file servers and tools leave in folders, and nobody means: one rule for every folder that is
//! listed, of models, of labelled images, and of images to train on.

use std::ffi::OsStr;

/// Names that mean nothing, in small letters; those that begin with `.` need not be here.
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

/// Whether a file or folder of this name is none of the caller's: it is hidden (`.git`, `.DS_Store`, `.Trash-1000`), or a system or
/// tool has left it there (`lost+found`, `Thumbs.db`). The case of letters does not matter.
pub fn is_system_file(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_leave_is_told_from_what_people_name() {
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
