//! Checks WebP files before decoding.
//!
//! The decoder reports the canvas size, but decodes a frame of any size before it compares, and allocates whatever
//! length a chunk declares. Therefore every chunk must lie within the file, including those that are not decoded, and
//! every frame must have its declared size.

use super::ImageError;

const FORMAT: &str = "WebP";

/// Chunks that the decoder reads; it skips others.
const KNOWN: [&[u8; 4]; 8] = [b"VP8 ", b"VP8L", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP "];

type Sides = (u32, u32);

/// Rejects files whose chunks exceed the file, or whose frames differ from their declared size.
pub(super) fn check(file: &[u8]) -> Result<(), ImageError> {
    // Shorter files are left to the decoder.
    let (Some(size), Some(body)) = (file.get(4..8), file.get(12..)) else { return Ok(()) };
    // The decoder looks for chunks up to here, slightly beyond the declared end.
    let end = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize + 6;
    let mut canvas = None;
    for (index, chunk) in (Chunks { rest: body, at: 0, end }).enumerate() {
        match (chunk?, canvas) {
            ((b"VP8X", payload), _) if index == 0 => canvas = Some(canvas_size(payload)?),
            ((b"VP8 ", payload), Some(canvas)) => check_frame_size(payload, canvas)?,
            ((b"ANMF", payload), Some(canvas)) => check_frame(payload, canvas)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks a frame of an animation: position, size, and nested chunks.
fn check_frame(payload: &[u8], canvas: Sides) -> Result<(), ImageError> {
    let (Some(sides), Some(body)) = (three_bytes(payload, 6).zip(three_bytes(payload, 9)), payload.get(16..)) else {
        return Err(ImageError::broken(FORMAT, "a frame of the animation ends early"));
    };
    let sides = (sides.0 + 1, sides.1 + 1);
    if sides.0 > canvas.0 || sides.1 > canvas.1 {
        return Err(size_mismatch(sides, canvas));
    }
    let mut after_alpha = false;
    for chunk in (Chunks { rest: body, at: 0, end: body.len() }) {
        let (name, payload) = chunk?;
        // The decoder treats the chunk after ALPH as a frame, whatever its name.
        if name == b"VP8 " || after_alpha {
            check_frame_size(payload, sides)?;
        }
        after_alpha = name == b"ALPH";
    }
    Ok(())
}

/// Checks that the frame of a `VP8 ` chunk has the declared size.
fn check_frame_size(payload: &[u8], announced: Sides) -> Result<(), ImageError> {
    // Three bytes of flags, a fixed three-byte start code, and two sides of 14 bits.
    let side = |at: usize| Some(u32::from(u16::from_le_bytes(payload.get(at..at + 2)?.try_into().ok()?) & 0x3FFF));
    match side(6).zip(side(8)) {
        Some(sides) if sides != announced => Err(size_mismatch(sides, announced)),
        _ => Ok(()),
    }
}

/// The canvas of an extended file. The decoder reads ten bytes, whatever length the chunk declares.
fn canvas_size(payload: &[u8]) -> Result<Sides, ImageError> {
    match (payload.len(), three_bytes(payload, 4).zip(three_bytes(payload, 7))) {
        (10, Some((width, height))) => Ok((width + 1, height + 1)),
        (length, _) => Err(ImageError::broken(FORMAT, format!("its VP8X chunk has {length} bytes, not 10"))),
    }
}

fn three_bytes(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 3)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
}

fn size_mismatch(found: Sides, announced: Sides) -> ImageError {
    let ((width, height), (columns, rows)) = (found, announced);
    ImageError::broken(FORMAT, format!("a frame of {width} x {height} pixels where {columns} x {rows} are announced"))
}

/// Iterator over chunks: a four-character code, a length, the payload, and a padding byte if the length is odd.
struct Chunks<'a> {
    rest: &'a [u8],
    /// Offset of `rest`.
    at: usize,
    /// No chunk begins at or after this offset.
    end: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<(&'a [u8; 4], &'a [u8]), ImageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.rest.split_first_chunk::<4>().filter(|_| self.at < self.end)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            self.rest = &[];
            let broken = || Err(ImageError::broken(FORMAT, "a part of it is longer than the file"));
            return KNOWN.contains(&name).then(broken);
        };
        self.rest = rest.get(length % 2..).unwrap_or_default();
        self.at += 8 + length + length % 2;
        Some(Ok((name, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_le_bytes();
        let padding = vec![0; payload.len() % 2];
        [name.as_slice(), &length, payload, &padding].concat()
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = [b"WEBP".to_vec(), chunks.concat()].concat();
        chunk(b"RIFF", &body)
    }

    fn canvas(width: u32, height: u32) -> Vec<u8> {
        let sides = [(width - 1).to_le_bytes(), (height - 1).to_le_bytes()];
        chunk(b"VP8X", &[&[0; 4], &sides[0][..3], &sides[1][..3]].concat())
    }

    fn frame(width: u16, height: u16) -> Vec<u8> {
        chunk(
            b"VP8 ",
            &[&[0, 0, 0, 0x9D, 0x01, 0x2A], &width.to_le_bytes()[..], &height.to_le_bytes(), &[0; 8]].concat(),
        )
    }

    fn animation(width: u32, height: u32, inside: &[u8]) -> Vec<u8> {
        let sides = [(width - 1).to_le_bytes(), (height - 1).to_le_bytes()];
        chunk(b"ANMF", &[&[0; 6], &sides[0][..3], &sides[1][..3], &[0; 4], inside].concat())
    }

    fn reason(chunks: &[Vec<u8>]) -> String {
        check(&file(chunks)).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn consistent_files_are_left_to_the_decoder() {
        assert_eq!(reason(&[frame(16383, 16383)]), "");
        assert_eq!(reason(&[canvas(7, 9), chunk(b"ICCP", &[1, 2, 3]), frame(7, 9)]), "");
        assert_eq!(reason(&[canvas(7, 9), animation(3, 2, &frame(3, 2)), animation(7, 9, &frame(7, 9))]), "");
        // Bytes after the end that look like a chunk.
        let trailing = [file(&[canvas(7, 9), frame(7, 9)]), vec![0xFF; 64]].concat();
        assert_eq!(check(&trailing), Ok(()));
        for length in 0..20 {
            assert_eq!(check(&file(&[canvas(1, 1)])[..length]), Ok(()));
        }
    }

    #[test]
    fn a_frame_of_another_size_than_declared_is_refused() {
        let message = "the WebP image is broken: a frame of 16383 x 16383 pixels where 1 x 1 are announced";
        assert_eq!(reason(&[canvas(1, 1), frame(16383, 16383)]), message);
        assert_eq!(reason(&[canvas(1, 1), animation(16383, 16383, &frame(16383, 16383))]), message);
        let message = "the WebP image is broken: a frame of 16 x 16 pixels where 1 x 1 are announced";
        assert_eq!(reason(&[canvas(16, 16), animation(1, 1, &frame(16, 16))]), message);
        let alpha = chunk(b"ALPH", &[0]);
        assert_eq!(reason(&[canvas(16, 16), animation(1, 1, &[alpha.clone(), frame(16, 16)].concat())]), message);
        let mut junk = frame(16, 16);
        junk[..4].copy_from_slice(b"JUNK");
        assert_eq!(reason(&[canvas(16, 16), animation(1, 1, &[alpha, junk].concat())]), message);
    }

    #[test]
    fn a_canvas_of_another_length_is_refused() {
        for length in [0, 9, 11, 1000] {
            let message = format!("the WebP image is broken: its VP8X chunk has {length} bytes, not 10");
            assert_eq!(reason(&[chunk(b"VP8X", &vec![0; length]), frame(16383, 16383)]), message);
        }
    }

    #[test]
    fn a_length_beyond_the_file_is_refused() {
        let message = "the WebP image is broken: a part of it is longer than the file";
        let mut exif = chunk(b"EXIF", &[0; 4]);
        exif[4..8].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
        assert_eq!(reason(&[canvas(1, 1), frame(1, 1), exif.clone()]), message);
        assert_eq!(reason(&[canvas(1, 1), animation(1, 1, &exif)]), message);
        assert!(reason(&[canvas(1, 1), chunk(b"ANMF", &[0; 9])]).ends_with("a frame of the animation ends early"));
    }
}
