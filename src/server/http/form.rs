//! Parses forms with files, `multipart/form-data` (RFC 7578), from a complete body.
//!
//! Files are slices of the body, not copies. A file's name may contain any bytes, in either form (`filename`, or `filename*` of
//! RFC 5987): invalid text is replaced, not rejected.

use axum::body::Bytes;
use memchr::memmem::{self, Finder};

/// A parser that reads a form part by part.
pub(super) struct Form<'a> {
    body: &'a Bytes,
    /// The end of a part: a line break, two dashes, the boundary.
    delimiter: Finder<'static>,
    /// Offset of the next part; `None` after the last.
    at: Option<usize>,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The field's name; empty if missing.
    pub(super) field: String,
    /// `None` if the part is not a file.
    pub(super) file_name: Option<String>,
    pub(super) content: Bytes,
}

/// Why a form cannot be read.
type Reason = &'static str;

/// Maximum number of continuations of a file's name (RFC 2231).
const MAX_PIECES: usize = 20;
/// The longest headers of a part: they are read once for each parameter that may be in them.
const MAX_HEAD_BYTES: usize = 16 << 10;

impl<'a> Form<'a> {
    /// The form in `body`, whose Content-Type is `kind`.
    pub(super) fn new(kind: &[u8], body: &'a Bytes) -> Result<Form<'a>, Reason> {
        let boundary = parameter(kind, "boundary").filter(|boundary| !boundary.is_empty());
        let boundary = boundary.ok_or("its Content-Type has no boundary")?;
        let delimiter = Finder::new(&[b"\r\n--", &boundary[..]].concat()).into_owned();
        let mut form = Form { body, delimiter, at: None };
        // The first boundary may lack the line break if it begins the body.
        let first = match body.starts_with(&form.delimiter.needle()[2..]) {
            true => form.behind(form.delimiter.needle().len() - 2),
            false => None,
        };
        let (_, first) =
            first.map(|next| (0, next)).or_else(|| form.find(0)).ok_or("it does not contain the boundary")?;
        form.at = first;
        Ok(form)
    }

    /// The next part, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Part>, Reason> {
        let Some(begin) = self.at else { return Ok(None) };
        // A part may have no headers.
        let (head, content) = match &self.body[begin..] {
            rest if rest.starts_with(b"\r\n") => (begin, begin + 2),
            rest => {
                let length = memmem::find(rest, b"\r\n\r\n").ok_or("it ends within the headers of a part")?;
                if length > MAX_HEAD_BYTES {
                    return Err("the headers of a part have more than 16384 bytes");
                }
                (begin + length, begin + length + 4)
            }
        };
        // The line break that ends the headers may also belong to the boundary.
        let (end, next) = self.find(content - 2).ok_or("it ends without its last boundary")?;
        self.at = next;
        let disposition = disposition(&self.body[begin..head]);
        let field = parameter(disposition, "name").unwrap_or_default();
        Ok(Some(Part {
            field: String::from_utf8_lossy(&field).into_owned(),
            file_name: file_name(disposition),
            content: self.body.slice(content.min(end)..end),
        }))
    }

    /// The next delimiter at or after `from`: its offset, and that of the next part, or `None` at the form's end.
    fn find(&self, from: usize) -> Option<(usize, Option<usize>)> {
        let delimiters = self.delimiter.find_iter(&self.body[from..]);
        let mut found = delimiters.map(|at| from + at);
        found.find_map(|at| Some((at, self.behind(at + self.delimiter.needle().len())?)))
    }

    /// The offset of the part after a boundary that ends at `end`. The inner `None` is the form's end; the outer `None` means that
    /// the match is not a boundary.
    fn behind(&self, end: usize) -> Option<Option<usize>> {
        let rest = &self.body[end..];
        if rest.starts_with(b"--") {
            return Some(None);
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        rest[padding..].starts_with(b"\r\n").then_some(Some(end + padding + 2))
    }
}

/// The value of the header Content-Disposition, which may continue on lines that begin with white space; empty if missing.
fn disposition(mut head: &[u8]) -> &[u8] {
    while !head.is_empty() {
        let ends = |at: usize| head[at] == b'\n' && !matches!(head.get(at + 1), Some(b' ' | b'\t'));
        let end = (0..head.len()).find(|&at| ends(at)).map_or(head.len(), |at| at + 1);
        let (line, rest) = head.split_at(end);
        if let Some(colon) = line.iter().position(|&byte| byte == b':')
            && line[..colon].trim_ascii().eq_ignore_ascii_case(b"content-disposition")
        {
            return &line[colon..];
        }
        head = rest;
    }
    &[]
}

/// The file name of a part: a valid `filename*`, else `filename`, else continuations (RFC 2231), else an invalid `filename*` as it
/// stands.
fn file_name(disposition: &[u8]) -> Option<String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let star = parameter(disposition, "filename*");
    let extended = star.as_ref().and_then(|value| extended(value));
    let pieces = || {
        let piece = |number: usize| {
            let of = |name: String| parameter(disposition, &name);
            of(format!("filename*{number}"))
                .or_else(|| of(format!("filename*{number}*")).map(|piece| unescaped(&piece)))
        };
        let pieces: Vec<Vec<u8>> = (0..MAX_PIECES).map_while(piece).collect();
        (!pieces.is_empty()).then(|| text(pieces.concat()))
    };
    extended.or_else(|| parameter(disposition, "filename").map(text)).or_else(pieces).or_else(|| star.map(text))
}

/// A parameter of a header, as in `form-data; name="a"; filename=b`. The text before the first semicolon is not a parameter.
fn parameter(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut rest = header.split_at_checked(header.iter().position(|&byte| byte == b';')?)?.1;
    while let [b';', after @ ..] = rest {
        let length = after.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(after.len());
        let (key, value) = after.split_at(length);
        let (value, behind) = match value {
            [b'=', value @ ..] => value_of(value.trim_ascii_start()),
            none => (Vec::new(), none),
        };
        if key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
            return Some(value);
        }
        rest = behind;
    }
    None
}

/// A parameter's value, and the rest from the next semicolon on.
fn value_of(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let until = |text: &'_ [u8]| text.iter().position(|&byte| byte == b';').unwrap_or(text.len());
    let [b'"', quoted @ ..] = text else {
        let (value, behind) = text.split_at(until(text));
        return (value.trim_ascii().to_vec(), behind);
    };
    let (mut value, mut rest) = (Vec::new(), quoted);
    loop {
        rest = match rest {
            [] => return (value, rest),
            [b'"', behind @ ..] => return (value, &behind[until(behind)..]),
            // Other backslashes are part of a Windows path: some clients do not escape them.
            [b'\\', byte @ (b'"' | b'\\'), behind @ ..] | [byte, behind @ ..] => {
                value.push(*byte);
                behind
            }
        };
    }
}

/// Decodes a value in the form of RFC 5987: `UTF-8'en'%e2%82%ac`.
fn extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = unescaped(text);
    match charset.eq_ignore_ascii_case(b"iso-8859-1") {
        true => Some(bytes.into_iter().map(char::from).collect()),
        false => Some(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, behind @ ..] = text {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match text {
            [b'%', high, low, rest @ ..] => hex(high).zip(hex(low)).map(|(high, low)| ((16 * high + low) as u8, rest)),
            _ => None,
        };
        let (byte, rest) = escaped.unwrap_or((*first, behind));
        bytes.push(byte);
        text = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const KIND: &[u8] = b"multipart/form-data; boundary=edge";

    fn parts(kind: &[u8], body: &[u8]) -> Result<Vec<Part>, Reason> {
        let body = Bytes::copy_from_slice(body);
        let mut form = Form::new(kind, &body)?;
        std::iter::from_fn(|| form.next().transpose()).collect()
    }

    /// The part with this disposition, as the only one of a form.
    fn only(disposition: &[u8]) -> Part {
        let body = [b"--edge\r\nContent-Disposition: form-data", disposition, b"\r\n\r\nx\r\n--edge--"].concat();
        parts(KIND, &body).unwrap().remove(0)
    }

    fn name(disposition: &[u8]) -> Option<String> {
        only(disposition).file_name
    }

    #[test]
    fn names_are_read_however_they_are_written() {
        assert_eq!(name(br#"; name="a"; filename="b c;d.png""#).as_deref(), Some("b c;d.png"));
        assert_eq!(name(b"; filename=b.png; name=a").as_deref(), Some("b.png"));
        assert_eq!(name(br#";FileName = "b" ; name=a"#).as_deref(), Some("b"));
        assert_eq!(name(br#"; filename="a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        assert_eq!(name(br#"; filename="C:\photos\b.png""#).as_deref(), Some(r"C:\photos\b.png"));
        assert_eq!(name("; filename=\"grüner Frosch.png\"".as_bytes()).as_deref(), Some("grüner Frosch.png"));
        assert_eq!(name(b"; filename=\"gr\xfcn.png\"").as_deref(), Some("gr\u{fffd}n.png"));
        assert_eq!(name(b"; name=a; filename*=UTF-8''gr%C3%BCn%20a.png").as_deref(), Some("grün a.png"));
        assert_eq!(name(b"; filename*=iso-8859-1'de'gr%fcn").as_deref(), Some("grün"));
        assert_eq!(name(b"; filename*=utf-8''%ff%4").as_deref(), Some("\u{fffd}%4"));
        // A valid extended form takes precedence; otherwise the plain one counts.
        assert_eq!(name(b"; filename=\"a.png\"; filename*=UTF-8''b.png").as_deref(), Some("b.png"));
        assert_eq!(name(b"; filename*=b.png; filename=a.png").as_deref(), Some("a.png"));
        assert_eq!(name(b"; filename*=b.png").as_deref(), Some("b.png"));
        assert_eq!(name(b"; filename*0=\"a long\"; filename*1=\" name.png\"").as_deref(), Some("a long name.png"));
        assert_eq!(name(b"; filename*0*=UTF-8; filename*1*=%20b").as_deref(), Some("UTF-8 b"));
        assert_eq!(name(b"; name=\"f\";\r\n\tfilename=\"a.png\"\r\nX: y").as_deref(), Some("a.png"));
        assert_eq!(name(b"; name=width"), None);
        assert_eq!(only(b"; name=\"width\"").field, "width");
        assert_eq!(name(b"; filename=\"\"").as_deref(), Some(""));
        assert_eq!(name(b"; filename=\"open").as_deref(), Some("open"));
    }

    #[test]
    fn what_stands_around_the_parts_does_not_count() {
        let body = b"preamble\r\n--edge \t\r\ncontent-TYPE: a/b\r\nCONTENT-disposition: form-data; name=a\r\n\r\n\
                     one\r\n--edgeways\r\n--edge\r\n\r\n\r\n--edge--\r\nepilogue\r\n--edge\r\n";
        let part = |field: &str, content: &'static [u8]| Part {
            field: field.into(),
            file_name: None,
            content: Bytes::from_static(content),
        };
        assert_eq!(parts(KIND, body), Ok(vec![part("a", b"one\r\n--edgeways"), part("", b"")]));
        assert_eq!(parts(KIND, b"--edge--"), Ok(vec![]));
        assert_eq!(parts(KIND, b"--edge\r\nA: b\r\n\r\n--edge--"), Ok(vec![part("", b"")]));
        assert_eq!(parts(KIND, b"--edge\r\n\r\n--edge--"), Ok(vec![part("", b"")]));
        assert_eq!(parts(b"multipart/form-data; x=\"; boundary=a\"; BOUNDARY=\"edge\"", b"--edge--"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_form_is_told() {
        assert_eq!(parts(b"multipart/form-data", b"--edge--"), Err("its Content-Type has no boundary"));
        assert_eq!(parts(b"multipart/form-data; boundary=", b"----"), Err("its Content-Type has no boundary"));
        assert_eq!(parts(KIND, b"no form"), Err("it does not contain the boundary"));
        assert_eq!(parts(KIND, b"--edge\r\nA: b"), Err("it ends within the headers of a part"));
        assert_eq!(parts(KIND, b"--edge\r\nA: b\r\n\r\nhalf"), Err("it ends without its last boundary"));
        assert_eq!(parts(KIND, b"--edge\r\n"), Err("it ends within the headers of a part"));
        assert_eq!(parts(KIND, b"--edge\r\n\r\n"), Err("it ends without its last boundary"));
    }

    #[test]
    fn headers_of_a_part_have_a_limit() {
        let with = |length: usize| {
            let padding = vec![b';'; length - b"content-disposition: form-data".len()];
            let body = [b"--edge\r\ncontent-disposition: form-data", &padding[..], b"\r\n\r\n\r\n--edge--"].concat();
            parts(KIND, &body).map(|parts| parts.len())
        };
        assert_eq!(with(MAX_HEAD_BYTES), Ok(1));
        assert_eq!(with(MAX_HEAD_BYTES + 1), Err("the headers of a part have more than 16384 bytes"));
    }

    proptest! {
        #[test]
        fn files_come_out_as_they_went_in(files in vec((vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..300)), 0..5)) {
            let boundary = b"a boundary of which no file knows";
            let mut body = Vec::new();
            for (name, content) in &files {
                let escaped: String = name.iter().map(|byte| format!("%{byte:02x}")).collect();
                body.extend([b"--", &boundary[..], b"\r\ncontent-disposition: form-data; filename*=UTF-8''"].concat());
                body.extend([escaped.as_bytes(), b"\r\n\r\n", content, b"\r\n"].concat());
            }
            body.extend([b"--", &boundary[..], b"--\r\n"].concat());
            let kind = [b"multipart/form-data; boundary=\"", &boundary[..], b"\""].concat();
            let got = parts(&kind, &body).unwrap();
            prop_assert_eq!(got.len(), files.len());
            for (part, (name, content)) in got.iter().zip(&files) {
                prop_assert_eq!(part.file_name.as_deref(), Some(&*String::from_utf8_lossy(name)));
                prop_assert_eq!(&part.content[..], &content[..]);
            }
        }

        #[test]
        fn no_bytes_do_worse_than_an_error(bytes in vec(prop_oneof![
            Just(b"--edge".to_vec()), Just(b"\r\n".to_vec()), Just(b"--".to_vec()), Just(b": ; filename=\"".to_vec()),
            vec(any::<u8>(), 0..3),
        ], 0..40)) {
            let bytes = bytes.concat();
            let _ = parts(KIND, &bytes);
            let _ = parts(&bytes, &bytes);
        }
    }
}
