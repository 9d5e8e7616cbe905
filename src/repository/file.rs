//! Reads model files and their external data files.
//!
//! Only regular files are opened: a pipe would block, a device may never end. Data files must lie in the model's own folder.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::ModelError;
use crate::engine::{DataFiles, MAX_FILE_BYTES};

/// Reads a model file of at most [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let (file, len) = open(path)?;
    if len > MAX_FILE_BYTES as u64 {
        return Err(ModelError::TooLarge);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_BYTES { Err(ModelError::TooLarge) } else { Ok(bytes) }
}

/// The folder of a model file, from which data files are read.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The file read last, kept open because exporters put all weights into one file.
    open: Option<(String, File, u64)>,
}

impl Folder {
    /// The folder that contains the model file.
    pub(super) fn of(model: &Path) -> Folder {
        let parent = model.parent().filter(|parent| !parent.as_os_str().is_empty());
        Folder { path: parent.unwrap_or(Path::new(".")).to_owned(), open: None }
    }

    /// Opens a file of the folder. Links are followed if they stay within it.
    fn open(&self, location: &str) -> Result<(File, u64), Box<dyn Error + Send + Sync>> {
        let folder = fs::canonicalize(&self.path)?;
        let path = fs::canonicalize(folder.join(location)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file beside the model; copy it there under this name".into(),
            _ => error.to_string(),
        })?;
        if !path.starts_with(&folder) {
            return Err("it is a link that leaves the model's folder".into());
        }
        Ok(open(&path)?)
    }
}

impl DataFiles for Folder {
    fn read(&mut self, location: &str, offset: u64, len: usize) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        if self.open.as_ref().is_none_or(|(name, ..)| name != location) {
            let (mut file, size) = self.open(location)?;
            check_pointer(&mut file)?;
            self.open = Some((location.to_owned(), file, size));
        }
        let Some((_, file, size)) = &mut self.open else { return Err("it was closed".into()) };
        // Checked before anything is allocated.
        if offset.checked_add(len as u64).is_none_or(|end| end > *size) {
            return Err(format!("it has {size} bytes; {len} bytes at offset {offset} are needed").into());
        }
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Rejects a Git LFS pointer, which stands for a large file that was not fetched.
fn check_pointer(file: &mut File) -> Result<(), Box<dyn Error + Send + Sync>> {
    const POINTER: &[u8] = b"version https://git-lfs";
    let mut start = Vec::new();
    file.take(POINTER.len() as u64).read_to_end(&mut start)?;
    match start == POINTER {
        true => Err("it is a Git LFS pointer; run `git lfs pull` in its repository".into()),
        false => Ok(()),
    }
}

/// Opens a regular file and returns its size in bytes.
fn open(path: &Path) -> io::Result<(File, u64)> {
    // Checked before opening: opening a pipe waits for a writer.
    check_regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata.len()))
}

fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
    let what = match () {
        () if metadata.is_file() => return Ok(()),
        () if metadata.is_dir() => "it is a folder, not a file",
        () => "it is a pipe, a socket or a device, not a regular file",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
