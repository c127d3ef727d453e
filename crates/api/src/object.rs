//! Objects inside a body: taken as objects and as nothing else.
//!
//! serde takes a list for a struct too, its members by their order, so that `"rate_limit": [5, 60]`
//! would be a limit. Nobody means that, the definition does not allow it, and whoever reads a body
//! before us, such as a firewall in front, would see something else in it. A body as a whole is looked
//! at where it is parsed; each field that is an object names one of these as its `deserialize_with`.

use core::fmt;
use core::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Something that was written as an object.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyObjects<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyObjects<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer
            .deserialize_map(OnlyObjects(PhantomData))
            .map(Self)
    }
}

/// An object that may be left out (with `#[serde(default)]`), or be `null`, which is the same.
pub(crate) fn optional<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|Object(object)| object))
}

/// An object for which `null` means something else than leaving it out (with `#[serde(default)]`).
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub(crate) fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    optional(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use crate::openapi;
    use crate::routes::entitlements::{
        ChangedEntitlement, ChangedEntitlementLimits, NewEntitlement, NewEntitlementLimits,
    };
    use crate::routes::grant::GrantBody;
    use crate::routes::members::ChangedMember;
    use crate::routes::org_limits::NewOrgLimits;
    use crate::routes::revocations::NewRevocation;
    use crate::routes::services::{ChangedService, NewService};
    use crate::routes::user_keys::{ChangedUserKey, NewUserKey};

    use super::*;

    /// What serde says of a body, if it does not take it.
    fn refused<T: for<'de> Deserialize<'de>>(body: &Value) -> Option<String> {
        let error = serde_json::from_str::<T>(&body.to_string()).err()?;
        Some(error.to_string())
    }

    /// A field of a body that is an object, an object and a list of the same, and its reading.
    struct Nested {
        schema: &'static str,
        field: &'static str,
        object: Value,
        list: Value,
        refused: fn(&Value) -> Option<String>,
    }

    fn nested() -> Vec<Nested> {
        let rate_limit = |schema, refused| Nested {
            schema,
            field: "rate_limit",
            object: json!({ "requests": 5, "per_seconds": 60 }),
            list: json!([5, 60]),
            refused,
        };
        let credits = |schema, refused| Nested {
            schema,
            field: "credits",
            object: json!({ "remaining": 5, "refill": null }),
            list: json!([5, null]),
            refused,
        };
        let limits = |schema, refused| Nested {
            schema,
            field: "limits",
            object: json!({ "allowed_cidrs": [], "credits": null }),
            list: json!([[], null]),
            refused,
        };
        vec![
            rate_limit("NewUserKey", refused::<NewUserKey>),
            rate_limit("ChangedUserKey", refused::<ChangedUserKey>),
            rate_limit("NewService", refused::<NewService>),
            rate_limit("ChangedService", refused::<ChangedService>),
            rate_limit("NewEntitlement", refused::<NewEntitlement>),
            rate_limit("ChangedEntitlement", refused::<ChangedEntitlement>),
            rate_limit("NewOrgLimits", refused::<NewOrgLimits>),
            limits("NewEntitlement", refused::<NewEntitlement>),
            limits("ChangedEntitlement", refused::<ChangedEntitlement>),
            credits("NewEntitlementLimits", refused::<NewEntitlementLimits>),
            credits(
                "ChangedEntitlementLimits",
                refused::<ChangedEntitlementLimits>,
            ),
            Nested {
                schema: "Credits",
                field: "refill",
                object: json!({ "amount": 1, "per_seconds": 60 }),
                list: json!([1, 60]),
                // The other field of it must be there.
                refused: |body| {
                    let mut body = body.clone();
                    body["remaining"] = json!(5);
                    refused::<GrantBody>(&body)
                },
            },
            Nested {
                schema: "NewRevocation",
                field: "filter",
                object: json!({ "all": false }),
                list: json!([false, null, null, null, "ada", null, null, false]),
                refused: refused::<NewRevocation>,
            },
            Nested {
                schema: "ChangedMember",
                field: "keys",
                object: json!({ "hand_over_to": "x" }),
                list: json!(["x", null, null]),
                refused: refused::<ChangedMember>,
            },
        ]
    }

    #[test]
    fn a_list_is_no_object_wherever_one_stands_in_a_body() {
        for nested in nested() {
            let with = |value: &Value| (nested.refused)(&json!({ nested.field: value }));
            let place = format!("{}.{}", nested.schema, nested.field);
            assert_eq!(with(&nested.object), None, "{place}");
            for list in [&nested.list, &json!([])] {
                let words = with(list).unwrap_or_else(|| panic!("{place} took {list}"));
                assert!(
                    words.contains("invalid type: sequence, expected"),
                    "{place}: {words}"
                );
                assert!(!words.contains("struct "), "{place}: {words}");
            }
            for other in [json!(7), json!(true)] {
                let words = with(&other).unwrap_or_else(|| panic!("{place} took {other}"));
                assert!(!words.contains("struct "), "{place}: {words}");
            }
        }
    }

    /// The schemas that a schema names, itself or as one of several, one level down.
    fn named(schema: &Value, found: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            found.extend(name.rsplit('/').next().map(str::to_owned));
        }
        for several in ["oneOf", "anyOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                named(one, found);
            }
        }
    }

    #[test]
    fn no_object_in_a_body_is_left_out_of_the_table() {
        let definition: Value = serde_json::from_str(&openapi::written()).unwrap();
        let mut waiting = BTreeSet::new();
        for item in definition["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let content = &operation["requestBody"]["content"]["application/json"];
                named(&content["schema"], &mut waiting);
            }
        }
        assert!(waiting.len() > 10, "{waiting:?}");
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        while let Some(name) = waiting.pop_first() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let schema = &definition["components"]["schemas"][&name];
            named(schema, &mut waiting);
            for (field, value) in schema["properties"].as_object().into_iter().flatten() {
                let mut objects = BTreeSet::new();
                named(value, &mut objects);
                if !objects.is_empty() {
                    found.insert((name.clone(), field.clone()));
                }
                waiting.append(&mut objects);
            }
        }
        let listed = nested()
            .iter()
            .map(|nested| (nested.schema.to_owned(), nested.field.to_owned()))
            .collect();
        assert_eq!(found, listed);
    }
}
