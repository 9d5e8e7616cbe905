//! Suggestions for misspelled names.

/// Minimum Jaro-Winkler similarity (0 to 1) of a suggestion.
const MIN_SIMILARITY: f64 = 0.75;

/// The most similar of the known names, which must be lowercase; `None` if none is similar enough.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rated = known.into_iter().map(|known| (strsim::jaro_winkler(&name, known), known));
    let (similarity, known) = rated.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (similarity >= MIN_SIMILARITY).then_some(known)
}

/// The suggestion as the tail of an error message; empty if there is none.
pub(crate) fn did_you_mean(nearest: &Option<impl AsRef<str>>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean {:?}?", name.as_ref())).unwrap_or_default()
}
