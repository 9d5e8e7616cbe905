//! Identifies files that are not ONNX models by their first bytes, and advises what to do.

/// The advice for recognised files; `None` for others.
pub(super) fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const PYTORCH: &str = "it is a PyTorch file (.pt, .pth) or another ZIP archive or pickle; export the network with torch.onnx.export(model, ...)";
    const LFS: &str = "it is a Git LFS pointer, not the model itself; run `git lfs pull` where it was cloned";
    if bytes.is_empty() {
        return Some("the file is empty");
    }
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let has = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    Some(match () {
        () if begins(b"version https://git-lfs") => LFS,
        () if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") || is_pickle(bytes) => PYTORCH,
        () if is_safetensors(bytes) => {
            "it is a safetensors file, weights without a network; load it in PyTorch and use torch.onnx.export(model, ...)"
        }
        () if begins(b"\x89HDF\r\n") => "it is an HDF5 file (Keras .h5); convert it with tf2onnx --inputs-as-nchw",
        () if has(4, b"TFL3") => {
            "it is a TensorFlow Lite file; convert the model it came from with tf2onnx --inputs-as-nchw"
        }
        () if has(4, b"ORTM") => "it is in ONNX Runtime's own format (.ort); use the .onnx file that it was made from",
        // `saved_model_schema_version` 1, then a graph. An ONNX file begins with its IR version, 3 or later.
        () if begins(&[0x08, 0x01, 0x12]) => {
            "it is a TensorFlow SavedModel; convert its folder with python -m tf2onnx.convert --saved-model FOLDER \
             --inputs-as-nchw INPUT"
        }
        () if begins(b"\x1f\x8b") => "it is compressed with gzip; unpack it",
        () if begins(b"\x93NUMPY") => "it is a NumPy array, not a model",
        () if begins(b"\x89PNG") || begins(b"\xff\xd8\xff") || has(8, b"WEBP") => "it is an image, not a model",
        () if is_markup(bytes) => {
            "it is an HTML or XML page, perhaps a sign-in page behind a download link; download the file itself"
        }
        () if is_text(bytes) => "it is text, not a model",
        () => return None,
    })
}

/// Python's pickle, protocol 2 or later: `torch.save` before it wrote ZIP archives.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// An eight-byte length, then a JSON object of that length.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((len, header)) = bytes.split_first_chunk::<8>() else { return false };
    u64::from_le_bytes(*len) < 1 << 32 && header.starts_with(b"{\"")
}

fn is_markup(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let begins = |tag: &[u8]| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    begins(b"<!doctype") || begins(b"<html") || begins(b"<?xml") || begins(b"<head") || begins(b"<svg")
}

/// Printable text. A protobuf message starts with a key and a small number, so it never matches.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(256)];
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t' | 0x80..);
    // The last character may be cut in two.
    let is_utf8 = std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && start.iter().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_types_are_recognised_by_their_first_bytes() {
        let safetensors = [&[64u8, 0, 0, 0, 0, 0, 0, 0][..], b"{\"weight\":"].concat();
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
            (b"PK\x03\x04....archive/data.pkl", "torch.onnx.export"),
            (b"\x80\x02\x8a\nl\xfc", "torch.onnx.export"),
            (&safetensors, "safetensors"),
            (b"\x89HDF\r\n\x1a\n", "tf2onnx"),
            (b"\x1c\0\0\0TFL3", "tf2onnx"),
            (&[0x08, 0x01, 0x12, 0x90], "SavedModel"),
            (b"\n<!DOCTYPE html><html>", "HTML"),
            (b"<?xml version=\"1.0\"?>", "XML"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"To whom it may concern", "text"),
            ("Не модель, а текст по-русски".as_bytes(), "text"),
        ] {
            let said = foreign(bytes).unwrap_or_else(|| panic!("{word}"));
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn a_model_is_not_mistaken_for_another_file_type() {
        assert_eq!(foreign(&[0x08, 0x0a, 0x12, 0x07, b'p', b'y', b't', b'o', b'r', b'c', b'h']), None);
        assert_eq!(foreign(&[0x08, 0x08, 0x3a, 0x80]), None);
    }
}
