//! Every link of every document leads somewhere: to a file that is there, and to a heading in it.
//!
//! Links to other servers are looked at, not followed. What programs and configurations say of `docs/*.md` must be there as well.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::repository::{Violation, files, report, root};

/// A document without what it shows as code, where nothing is a link. Lines keep their numbers.
fn prose(text: &str) -> Vec<String> {
    let (mut lines, mut fence, mut indented, mut blank) = (Vec::new(), None, false, true);
    for line in text.lines() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        let code = match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                true
            }
            (Some(open), Some(mark)) if open == mark => {
                fence = None;
                true
            }
            (open, _) => open.is_some(),
        };
        indented = line.starts_with("    ") && (blank || indented) && !line.trim_start().starts_with(['-', '*', '[']);
        blank = line.trim().is_empty();
        lines.push(if code || indented { String::new() } else { without_spans(line) });
    }
    lines
}

/// A line without what stands between backquotes.
fn without_spans(line: &str) -> String {
    // What follows the last one of an odd number is none.
    let parts: Vec<_> = line.split('`').collect();
    let last = parts.len() - 1;
    let kept = parts.iter().enumerate().filter(|(index, _)| index % 2 == 0 || (last % 2 == 1 && *index == last));
    kept.map(|(_, part)| *part).collect::<Vec<_>>().join("`")
}

/// Where the links of a line lead.
fn targets(line: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut between = |open: &str, close: &[char]| {
        for rest in line.split(open).skip(1) {
            let target = rest.trim_start_matches('<').split(close).next().unwrap_or_default().trim();
            targets.push(target.to_owned());
        }
    };
    // A title may follow the target.
    between("](", &[')', ' ', '>']);
    between("href=\"", &['"']);
    between("src=\"", &['"']);
    between("srcset=\"", &['"', ' ']);
    between("<http", &['>']);
    if let Some((_, target)) = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        targets.extend(target.split_whitespace().next().map(str::to_owned));
    }
    targets
        .into_iter()
        .map(
            |target| {
                if target.starts_with("s://") || target.starts_with("://") { format!("http{target}") } else { target }
            },
        )
        .collect()
}

/// The anchors of a document: of its headings as GitHub makes them, and those that it names itself.
fn anchors(text: &str) -> HashSet<String> {
    let (mut anchors, mut seen) = (HashSet::new(), HashMap::new());
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if !fenced && heading.len() < line.len() && heading.starts_with(' ') {
            let slug = slug(heading.trim());
            let count = seen.entry(slug.clone()).or_insert(0);
            anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
            *count += 1;
        }
        for mark in ["id=\"", "name=\""] {
            anchors.extend(line.split(mark).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    // Of a link in a heading, its words count.
    let mut words = String::new();
    for part in heading.split('[') {
        match part.split_once("](") {
            Some((text, rest)) => words += &format!("{text}{}", rest.split_once(')').map_or("", |(_, rest)| rest)),
            None => words += part,
        }
    }
    let kept = words.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// What is wrong with a link from this file; nothing if nothing is.
fn broken(from: &Path, target: &str) -> Option<String> {
    if ["http:", "https:"].iter().any(|scheme| target.starts_with(scheme)) {
        return (!is_address(target)).then(|| "no address".to_owned());
    }
    if target.starts_with("mailto:") {
        return (!target.contains('@')).then(|| "no address".to_owned());
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() { from.to_owned() } else { from.parent().unwrap().join(path) };
    if !file.exists() {
        return Some("no such file".to_owned());
    }
    let anchor = anchor?;
    let known = anchors(&fs::read_to_string(&file).unwrap_or_default());
    (!known.contains(anchor)).then(|| "no such heading".to_owned())
}

/// Whether it has a scheme, a host and no character that an address cannot have.
fn is_address(target: &str) -> bool {
    let rest = target.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { "" });
    let of_host = |letter: char| letter.is_alphanumeric() || ".-".contains(letter);
    let allowed = |letter: char| letter.is_ascii_graphic() && !"<>\"\\^`{|}".contains(letter);
    !name.is_empty() && name.chars().all(of_host) && rest.chars().all(allowed)
}

fn violation(file: &Path, line: usize, target: &str, problem: &str) -> Violation {
    Violation {
        file: file.strip_prefix(root()).unwrap().display().to_string(),
        line,
        rule: format!("a link leads to a file or heading that is there; {target} does not: {problem}"),
        remedy: "correct the link, or name what has been renamed".to_owned(),
    }
}

#[test]
fn every_link_of_every_document_leads_somewhere() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in files(&[".md"]) {
        for (index, line) in prose(&fs::read_to_string(&file).unwrap()).iter().enumerate() {
            for target in targets(line) {
                seen += 1;
                let problem = broken(&file, &target);
                wrong.extend(problem.map(|problem| violation(&file, index + 1, &target, &problem)));
            }
        }
    }
    assert!(seen > 40, "only {seen} links were found");
    report(&wrong);
}

#[test]
fn every_page_that_programs_name_is_there() {
    let mut wrong = Vec::new();
    for file in files(&[
        ".rs",
        ".toml",
        ".yml",
        ".yaml",
        ".json",
        ".sh",
        ".py",
        ".js",
        ".html",
        ".cfg",
        ".conf",
        "Makefile",
        "Dockerfile",
    ]) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (index, line) in text.lines().enumerate() {
            for rest in line.split("docs/").skip(1) {
                let is_name = |letter: char| letter.is_alphanumeric() || "-_./#".contains(letter);
                let name = rest.split(|letter| !is_name(letter)).next().unwrap_or_default().trim_end_matches('.');
                if !name.split('#').next().unwrap_or_default().ends_with(".md") {
                    continue;
                }
                let problem = broken(&root().join("README.md"), &format!("docs/{name}"));
                wrong.extend(problem.map(|problem| violation(&file, index + 1, &format!("docs/{name}"), &problem)));
            }
        }
    }
    report(&wrong);
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let from = root().join("README.md");
    let problem = |target: &str| broken(&from, target);
    assert_eq!(problem("docs/api.md#errors"), None);
    assert_eq!(problem("https://example.com/a?b=c#d"), None);
    assert_eq!(problem("CHANGELOG.md#no-such-heading").as_deref(), Some("no such heading"));
    assert_eq!(problem("no-such-page.md").as_deref(), Some("no such file"));
    for address in ["https://", "http:/one", "https://a b.c", "mailto:nobody"] {
        assert_eq!(problem(address).as_deref(), Some("no address"), "{address}");
    }
}

#[test]
fn anchors_are_those_that_github_makes() {
    let text =
        "# One *two*\n## `a_b`: c, d?\n## [Docs](x.md) now\n## Same\n## Same\n```\n# none\n```\n<a id=\"own\"></a>\n";
    let mut found: Vec<_> = anchors(text).into_iter().collect();
    found.sort();
    assert_eq!(found, ["a_b-c-d", "docs-now", "one-two", "own", "same", "same-1"]);
    assert_eq!(targets("[a](b.md#c) ![d](<e.png> \"f\") <https://g.h/>"), ["b.md#c", "e.png", "https://g.h/"]);
    assert_eq!(prose("a `[b](c)` d\n\n    [e](f)\n```\n[g](h)\n```\ni"), ["a ` d", "", "    [e](f)", "", "", "", "i"]);
}
