//! Rust source without comments and literals, so that a rule finds words of the program only.

/// What the lexer is within.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Code,
    LineComment,
    /// Block comments nest.
    BlockComment(usize),
    Text,
    /// A raw string, which so many `#` end.
    RawText(usize),
}

/// A file's code: comments, strings and characters are blank, and each byte stays on its line.
pub(crate) struct Code {
    text: String,
    /// For each line, whether it belongs to tests.
    tests: Vec<bool>,
}

impl Code {
    /// `path` tells whether the whole file is part of the tests.
    pub(crate) fn of(path: &str, source: &str) -> Code {
        let text = blank(source);
        let all = ["/tests.rs", "/testing.rs"].iter().any(|name| path.ends_with(name)) || path.contains("tests/");
        let mut tests = vec![all; source.lines().count()];
        for (at, attribute) in text.match_indices("#[cfg(") {
            if is_for_tests(&text[at + attribute.len()..]) {
                let first = line(&text, at);
                tests[first - 1..line(&text, end_of_item(&text, at))].fill(true);
            }
        }
        Code { text, tests }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Whether a line is compiled for tests only.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests[line - 1]
    }

    /// The lines that have `word`, before and after which there is no letter, digit or `_`.
    pub(crate) fn lines_with(&self, word: &str) -> Vec<usize> {
        let found = self.text.match_indices(word).filter(|&(at, _)| self.is_whole(at, word));
        found.map(|(at, _)| line(&self.text, at)).collect()
    }

    /// What follows `prefix`, such as `crate::`, with the line: one name, or the first name of each path in braces.
    pub(crate) fn names_after(&self, prefix: &str) -> Vec<(usize, &str)> {
        let mut names = Vec::new();
        for (at, _) in self.text.match_indices(prefix).filter(|&(at, _)| self.starts_word(at)) {
            let rest = &self.text[at + prefix.len()..];
            let Some(group) = rest.strip_prefix('{') else {
                names.push((line(&self.text, at), name(rest)));
                continue;
            };
            let (mut depth, mut starts) = (0, true);
            for (offset, letter) in group.char_indices() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => starts = true,
                    _ if letter.is_whitespace() => {}
                    _ if starts => {
                        let at = at + prefix.len() + 1 + offset;
                        names.push((line(&self.text, at), name(&self.text[at..])));
                        starts = false;
                    }
                    _ => {}
                }
            }
        }
        names
    }

    fn starts_word(&self, at: usize) -> bool {
        !self.text[..at].ends_with(|letter: char| is_of_name(letter) || letter == ':')
    }

    fn is_whole(&self, at: usize, word: &str) -> bool {
        !self.text[..at].ends_with(is_of_name) && !self.text[at + word.len()..].starts_with(is_of_name)
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The name at the start.
fn name(text: &str) -> &str {
    text.split(|letter| !is_of_name(letter)).next().unwrap_or_default()
}

/// Of a `cfg` attribute's condition, whether it holds only in tests.
fn is_for_tests(condition: &str) -> bool {
    ["test)", "all(test,"].iter().any(|tests| condition.starts_with(tests))
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where the item that an attribute at `start` stands before ends: at its `;`, or at the brace that closes its first.
fn end_of_item(text: &str, start: usize) -> usize {
    let mut depth = 0;
    for (offset, letter) in text[start..].char_indices() {
        match letter {
            ';' if depth == 0 => return start + offset,
            '{' => depth += 1,
            '}' if depth <= 1 => return start + offset,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Puts a blank for each byte of comments, strings and characters.
fn blank(source: &str) -> String {
    let (mut text, mut within, mut at) = (String::with_capacity(source.len()), Within::Code, 0);
    while at < source.len() {
        let rest = &source[at..];
        let (length, next) = step(rest, within, text.ends_with(is_of_name));
        let is_code = within == Within::Code && next == Within::Code && !rest.starts_with('\'');
        for letter in rest[..length].chars() {
            match letter {
                '\n' => text.push('\n'),
                _ if is_code => text.push(letter),
                _ => text.extend(std::iter::repeat_n(' ', letter.len_utf8())),
            }
        }
        (at, within) = (at + length, next);
    }
    text
}

/// How many bytes belong together at the start of `rest`, and what comes after them.
fn step(rest: &str, within: Within, after_name: bool) -> (usize, Within) {
    let letter = rest.chars().next().map_or(0, char::len_utf8);
    match within {
        Within::LineComment => (letter, if rest.starts_with('\n') { Within::Code } else { within }),
        Within::BlockComment(depth) if rest.starts_with("*/") => {
            (2, if depth == 1 { Within::Code } else { Within::BlockComment(depth - 1) })
        }
        Within::BlockComment(depth) if rest.starts_with("/*") => (2, Within::BlockComment(depth + 1)),
        Within::Text if rest.starts_with('\\') => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), within),
        Within::Text if rest.starts_with('"') => (1, Within::Code),
        Within::RawText(marks) if rest.starts_with(&format!("\"{}", "#".repeat(marks))) => (1 + marks, Within::Code),
        Within::BlockComment(_) | Within::Text | Within::RawText(_) => (letter, within),
        Within::Code if rest.starts_with("//") => (2, Within::LineComment),
        Within::Code if rest.starts_with("/*") => (2, Within::BlockComment(1)),
        Within::Code if rest.starts_with('"') => (1, Within::Text),
        Within::Code if !after_name && ["r", "br"].iter().any(|start| rest.starts_with(start)) => {
            let quoted = rest.trim_start_matches('b').trim_start_matches('r');
            let marks = quoted.len() - quoted.trim_start_matches('#').len();
            match quoted[marks..].starts_with('"') {
                true => (rest.len() - quoted.len() + marks + 1, Within::RawText(marks)),
                false => (1, within),
            }
        }
        Within::Code if rest.starts_with('\'') => (character(rest), within),
        Within::Code => (letter, within),
    }
}

/// The bytes of a character literal, or 1 where a lifetime begins.
fn character(rest: &str) -> usize {
    let inner = &rest[1..];
    match inner.strip_prefix('\\') {
        Some(escape) => 2 + escape.chars().next().map_or(0, char::len_utf8) + escape[1..].find('\'').unwrap_or(0) + 1,
        None => {
            let length = inner.chars().next().map_or(0, char::len_utf8);
            if inner[length..].starts_with('\'') { length + 2 } else { 1 }
        }
    }
}

#[test]
fn comments_and_literals_are_blank_and_lines_stay() {
    let source = "let a = \"x // {y\\\" }\"; // crate::z\n/* a /* b */ c */ d('\\'', '{', b'\\n', 'e');\nfn f<'a>() { r#\"g\"h\"#; }\n";
    let blanked = blank(source);
    assert_eq!(blanked.len(), source.len());
    let words: Vec<Vec<&str>> = blanked.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        words,
        [vec!["let", "a", "=", ";"], vec!["d(", ",", ",", "b", ",", ");"], vec!["fn", "f<", "a>()", "{", ";", "}"]]
    );
}

#[test]
fn names_are_found_one_by_one_and_in_braces() {
    let code = Code::of(
        "src/a.rs",
        "use crate::one;\nuse crate::{\n    two::{a, b},\n    three,\n};\nlet a = mycrate::four;\n",
    );
    assert_eq!(code.names_after("crate::"), [(1, "one"), (3, "two"), (4, "three")]);
    assert_eq!(code.lines_with("thre"), [] as [usize; 0]);
    assert_eq!(code.lines_with("one"), [1]);
}

#[test]
fn code_of_tests_is_told_apart() {
    let code = Code::of(
        "src/a.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(all(test, unix))]\nmod d;\nfn e() {}\n",
    );
    let tests: Vec<_> = (1..=9).map(|line| code.is_test(line)).collect();
    assert_eq!(tests, [false, true, true, true, true, false, true, true, false]);
    assert!(Code::of("src/a/tests.rs", "\n").is_test(1));
}
