//! What holds for every operation of the served definition, whatever it is about.

use std::collections::{BTreeMap, BTreeSet};

use keyledger_tests::{Client, Reply};
use serde_json::{Map, Value, json};

use crate::world::{make_key, unique, world};

struct Operation {
    method: String,
    /// With acme as the organization, and a name that nothing has for the rest.
    path: String,
    definition: Value,
}

fn operations(spec: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in spec["paths"].as_object().expect("paths") {
        let parts = path.split('/').map(|part| match part {
            "{org}" => "acme",
            part if part.starts_with('{') => "1",
            part => part,
        });
        let path = parts.collect::<Vec<_>>().join("/");
        for (method, definition) in item.as_object().expect("operations") {
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                definition: definition.clone(),
            });
        }
    }
    found
}

/// The operations with names of things that are there: a body is not looked at where there is nothing
/// to change.
fn operations_on_things(spec: &Value) -> Vec<Operation> {
    let owner = world().owner();
    let handle = unique("named");
    make_key(&owner, &json!({ "handle": handle }));
    let made = |noun: &str, member: &str, scopes: &[&str]| {
        let body = match scopes {
            [] => json!({ "name": unique("Named") }),
            _ => json!({ "name": unique("Named"), "scopes": scopes }),
        };
        let path = format!("/v1/orgs/acme/{noun}");
        owner.post(&path, &body).expect(201).string(member)
    };
    let client = json!({ "name": unique("Named"), "grant_types": ["client_credentials"], "scopes": ["files:read"] });
    let client = owner.post("/v1/orgs/acme/clients", &client).expect(201);
    let member = world().with_key(&world().person("member").key);
    let things = BTreeMap::from([
        ("keys", handle),
        ("members", member.get("/v1/me").expect(200).string("id")),
        ("users", member.get("/v1/me").expect(200).string("id")),
        ("services", made("services", "slug", &[])),
        ("teams", made("teams", "slug", &[])),
        ("entitlements", made("entitlements", "id", &["files:read"])),
        ("clients", client.string("client_id")),
    ]);
    let mut operations = operations(spec);
    // These take forms, and tell what is wrong in the words of RFC 6749 §5.2.
    operations.retain(|operation| !operation.path.starts_with("/oauth/"));
    for operation in &mut operations {
        let mut parts: Vec<&str> = operation.path.split('/').collect();
        for place in 1..parts.len() {
            if parts[place] == "1"
                && let Some(name) = things.get(parts[place - 1])
            {
                parts[place] = name;
            }
        }
        operation.path = parts.join("/");
    }
    operations
}

/// The owner, as they must show themselves here: a key does not do everything.
fn owner_at(path: &str) -> Client {
    if ["/v1/user/password", "/v1/user/sessions"].contains(&path) {
        world().owner_by_password()
    } else {
        world().owner()
    }
}

fn spec() -> Value {
    world().anonymous().get("/openapi.json").expect(200).json()
}

/// What the definition says of the operation's body; `None` if it takes none.
fn schema<'a>(spec: &'a Value, operation: &Operation) -> Option<&'a Value> {
    let content = &operation.definition["requestBody"]["content"]["application/json"];
    let name = content["schema"]["$ref"].as_str()?.rsplit('/').next()?;
    Some(&spec["components"]["schemas"][name])
}

/// The members that the operation's body may have; `None` if it takes none.
fn members(spec: &Value, operation: &Operation) -> Option<Map<String, Value>> {
    schema(spec, operation)?["properties"].as_object().cloned()
}

#[test]
fn n101_a_body_that_does_not_say_it_is_json_is_not_read() {
    let spec = spec();
    let mut count = 0;
    for operation in operations_on_things(&spec) {
        if members(&spec, &operation).is_none() {
            continue;
        }
        // What a form in somebody's page can send without asking first (Fetch, CORS-safelisted).
        for media_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain; charset=application/json",
        ] {
            let reply = owner_at(&operation.path).send_bytes(
                &operation.method,
                &operation.path,
                media_type,
                br#"{"name":"read all the same"}"#,
            );
            reply.expect("an answer").expect(415);
        }
        count += 1;
    }
    assert!(count >= 25, "only {count} operations take a body");
}

#[test]
fn n111_no_body_takes_what_is_not_the_callers_to_set() {
    let spec = spec();
    let mut count = 0;
    for operation in operations_on_things(&spec) {
        let Some(members) = members(&spec, &operation) else {
            continue;
        };
        for name in [
            "id",
            "org_id",
            "is_admin",
            "owner",
            "user",
            "created_at",
            "created_by",
            "reveal",
            "role",
            "token",
            "key",
            "preview",
            "__proto__",
        ] {
            if members.contains_key(name) {
                continue;
            }
            let body = json!({ name: "owner" });
            let owner = owner_at(&operation.path);
            let reply: Reply = owner.any(&operation.method, &operation.path, Some(&body));
            // 422 names the member where the caller may do this at all.
            reply.expect(422).expect_field(name);
            count += 1;
        }
    }
    assert!(count >= 200, "only {count} members were tried");
}

#[test]
fn n128_no_list_takes_a_limit_that_cannot_be() {
    let spec = spec();
    let mut count = 0;
    for operation in operations(&spec) {
        let parameters = operation.definition["parameters"].as_array();
        let has_limit = parameters
            .into_iter()
            .flatten()
            .any(|parameter| parameter["name"] == "limit");
        if !has_limit {
            continue;
        }
        for limit in [
            "1000000000",
            "1001",
            "0",
            "-1",
            "NaN",
            "1e3",
            "",
            "%00",
            "0x10",
            "99999999999999999999999",
        ] {
            let path = format!("{}?limit={limit}", operation.path);
            world().owner().get(&path).expect(422).expect_field("limit");
        }
        count += 1;
    }
    assert!(count >= 8, "only {count} lists have a limit");
}

/// Goal: who writes a client by the definition is told all that a body must have, and nothing else.
/// Method: an empty body, whose refusal names what is missing.
#[test]
fn what_a_body_must_have_is_what_the_definition_says() {
    let spec = spec();
    let mut count = 0;
    for operation in operations_on_things(&spec) {
        let Some(schema) = schema(&spec, &operation) else {
            continue;
        };
        // A change must say one of several; there is an owner already; and their token is to stay.
        if operation.method == "PATCH"
            || operation.path == "/v1/setup"
            || operation.path.ends_with("/user/token")
        {
            continue;
        }
        let reply =
            owner_at(&operation.path).any(&operation.method, &operation.path, Some(&json!({})));
        let missing: BTreeSet<String> = match reply.status() {
            422 => {
                let fields = reply.member("fields");
                let fields = fields.as_object().expect("what is missing");
                fields.keys().cloned().collect()
            }
            _ => BTreeSet::new(),
        };
        let required = schema["required"].as_array().into_iter().flatten();
        let required: BTreeSet<String> = required
            .map(|name| name.as_str().expect("a name").to_owned())
            .collect();
        let (method, path) = (&operation.method, &operation.path);
        assert_eq!(missing, required, "{method} {path}: {reply:?}");
        count += required.len();
    }
    assert!(count >= 15, "only {count} members are required");
}
