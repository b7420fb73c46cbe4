// SPDX-License-Identifier: GPL-2.0-or-later
//! Holds JSON against a schema: the part of JSON Schema 2020-12 that docs/reference/schema uses. A word of a schema that is
//! not known here fails, so that none is passed over.

use serde_json::Value;

/// Those of docs/reference/schema; a test of rootns has no other root to read them from.
const FILES: [(&str, &str); 21] = [
    ("commit.json", include_str!("../../../docs/reference/schema/commit.json")),
    ("config.json", include_str!("../../../docs/reference/schema/config.json")),
    ("diff.json", include_str!("../../../docs/reference/schema/diff.json")),
    ("doctor.json", include_str!("../../../docs/reference/schema/doctor.json")),
    ("du.json", include_str!("../../../docs/reference/schema/du.json")),
    ("enable.json", include_str!("../../../docs/reference/schema/enable.json")),
    ("explain.json", include_str!("../../../docs/reference/schema/explain.json")),
    ("image-build.json", include_str!("../../../docs/reference/schema/image-build.json")),
    ("loop-check.json", include_str!("../../../docs/reference/schema/loop-check.json")),
    ("migrate.json", include_str!("../../../docs/reference/schema/migrate.json")),
    ("next-boot.json", include_str!("../../../docs/reference/schema/next-boot.json")),
    ("plan.json", include_str!("../../../docs/reference/schema/plan.json")),
    ("pull.json", include_str!("../../../docs/reference/schema/pull.json")),
    ("record.json", include_str!("../../../docs/reference/schema/record.json")),
    ("resized.json", include_str!("../../../docs/reference/schema/resized.json")),
    ("serviced.json", include_str!("../../../docs/reference/schema/serviced.json")),
    ("stale.json", include_str!("../../../docs/reference/schema/stale.json")),
    ("status.json", include_str!("../../../docs/reference/schema/status.json")),
    ("thaw.json", include_str!("../../../docs/reference/schema/thaw.json")),
    ("thawed.json", include_str!("../../../docs/reference/schema/thawed.json")),
    ("uppers.json", include_str!("../../../docs/reference/schema/uppers.json")),
];

/// Everything in which `value` is not as `docs/reference/schema/NAME.json` says, each with its place.
pub fn complaints(name: &str, value: &Value) -> Vec<String> {
    let schema = load(&format!("{name}.json"));
    let mut found = Vec::new();
    check(&schema, &schema, value, "", &mut found);
    found
}

/// Reads JSON and fails with every complaint.
///
/// # Panics
/// Where the text is no JSON, or not as the schema says.
pub fn holds(name: &str, text: &str) -> Value {
    let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    let found = complaints(name, &value);
    assert!(found.is_empty(), "{name}: {found:#?}\n{value:#}");
    value
}

fn load(file: &str) -> Value {
    let found = FILES.iter().find(|(name, _)| *name == file);
    let (_, text) = found.unwrap_or_else(|| panic!("docs/reference/schema has no {file}, or the table here"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if schema == &Value::Bool(true) {
        return;
    }
    let object = schema.as_object().unwrap_or_else(|| panic!("{at}: a schema is an object: {schema}"));
    for (word, rule) in object {
        match word.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "$comment" => {}
            "$ref" => reference(root, rule, value, at, found),
            "type" => {
                if !is_one_of(rule, value) {
                    found.push(format!("{at}: is no {rule}: {value}"));
                }
            }
            "enum" => {
                if !rule.as_array().expect("enum is a list").contains(value) {
                    found.push(format!("{at}: is none of {rule}: {value}"));
                }
            }
            "const" => {
                if rule != value {
                    found.push(format!("{at}: is not {rule}: {value}"));
                }
            }
            "anyOf" => {
                let mut rules = rule.as_array().expect("anyOf is a list").iter();
                if !rules.any(|rule| fits(root, rule, value, at)) {
                    found.push(format!("{at}: fits none of anyOf: {value}"));
                }
            }
            "minimum" => {
                if value.as_f64().is_some_and(|number| number < rule.as_f64().expect("a number")) {
                    found.push(format!("{at}: is below {rule}: {value}"));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}[{index}]"), found);
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("properties is an object") {
                    if let Some(value) = value.get(name) {
                        check(root, rule, value, &format!("{at}.{name}"), found);
                    }
                }
            }
            "required" => {
                found.extend(absent(rule, value).map(|name| format!("{at}: lacks {name}")));
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false), "{at}: only false is known");
                found.extend(
                    unknown(schema, value).map(|name| format!("{at}: has {name}, which the schema does not know")),
                );
            }
            other => panic!("{at}: {other} is not known to this check"),
        }
    }
}

fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> bool {
    let mut own = Vec::new();
    check(root, schema, value, at, &mut own);
    own.is_empty()
}

/// The names of `required` that an object does not have.
fn absent<'a>(rule: &'a Value, value: &Value) -> impl Iterator<Item = &'a str> {
    let names = rule.as_array().expect("required is a list").iter().filter_map(Value::as_str);
    names.filter(|name| value.is_object() && value.get(name).is_none())
}

/// The names of an object that the schema's `properties` do not have.
fn unknown<'a>(schema: &Value, value: &'a Value) -> impl Iterator<Item = &'a String> {
    let known = schema.get("properties").and_then(Value::as_object);
    let names = value.as_object().into_iter().flat_map(serde_json::Map::keys);
    names.filter(move |name| known.is_none_or(|known| !known.contains_key(*name)))
}

fn reference(root: &Value, rule: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let text = rule.as_str().expect("a reference is text");
    let (file, pointer) = text.split_once('#').unwrap_or((text, ""));
    let other;
    let root = if file.is_empty() {
        root
    } else {
        other = load(file);
        &other
    };
    let schema = root.pointer(pointer).unwrap_or_else(|| panic!("{at}: {text} leads nowhere"));
    check(root, schema, value, at, found);
}

/// Whether it is of the one type, or of one of the list of them.
fn is_one_of(rule: &Value, value: &Value) -> bool {
    let kinds = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
    kinds.iter().any(|kind| is(kind.as_str().expect("a type is a word"), value))
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other} is no type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_schema_is_whole() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = directory.ancestors().map(|dir| dir.join("docs/reference/schema")).find(|dir| dir.is_dir());
        let entries =
            std::fs::read_dir(found.expect("docs/reference/schema")).expect("docs/reference/schema").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
        names.sort_unstable();
        assert_eq!(names, FILES.map(|(name, _)| name.to_owned()), "the table has each");
        for name in names {
            let schema = load(&name);
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
            assert!(schema["$id"].as_str().is_some_and(|id| id.ends_with(&name)), "{name}");
            // Null fits none of them, and every word of the top is looked at.
            let found = complaints(name.trim_end_matches(".json"), &Value::Null);
            assert!(!found.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let good = json!({"schema": 1, "settings": [], "issues": [], "notes": []});
        assert_eq!(complaints("config", &good), Vec::<String>::new());
        let mut more = good.clone();
        more["new"] = json!(1);
        assert_eq!(complaints("config", &more), [": has new, which the schema does not know"]);
        let mut less = good.clone();
        less.as_object_mut().expect("an object").remove("notes");
        assert_eq!(complaints("config", &less), [": lacks notes"]);
        let mut other = good;
        other["notes"] = json!([1]);
        assert_eq!(complaints("config", &other).len(), 1);
    }
}
