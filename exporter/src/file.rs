//! Files: atomic writes, early checks of writability, and checksums.

use std::io::Write;
use std::path::Path;

use md5::{Digest, Md5};

/// Writes the file `path` atomically, and creates its folder if it is missing.
///
/// # Errors
/// The system's error.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // Temporary files are created without read permission for others.
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

/// The MD5 of `bytes`, in hexadecimal.
pub fn md5_of(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks that a file can be written to `folder`, or to the folder that would be created. Leaves nothing behind.
///
/// # Errors
/// The system's error.
pub fn check_writable(folder: &Path) -> std::io::Result<()> {
    let there = folder.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is no folder"));
    }
    tempfile::tempfile_in(there).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_as_writable_as_the_one_that_it_would_lie_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        check_writable(root).expect("writable");
        check_writable(&root.join("a/b")).expect("writable");
        check_writable(Path::new("a-folder-that-is-not-there")).expect("writable");
        std::fs::write(root.join("file"), "").expect("written");
        assert!(check_writable(&root.join("file")).is_err());
        assert!(check_writable(&root.join("file/a")).is_err());
        assert_eq!(std::fs::read_dir(root).expect("a folder").count(), 1);
    }
}
