//! What somebody may have meant who typed a name that is not there.

/// How alike an unknown name and a known one must be (from 0 to 1) to suggest the one for the other.
const ALIKE: f64 = 0.75;

/// Of the known names, in small letters, the one that is most like this one, if any is.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rated = known.into_iter().map(|known| (strsim::jaro_winkler(&name, known), known));
    let (likeness, known) = rated.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= ALIKE).then_some(known)
}

/// The same for an error's text, after the name that is not there; empty where nothing is like it.
pub(crate) fn did_you_mean(nearest: &Option<impl AsRef<str>>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean {:?}?", name.as_ref())).unwrap_or_default()
}
