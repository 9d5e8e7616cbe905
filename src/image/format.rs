//! Identifies unsupported files by their first bytes.

/// Offset and bytes of a signature, name of the format, and advice.
type Format = (usize, &'static [u8], &'static str, &'static str);

const CONVERT: &str = "convert it to JPEG or PNG";

/// Formats that users send by mistake, the most specific signatures first.
const FORMATS: [Format; 29] = [
    (0, b"GIF8", "GIF", "save one of its frames as PNG"),
    (0, b"II*\0", "TIFF", CONVERT),
    (0, b"MM\0*", "TIFF", CONVERT),
    (0, b"II+\0", "TIFF", CONVERT),
    (0, b"MM\0+", "TIFF", CONVERT),
    (0, b"%PDF-", "PDF", "export the page as PNG or JPEG"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", CONVERT),
    (0, b"\xff\x0a", "JPEG XL", CONVERT),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", CONVERT),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", CONVERT),
    (0, b"8BPS", "PSD", CONVERT),
    (0, b"\0\0\x01\0", "ICO", CONVERT),
    (0, b"P4\n", "PBM", CONVERT),
    (0, b"P5\n", "PGM", CONVERT),
    (0, b"P6\n", "PPM", CONVERT),
    (0, b"icns", "ICNS", CONVERT),
    (0, b"\x01\xda", "SGI", CONVERT),
    (0, b"\x0a\x05\x01", "PCX", CONVERT),
    (0, b"\xd7\xcd\xc6\x9a", "WMF", CONVERT),
    (8, b"WAVE", "WAV audio", "send an image"),
    (8, b"AVI ", "AVI video", "send one of its frames as JPEG or PNG"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska video", "send one of its frames as JPEG or PNG"),
    (0, b"qoif", "QOI", CONVERT),
    (0, b"DDS ", "DDS", CONVERT),
    (0, b"v/1\x01", "OpenEXR", CONVERT),
    (0, b"#?RADIANCE", "Radiance HDR", CONVERT),
    (0, b"\x1f\x8b", "gzip", "send the image itself, or say Content-Encoding: gzip"),
    (0, b"PK\x03\x04", "ZIP", "send the images themselves"),
    (0, b"%!PS", "PostScript", CONVERT),
];

/// Describes a file that begins with these bytes.
pub(super) fn looks_like(bytes: &[u8]) -> String {
    if let Some((name, advice)) = named(bytes) {
        return format!("it looks like {name}, which is not supported; {advice}");
    }
    let start = &bytes[..bytes.len().min(16)];
    let line = start.split(|&byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(text) if text.chars().all(|symbol| symbol == '\t' || !symbol.is_control()) => {
            format!("it begins with the text {text:?}")
        }
        _ => {
            let hexadecimal: Vec<String> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("it begins with the bytes {}", hexadecimal.join(" "))
        }
    }
}

fn named(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let begins = |&&(at, start, ..): &&Format| bytes.get(at..).is_some_and(|rest| rest.starts_with(start));
    let known = FORMATS.iter().find(begins).map(|&(.., name, advice)| (name, advice));
    let others = [bitmap, cursor, boxed, form, markup];
    known.or_else(|| others.iter().find_map(|of| of(bytes)))
}

/// BMP. `BM` alone could begin a text, so the size of the info header is checked too.
fn bitmap(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let header = bytes.strip_prefix(b"BM")?.get(12..16)?;
    let known = matches!(u32::from_le_bytes(header.try_into().ok()?), 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124);
    known.then_some(("BMP", CONVERT))
}

/// A Windows cursor with at least one image, or a Targa file, which may look like a cursor without images.
fn cursor(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match *bytes.first_chunk::<6>()? {
        [0, 0, 2, 0, 0, 0] => Some(("TGA", CONVERT)),
        [0, 0, 2, 0, ..] => Some(("CUR", CONVERT)),
        _ => None,
    }
}

/// A multipart form sent without its Content-Type.
fn form(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const MAX_HEAD: usize = 1024;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_HEAD)]).to_ascii_lowercase();
    let advice = "its Content-Type must be multipart/form-data, with the boundary";
    (start.starts_with("--") && start.contains("content-disposition:")).then_some(("a multipart form", advice))
}

/// ISO media files, identified by the brands in their first box: HEIC, AVIF, raw photographs and videos.
fn boxed(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let brands = bytes.get(4..length.clamp(8, 256).min(bytes.len()))?.strip_prefix(b"ftyp")?;
    // A version lies between the first brand and the others.
    let mut brands: Vec<_> = brands.as_chunks::<4>().0.iter().collect();
    if brands.len() > 1 {
        brands.remove(1);
    }
    let has = |names: &[&[u8; 4]]| brands.iter().any(|brand| names.contains(brand));
    if has(&[b"avif", b"avis"]) {
        Some(("AVIF", CONVERT))
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"])
    {
        let advice = "save it as JPEG (an iPhone does under Settings, Camera, Formats, Most Compatible)";
        Some(("HEIC", advice))
    } else if has(&[b"crx "]) {
        Some(("CR3", CONVERT))
    } else if has(&[b"jxl "]) {
        Some(("JPEG XL", CONVERT))
    } else {
        Some(("MP4 video", "send one of its frames as JPEG or PNG"))
    }
}

/// SVG and HTML, after any prolog before the first element.
fn markup(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const MAX_HEAD: usize = 4096;
    let head = &bytes[..bytes.len().min(MAX_HEAD)];
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let mut rest = text.trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<svg") => return Some(("SVG", "export it as PNG")),
            _ if rest.starts_with("<!doctype html") || rest.starts_with("<html") => {
                return Some(("HTML", "send the image itself, not the page that shows it"));
            }
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?") => "?>",
            // A document type may contain a bracketed part, so this does not skip to `>`.
            _ if rest.starts_with("<!doctype svg") => return Some(("SVG", "export it as PNG")),
            _ => return None,
        };
        rest = rest[rest.find(end)? + end.len()..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_named_and_text_is_quoted() {
        let cases: [(&[u8], &str); 33] = [
            (b"GIF87a\x01\0", "GIF"),
            (b"GIF89a\x01\0", "GIF"),
            (b"II*\0\x08\0\0\0", "TIFF"),
            (b"MM\0*\0\0\0\x08", "TIFF"),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "BMP"),
            (b"%PDF-1.7\n", "PDF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
            (b"\0\0\0\x10ftypheix\0\0\0\0", "HEIC"),
            (b"\0\0\0\x18ftypmsf1\0\0\0\0hevc", "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
            (b"\0\0\0\x18ftypisom\0\0\x02\0isom", "MP4 video"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
            (b"\xff\x0a\x01\x02", "JPEG XL"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
            (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
            (b"\0\0\x01\0\x01\0\x10\x10", "ICO"),
            (b"8BPS\0\x01", "PSD"),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "SVG"),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<SVG width=\"1\"/>", "SVG"),
            (b"<?xml version=\"1.0\"?><!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"svg11.dtd\"><svg/>", "SVG"),
            (b"  <!doctype html><html>", "HTML"),
            (b"PK\x03\x04\x14\0", "ZIP"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"qoif\0\0", "QOI"),
            (b"\0\0\x02\0\x01\0\x20\x20", "CUR"),
            (b"\0\0\x02\0\0\0\0\0\0\0", "TGA"),
            (b"P6\n2 2\n255\n", "PPM"),
            (b"\x0a\x05\x01\x08\0\0", "PCX"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "WAV audio"),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "CR3"),
            (b"--B\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n", "a multipart form"),
        ];
        for (bytes, name) in cases {
            let said = looks_like(bytes);
            assert!(said.contains(&format!("it looks like {name}, which is not supported; ")), "{said}");
        }
        for text in ["BMW and others", "{\"width\": 1}", "<?xml version='1.0'?><a/>", "<!-- unfinished", "ftyp"] {
            assert!(looks_like(text.as_bytes()).starts_with("it begins with the text "), "{text}");
        }
        assert_eq!(looks_like(&[0xFE, 0xED]), "it begins with the bytes fe ed");
        assert_eq!(looks_like(&[0, 1, b'a']), "it begins with the bytes 00 01 61");
        assert_eq!(looks_like(b"a line\nand another"), "it begins with the text \"a line\"");
        assert_eq!(looks_like(&[]), "it begins with the text \"\"");
    }
}
