//! JSON Schema, as far as the description of the API goes: a keyword that is not known here fails the test.

use serde_json::Value;

/// A description in OpenAPI 3.1.
pub struct Document(Value);

impl Document {
    pub fn new(document: Value) -> Document {
        assert_eq!(document["openapi"], "3.1.0");
        Document(document)
    }

    /// What is described of an answer.
    pub fn answer(&self, method: &str, path: &str, status: u16) -> &Value {
        let described = &self.0["paths"][path][method]["responses"][status.to_string()];
        assert!(described.is_object(), "{method} {path} {status} is not described");
        described
    }

    /// Is the value as the schema says?
    pub fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let Some(keywords) = schema.as_object() else { panic!("{schema} is no schema") };
        for (keyword, rule) in keywords {
            self.holds(keyword, rule, value)?;
        }
        Ok(())
    }

    fn holds(&self, keyword: &str, rule: &Value, value: &Value) -> Result<(), String> {
        let number = |value: &Value| value.as_f64();
        let holds = match keyword {
            "$ref" => return self.validate(self.referred(rule), value),
            "allOf" => return list(rule).iter().try_for_each(|schema| self.validate(schema, value)),
            "oneOf" => list(rule).iter().filter(|schema| self.validate(schema, value).is_ok()).count() == 1,
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| has_type(value, name)),
                name => has_type(value, name),
            },
            "required" => {
                value.as_object().is_none_or(|object| list(rule).iter().all(|name| object.contains_key(text(name))))
            }
            "properties" => return self.each_property(rule, value),
            "items" => return list(value).iter().try_for_each(|item| self.validate(rule, item)),
            "enum" => list(rule).contains(value),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "minimum" => number(value).is_none_or(|value| value >= number(rule).unwrap()),
            "exclusiveMinimum" => number(value).is_none_or(|value| value > number(rule).unwrap()),
            "maximum" => number(value).is_none_or(|value| value <= number(rule).unwrap()),
            // For people, and for whoever writes clients.
            "description" | "format" | "title" => true,
            _ => panic!("the keyword {keyword:?} is not known here"),
        };
        if holds { Ok(()) } else { Err(format!("{value} is not as {keyword:?}: {rule} asks")) }
    }

    fn each_property(&self, rule: &Value, value: &Value) -> Result<(), String> {
        let Some(object) = value.as_object() else { return Ok(()) };
        let rules = rule.as_object().into_iter().flatten();
        let mut present = rules.filter_map(|(name, schema)| Some((schema, object.get(name)?)));
        present.try_for_each(|(schema, value)| self.validate(schema, value))
    }

    fn referred(&self, place: &Value) -> &Value {
        let pointer = text(place).strip_prefix('#').unwrap();
        self.0.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
    }
}

/// The elements of an array, of anything else none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn has_type(value: &Value, name: &Value) -> bool {
    match text(name) {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        name => panic!("no type: {name}"),
    }
}
