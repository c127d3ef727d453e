//! A good verdict as JSON, written piece by piece.
//!
//! A verification is mostly its answer. Through a serializer each member costs calls of its own and
//! their code; here it is a list of pieces and one loop that copies them. It is what `serde_json`
//! writes, byte by byte, and whatever does not stand in JSON as it is, is left to that.

use keyledger_domain::Environment;
use keyledger_domain::id::{KeyId, UserId};

use crate::answer;
use crate::json::is_plain;
use crate::problem::Problem;
use crate::verify::{Code, Owner, OwnerId, Verdict, VerifiedId};

impl Verdict<'_> {
    /// The verdict as JSON.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub(crate) fn write(&self) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::with_capacity(answer::LOOK_UP_BYTES);
        match self.append_good(&mut bytes) {
            Some(()) => Ok(bytes),
            None => answer::write(self),
        }
    }

    /// Appends a verdict of the kind that nearly all are: good, and with nothing left to say. `None`
    /// for any other, with something of it written.
    fn append_good(&self, bytes: &mut Vec<u8>) -> Option<()> {
        // A member that is added has to be thought of here.
        let Self {
            valid: true,
            code: Code::Valid,
            id: Some(id),
            owner: Some(owner),
            organization: Some(organization),
            scopes: Some(scopes),
            environment: Some(environment),
            expires_at: Some(expires_at),
            retry_after_seconds: None,
            audience: None,
            remaining: None,
        } = self
        else {
            return None;
        };
        let Owner {
            r#type,
            id: owner_id,
            email,
            slug,
            name,
        } = owner;
        // All others are of letters, digits and marks that no JSON escapes, by what they are.
        debug_assert!(is_plain(organization) && scopes.iter().all(|scope| is_plain(scope)));
        debug_assert!(slug.is_none_or(is_plain));
        let mut odd = [email, name].into_iter().flatten();
        if odd.any(|text| !is_plain(text)) {
            return None;
        }
        let (mut id_text, mut owner_text) = (KeyId::buffer(), UserId::buffer());
        let before = [
            "{\"valid\":true,\"code\":\"valid\",\"id\":\"",
            id.text(&mut id_text),
            "\",\"owner\":{\"type\":\"",
            r#type,
            "\",\"id\":\"",
            owner_id.text(&mut owner_text),
        ];
        put(bytes, &before);
        for (open, text) in [
            ("\",\"email\":\"", email),
            ("\",\"slug\":\"", slug),
            ("\",\"name\":\"", name),
        ] {
            if let Some(text) = text {
                put(bytes, &[open, text]);
            }
        }
        put(
            bytes,
            &["\"},\"organization\":\"", organization, "\",\"scopes\":["],
        );
        let mut open = "\"";
        for scope in scopes {
            put(bytes, &[open, scope]);
            open = "\",\"";
        }
        let close = if scopes.is_empty() { "" } else { "\"" };
        let environment = match environment {
            Environment::Live => "],\"environment\":\"live\",\"expires_at\":",
            Environment::Test => "],\"environment\":\"test\",\"expires_at\":",
        };
        match expires_at {
            None => put(bytes, &[close, environment, "null}"]),
            Some(at) => put(bytes, &[close, environment, "\"", &at.to_string(), "\"}"]),
        }
        Some(())
    }
}

impl OwnerId {
    fn text(self, buffer: &mut [u8; 36]) -> &str {
        match self {
            Self::User(id) => id.encode(buffer),
            Self::Service(id) => id.encode(buffer),
            Self::Entitlement(id) => id.encode(buffer),
            Self::Client(id) => id.encode(buffer),
        }
    }
}

impl VerifiedId {
    fn text<'b>(&'b self, buffer: &'b mut [u8; 36]) -> &'b str {
        match self {
            Self::Key(id) => id.encode(buffer),
            Self::Service(id) => id.encode(buffer),
            Self::Entitlement(id) => id.encode(buffer),
            Self::AccessToken(id) => id.as_str(),
        }
    }
}

/// Never inlined: that there is one copy of it is what it is for.
#[inline(never)]
fn put(bytes: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        bytes.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::id::{ClientId, EntitlementId, ServiceId};
    use keyledger_domain::{CredentialId, Timestamp};
    use proptest::prelude::*;

    use super::*;

    /// Everything that a verdict can be told of.
    #[derive(Debug)]
    struct Told {
        organization: String,
        /// Email, slug, name.
        texts: [Option<String>; 3],
        scopes: Vec<String>,
        ids: [[u8; 16]; 2],
        kind: usize,
        environment: Environment,
        #[expect(clippy::option_option, reason = "as verdicts have it")]
        expires_at: Option<Option<i64>>,
        left: [Option<u64>; 2],
    }

    fn told() -> impl Strategy<Value = Told> {
        let text =
            || proptest::option::of(prop_oneof![3 => "[a-z@.:-]{0,40}", 1 => any::<String>()]);
        let slug = || "[a-z0-9-]{1,40}";
        let texts = (slug(), text(), proptest::option::of(slug()), text());
        let scopes = proptest::collection::vec("[a-z][a-z0-9:_.-]{0,20}", 0..4);
        let environment = prop_oneof![Just(Environment::Live), Just(Environment::Test)];
        let rest = (any::<[[u8; 16]; 2]>(), 0..4_usize, environment);
        let ends = any::<Option<Option<i64>>>();
        let left = prop_oneof![3 => Just([None, None]), 1 => any::<[Option<u64>; 2]>()];
        (texts, scopes, rest, ends, left).prop_map(
            |(texts, scopes, (ids, kind, environment), expires_at, left)| Told {
                organization: texts.0,
                texts: [texts.1, texts.2, texts.3],
                scopes,
                ids,
                kind,
                environment,
                expires_at,
                left,
            },
        )
    }

    proptest! {
        #[test]
        fn it_writes_what_serde_json_writes(told in told()) {
            let [id, owner] = told.ids;
            let (id, owner) = match told.kind {
                0 => (VerifiedId::Key(KeyId::from_bytes(id)), OwnerId::User(UserId::from_bytes(owner))),
                1 => (
                    VerifiedId::Service(ServiceId::from_bytes(id)),
                    OwnerId::Service(ServiceId::from_bytes(owner)),
                ),
                2 => (
                    VerifiedId::AccessToken(CredentialId::from_bytes(*b"3kTMd9wQx").unwrap()),
                    OwnerId::Client(ClientId::from_bytes(owner)),
                ),
                _ => (
                    VerifiedId::Entitlement(EntitlementId::from_bytes(id)),
                    OwnerId::Entitlement(EntitlementId::from_bytes(owner)),
                ),
            };
            let text = |place: usize| told.texts[place].as_deref();
            let verdict = Verdict {
                valid: true,
                code: Code::Valid,
                id: Some(id),
                owner: Some(Owner {
                    r#type: ["user", "service", "client", "entitlement"][told.kind],
                    id: owner,
                    email: text(0),
                    slug: text(1),
                    name: text(2),
                }),
                organization: Some(&told.organization),
                scopes: Some(told.scopes.iter().map(String::as_str).collect()),
                environment: Some(told.environment),
                expires_at: told.expires_at.map(|end| end.map(Timestamp::from_micros)),
                retry_after_seconds: told.left[0],
                audience: None,
                remaining: told.left[1],
            };
            let expected = serde_json::to_vec(&verdict).unwrap();
            prop_assert_eq!(verdict.write().unwrap(), expected);
        }
    }

    #[test]
    fn a_usual_verdict_is_written_here_and_a_bad_one_is_not() {
        let mut verdict = Verdict {
            valid: true,
            id: Some(VerifiedId::Key(KeyId::from_bytes([1; 16]))),
            owner: Some(Owner {
                r#type: "user",
                id: OwnerId::User(UserId::from_bytes([2; 16])),
                email: Some("ada@example.com"),
                slug: Some("ada"),
                name: None,
            }),
            organization: Some("acme"),
            scopes: Some(vec!["files:read", "files:write"]),
            environment: Some(Environment::Live),
            expires_at: Some(None),
            ..Verdict::bad(Code::Valid)
        };
        assert_eq!(verdict.append_good(&mut Vec::new()), Some(()));
        verdict.owner.as_mut().unwrap().name = Some("\"Ada\"");
        assert_eq!(verdict.append_good(&mut Vec::new()), None);
        let bad = Verdict::bad(Code::Revoked);
        assert_eq!(bad.append_good(&mut Vec::new()), None);
        let expected = br#"{"valid":false,"code":"revoked"}"#;
        assert_eq!(bad.write().unwrap(), expected);
    }
}
