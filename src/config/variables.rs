//! Finds environment variables with the settings' prefix that name no setting.

use super::SETTINGS;
use super::setting::PREFIX;
use super::sources::CONFIG;
use crate::nearest::{did_you_mean, nearest};

/// A warning for each of `names` that has the settings' prefix but names no setting, sorted.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let keys = || SETTINGS.iter().map(|setting| setting.key).chain([CONFIG]);
    let told = |name: String| {
        let key = name.strip_prefix(PREFIX)?.to_lowercase();
        if keys().any(|known| known == key) || is_of_kubernetes(&key) {
            return None;
        }
        let nearest = nearest(&key, keys()).map(|key| format!("{PREFIX}{}", key.to_uppercase()));
        let name: String = name.chars().take(80).collect();
        Some(format!("unknown variable {name}{}", did_you_mean(&nearest)))
    };
    let mut sentences: Vec<_> = names.into_iter().filter_map(told).collect();
    sentences.sort();
    sentences
}

/// Whether Kubernetes sets this variable: it describes a service called `anywidth` to every container in the namespace.
fn is_of_kubernetes(key: &str) -> bool {
    key.ends_with("service_host")
        || key.contains("service_port")
        || key.strip_prefix("port_").is_some_and(|port| port.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    #[test]
    fn a_mistyped_variable_is_told_with_the_nearest_and_others_are_not() {
        let told = |names: &[&str]| unknown_variables(names.iter().map(|&name| name.to_owned()));
        assert_eq!(
            told(&["ANYWIDTH_THREDS", "ANYWIDTH_PORTS", "ANYWIDTH_ZZZ", "PATH"]),
            [
                "unknown variable ANYWIDTH_PORTS, did you mean \"ANYWIDTH_PORT\"?",
                "unknown variable ANYWIDTH_THREDS, did you mean \"ANYWIDTH_THREADS\"?",
                "unknown variable ANYWIDTH_ZZZ",
            ]
        );
        let known = SETTINGS.iter().map(Setting::variable).chain(["ANYWIDTH_CONFIG".to_owned()]);
        assert_eq!(unknown_variables(known), [""; 0]);
        assert_eq!(
            told(&["ANYWIDTH_SERVICE_HOST", "ANYWIDTH_SERVICE_PORT_HTTP", "ANYWIDTH_PORT_80_TCP_ADDR"]),
            [""; 0]
        );
    }
}
