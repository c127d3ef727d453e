//! Events in the Open Cybersecurity Schema Framework (OCSF) 1.3.0, which log collectors read.
//!
//! <https://schema.ocsf.io/1.3.0/>. Log-ins are Authentication, what happens to people's accounts is
//! Account Change, what happens to anything else that is kept is Entity Management, and
//! what is left is API Activity. Nothing is lost: what a type tells besides is in `unmapped`.

use std::io::{self, Write};

use keyledger_domain::Timestamp;
use serde_json::{Map, Value, json};

use super::entry::Entry;
use crate::escape::visible_json;

/// The version of the schema.
const VERSION: &str = "1.3.0";
/// What a product is called, in the three places that want to know.
const PRODUCT: &str = "Keyledger";

/// The classes that we use, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    AccountChange = 3001,
    Authentication = 3002,
    EntityManagement = 3004,
    ApiActivity = 6003,
}
use Class::{AccountChange, ApiActivity, Authentication, EntityManagement};

impl Class {
    const fn name(self) -> &'static str {
        match self {
            AccountChange => "Account Change",
            Authentication => "Authentication",
            EntityManagement => "Entity Management",
            ApiActivity => "API Activity",
        }
    }

    const fn category(self) -> (u64, &'static str) {
        match self {
            AccountChange | Authentication | EntityManagement => {
                (3, "Identity & Access Management")
            }
            ApiActivity => (6, "Application Activity"),
        }
    }

    /// What an activity of this class is called; nothing for numbers that it does not have.
    const fn activity(self, id: u64) -> Option<&'static str> {
        match (self, id) {
            (AccountChange | EntityManagement | ApiActivity, 1) => Some("Create"),
            (EntityManagement | ApiActivity, 2) => Some("Read"),
            (EntityManagement | ApiActivity, 3) => Some("Update"),
            (EntityManagement | ApiActivity, 4) | (AccountChange, 6) => Some("Delete"),
            (AccountChange, 2) | (EntityManagement, 8) => Some("Enable"),
            (AccountChange, 3) => Some("Password Change"),
            (AccountChange, 5) | (EntityManagement, 9) => Some("Disable"),
            (Authentication, 1) => Some("Logon"),
            (Authentication, 2) => Some("Logoff"),
            (EntityManagement, 5) => Some("Move"),
            (EntityManagement, 10) => Some("Activate"),
            _ => None,
        }
    }
}

/// What the schema has no number for; the type's own name then says what it was.
const OTHER: u64 = 99;

/// The class and activity of each type of event.
const TYPES: &[(&str, Class, u64)] = &[
    ("OrgCreated", EntityManagement, 1),
    ("ScopeAdded", EntityManagement, 3),
    ("PasswordChanged", AccountChange, 3),
    ("MemberAdded", AccountChange, 1),
    ("MemberInvited", EntityManagement, 1),
    ("InvitationAccepted", EntityManagement, 10),
    ("InvitationRevoked", EntityManagement, 4),
    ("MemberRoleChanged", AccountChange, OTHER),
    ("MemberRemoved", AccountChange, 6),
    ("TeamCreated", EntityManagement, 1),
    ("TeamChanged", EntityManagement, 3),
    ("TeamDeleted", EntityManagement, 4),
    ("TeamMemberAdded", EntityManagement, 3),
    ("TeamMemberRemoved", EntityManagement, 3),
    ("ServiceCreated", EntityManagement, 1),
    ("ServiceChanged", EntityManagement, 3),
    ("ServiceDeleted", EntityManagement, 4),
    ("UserKeyCreated", EntityManagement, 1),
    ("UserKeyRenamed", EntityManagement, 3),
    ("UserKeyRevoked", EntityManagement, 4),
    ("EntitlementCreated", EntityManagement, 1),
    ("EntitlementRevoked", EntityManagement, 4),
    ("ApiKeyRotated", EntityManagement, 3),
    ("ApiKeyRotationUndone", EntityManagement, 3),
    ("ApiKeyActivated", EntityManagement, 10),
    ("ApiKeyDisabled", EntityManagement, 9),
    ("ApiKeyEnabled", EntityManagement, 8),
    ("ApiKeyRestricted", EntityManagement, 3),
    ("ApiKeyRevealed", EntityManagement, 2),
    ("SessionStarted", Authentication, 1),
    ("SessionEnded", Authentication, 2),
    ("ApiKeyFirstUsed", ApiActivity, OTHER),
    ("ApiKeyNetworkFirstSeen", ApiActivity, OTHER),
    ("OrgLimitsChanged", EntityManagement, 3),
    ("EntitlementCreditsChanged", EntityManagement, 3),
    ("OrgPolicyChanged", EntityManagement, 3),
    ("ApiKeysRevoked", EntityManagement, 9),
    ("ApiKeysRevocationUndone", EntityManagement, 8),
    ("MemberDisabled", AccountChange, 5),
    ("MemberEnabled", AccountChange, 2),
    ("UserKeyHandedOver", EntityManagement, 5),
    ("ClientRegistered", EntityManagement, 1),
    ("ClientChanged", EntityManagement, 3),
    ("ClientDeleted", EntityManagement, 4),
    ("ClientDisabled", EntityManagement, 9),
    ("ClientEnabled", EntityManagement, 8),
    ("ClientSecretRotated", EntityManagement, 3),
    ("AuthorizationCodeIssued", ApiActivity, 1),
    ("AuthorizationCodeRedeemed", ApiActivity, 1),
    ("ClientTokenIssued", ApiActivity, 1),
    ("TokensRefreshed", ApiActivity, 1),
    ("TokenFamilyRevoked", ApiActivity, 4),
    ("AccessTokenRevoked", ApiActivity, 4),
    ("ConsentRevoked", ApiActivity, 4),
    ("SigningKeyCreated", ApiActivity, 1),
    ("SigningKeyRetired", ApiActivity, 4),
    ("AllSessionsEnded", Authentication, 2),
    ("PersonErased", AccountChange, 6),
    ("AuditLogRead", ApiActivity, 2),
];

pub(super) fn write(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", visible_json(&event(entry).to_string()))
}

/// The event in the words of the schema.
fn event(entry: &Entry) -> Value {
    // A newer server may tell of what this program does not know: it is told all the same.
    let known = TYPES.iter().find(|(name, ..)| *name == entry.r#type);
    let (class, activity) = known.map_or((ApiActivity, OTHER), |(_, class, id)| (*class, *id));
    let class_uid = class as u64;
    let activity_name = class.activity(activity).unwrap_or(&entry.r#type);
    let (category_uid, category_name) = class.category();
    let told = json!({
        "category_uid": category_uid,
        "category_name": category_name,
        "class_uid": class_uid,
        "class_name": class.name(),
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class_uid * 100 + activity,
        "type_name": format!("{}: {activity_name}", class.name()),
        "severity_id": 1,
        "severity": "Informational",
        "status_id": 1,
        "status": "Success",
        "time": milliseconds(&entry.time),
        "message": format!("{} {} {}", entry.actor, entry.r#type, entry.target),
        "actor": { "user": actor(entry) },
        "src_endpoint": endpoint(entry),
        "metadata": metadata(entry),
        "unmapped": entry.data,
    });
    let Value::Object(mut told) = told else {
        return told;
    };
    if let Some(client) = &entry.client {
        told.insert("http_request".to_owned(), json!({ "user_agent": client }));
    }
    told.extend(subject(entry, class));
    Value::Object(told)
}

/// What the class wants to know of what the event is about.
fn subject(entry: &Entry, class: Class) -> Map<String, Value> {
    let kind = entry.target.split(':').next().unwrap_or_default();
    let thing = json!({ "uid": entry.target, "type": kind });
    let members = match class {
        AccountChange => vec![("user", json!({ "uid": entry.target }))],
        Authentication => vec![
            ("user", json!({ "uid": person(entry) })),
            ("session", json!({ "uid": entry.target })),
            ("service", json!({ "name": PRODUCT })),
        ],
        EntityManagement => vec![("entity", thing)],
        ApiActivity => vec![
            ("api", json!({ "operation": entry.r#type })),
            ("resources", json!([thing])),
        ],
    };
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Whose session it is, which is not always who ended it.
fn person(entry: &Entry) -> String {
    let named = entry.data.get("user").and_then(Value::as_str);
    named.map_or_else(|| entry.actor.clone(), |id| format!("user:{id}"))
}

fn actor(entry: &Entry) -> Value {
    match &entry.credential {
        Some(credential) => json!({ "uid": entry.actor, "credential_uid": credential }),
        None => json!({ "uid": entry.actor }),
    }
}

/// Where it came from: an address, if one is known that is still told.
fn endpoint(entry: &Entry) -> Value {
    match entry.source.as_deref() {
        Some(source) if source.parse::<std::net::IpAddr>().is_ok() => json!({ "ip": source }),
        Some(word) => json!({ "name": word }),
        None if entry.actor == "system" => json!({ "svc_name": PRODUCT }),
        None => json!({ "name": "unknown" }),
    }
}

fn metadata(entry: &Entry) -> Value {
    let mut told = json!({
        "version": VERSION,
        "product": {
            "name": PRODUCT,
            "vendor_name": PRODUCT,
            "version": env!("CARGO_PKG_VERSION"),
        },
        "log_name": "audit",
        "event_code": entry.r#type,
        "uid": entry.position.to_string(),
        "correlation_uid": entry.request_id,
        "original_time": entry.time,
    });
    if let Some(organization) = &entry.organization {
        told["tenant_uid"] = json!(organization);
    }
    told
}

/// Since 1970; 0 for what is no instant, whose words are in `original_time`.
fn milliseconds(time: &str) -> i64 {
    let at: Timestamp = time.parse().unwrap_or_default();
    at.micros() / 1_000
}

#[cfg(test)]
mod tests {
    use keyledger_domain::Event;

    use super::*;

    fn entry(name: &str) -> Entry {
        serde_json::from_value(json!({
            "position": 7, "type": name, "time": "1970-01-01T00:00:01.234567Z",
            "actor": "user:a", "target": "key:b", "organization": "acme", "credential": "3kTMd9wQx",
            "source": "203.0.113.7", "client": "curl\u{202e}", "request_id": "r",
            "data": { "user": "c" },
        }))
        .unwrap()
    }

    #[test]
    fn every_type_of_event_has_a_class_and_an_activity_of_it() {
        for name in Event::NAMES {
            let rows: Vec<_> = TYPES.iter().filter(|(its, ..)| its == name).collect();
            assert_eq!(rows.len(), 1, "{name} stands in the table once");
            let (_, class, activity) = rows[0];
            assert!(
                *activity == OTHER || class.activity(*activity).is_some(),
                "{name}: {class:?} has no activity {activity}"
            );
        }
        for (name, ..) in TYPES {
            assert!(Event::NAMES.contains(name), "there is no event {name}");
        }
    }

    #[test]
    fn what_each_class_requires_is_there() {
        for name in Event::NAMES.iter().copied().chain(["OfTomorrow"]) {
            let told = event(&entry(name));
            let class = told["class_uid"].as_u64().unwrap();
            let activity = told["activity_id"].as_u64().unwrap();
            assert_eq!(told["type_uid"], class * 100 + activity, "{name}");
            assert_eq!(told["category_uid"], class / 1000, "{name}");
            assert_eq!(told["severity_id"], 1);
            assert_eq!(told["time"], 1234);
            assert_eq!(told["metadata"]["version"], "1.3.0");
            assert_eq!(told["metadata"]["product"]["vendor_name"], PRODUCT);
            assert_eq!(told["metadata"]["uid"], "7");
            assert_eq!(told["actor"]["user"]["uid"], "user:a");
            assert_eq!(told["src_endpoint"]["ip"], "203.0.113.7");
            assert_eq!(told["unmapped"], json!({ "user": "c" }));
            let required: &[&str] = match class {
                3001 => &["/user/uid"],
                3002 => &["/user/uid", "/service/name", "/session/uid"],
                3004 => &["/entity/uid"],
                _ => &["/api/operation", "/src_endpoint", "/actor/user"],
            };
            for path in required {
                assert!(told.pointer(path).is_some(), "{name} has no {path}");
            }
        }
    }

    #[test]
    fn a_session_is_its_persons_whoever_ended_it() {
        let mut ended = entry("SessionEnded");
        assert_eq!(event(&ended)["user"]["uid"], "user:c");
        ended.data = json!({});
        assert_eq!(event(&ended)["user"]["uid"], "user:a");
    }

    #[test]
    fn where_it_came_from_is_told_as_far_as_it_is_known() {
        let mut told = entry("ScopeAdded");
        told.source = Some("erased".to_owned());
        assert_eq!(event(&told)["src_endpoint"], json!({ "name": "erased" }));
        told.source = None;
        assert_eq!(event(&told)["src_endpoint"], json!({ "name": "unknown" }));
        told.actor = "system".to_owned();
        assert_eq!(
            event(&told)["src_endpoint"],
            json!({ "svc_name": "Keyledger" })
        );
    }

    #[test]
    fn n118_a_line_holds_nothing_that_acts() {
        let mut out = Vec::new();
        write(&entry("UserKeyCreated"), &mut out).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert!(line.contains("curl\\u202e") && line.ends_with('\n'));
        assert_eq!(line.lines().count(), 1);
    }
}
