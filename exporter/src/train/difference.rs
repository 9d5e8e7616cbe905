//! The differences between two recipes, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Recipe;

/// A field that differs between two recipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path, such as `schedule.peak`.
    pub field: String,
    /// Both values as JSON; `nothing` for a missing field.
    pub values: [String; 2],
}

/// The fields in which `left` and `right` differ, by name.
pub fn differences(left: &Recipe, right: &Recipe) -> Vec<Difference> {
    let [left, right] = [left, right].map(|recipe| {
        let mut fields = BTreeMap::new();
        flatten("", serde_json::to_value(recipe).expect("a recipe has a JSON form"), &mut fields);
        fields
    });
    let mut names: Vec<&String> = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name))).collect();
    names.sort();
    let text = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
    let differing = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    differing
        .map(|name| Difference { field: name.clone(), values: [&left, &right].map(|of| text(of.get(name))) })
        .collect()
}

/// Inserts `value` into `fields` under `name`; recurses into objects.
fn flatten(name: &str, value: Value, fields: &mut BTreeMap<String, Value>) {
    let Value::Object(members) = value else {
        fields.insert(name.into(), value);
        return;
    };
    for (key, member) in members {
        let name = if name.is_empty() { key } else { format!("{name}.{key}") };
        flatten(&name, member, fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(fields: &str) -> Recipe {
        let text = r#"{"dataset":"mnist","architecture":{"family":"lenet-3c1l","channels":45},
            "method":{"name":"one-pass","narrowest":0.125,"emphasis":[[0.25,0.2]],"coverage":true},
            "epochs":18,"batch":128,"schedule":{"peak":0.1,"warm_up":0.15,"decay":"cosine"},
            "sgd":{"momentum":0.9,"nesterov":true,"weight_decay":0.0005},
            "label_smoothing":0.0,
            "augmentation":{"pad":2,"flip":false},"held_out":5000,"seed":1,"precision":"bfloat16"}"#;
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        let changed: Value = serde_json::from_str(fields).expect("JSON");
        for (field, new) in changed.as_object().expect("an object") {
            value[field] = new.clone();
        }
        serde_json::from_value(value).expect("a recipe")
    }

    #[test]
    fn the_same_recipe_differs_in_nothing() {
        assert_eq!(differences(&recipe("{}"), &recipe("{}")), []);
    }

    #[test]
    fn fields_within_fields_are_compared_one_by_one_and_lists_as_a_whole() {
        let other = recipe(
            r#"{"epochs":20,"sgd":{"momentum":0.9,"nesterov":true,"weight_decay":0.5},
                "method":{"name":"one-pass","narrowest":0.125,"emphasis":[],"coverage":true},
                "architecture":{"family":"vgg-8","channels":[2,3,4]}}"#,
        );
        let expected = [
            ("architecture.channels", ["45", "[2,3,4]"]),
            ("architecture.family", ["\"lenet-3c1l\"", "\"vgg-8\""]),
            ("epochs", ["18", "20"]),
            ("method.emphasis", ["[[0.25,0.2]]", "[]"]),
            ("sgd.weight_decay", ["0.0005", "0.5"]),
        ];
        let expected =
            expected.map(|(field, values)| Difference { field: field.into(), values: values.map(String::from) });
        assert_eq!(differences(&recipe("{}"), &other), expected);
    }
}
