//! What the fuzz targets share.

/// Checks that a message is one readable line.
///
/// # Panics
/// If it is empty, longer than `longest` characters, or has a control character.
pub fn check_message(message: &str, longest: usize) {
    assert!(!message.is_empty(), "an error without a message");
    assert!(message.chars().count() <= longest, "{} characters: {message}", message.chars().count());
    assert!(!message.chars().any(char::is_control), "a control character: {message:?}");
}
