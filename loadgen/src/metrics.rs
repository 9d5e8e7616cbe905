//! Reads single values from the text of the server's `/metrics`.

/// Number of images waiting for a worker.
pub const QUEUE_LENGTH: &str = "anywidth_queue_length";

/// The value of a metric without labels.
pub fn value(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.filter_map(|value| value.trim().parse().ok()).find(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# HELP anywidth_queue_length Images.\nanywidth_queue_length_max 9\nanywidth_queue_length 3\n";
        assert_eq!(value(text, QUEUE_LENGTH), Some(3.0));
        assert_eq!(value(text, "anywidth"), None);
        assert_eq!(value("anywidth_queue_length NaN", QUEUE_LENGTH), None);
    }
}
