//! A good verdict as JSON, written piece by piece.
//!
//! A verification is mostly its answer. Through a serializer each member costs calls of its own and
//! their code; here it is a list of pieces and one loop that copies them. It is what `serde_json`
//! writes, byte by byte, and whatever does not stand in JSON as it is, is left to that.

use crate::answer;
use crate::json::{self, is_plain};
use crate::problem::Problem;
use crate::verify::{Code, Owner, Verdict};

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
        let mut texts = scopes.iter().chain([r#type, organization]);
        let mut names = [email, slug, name].into_iter().flatten();
        if !texts.all(|text| is_plain(text)) || !names.all(|text| is_plain(text)) {
            return None;
        }
        put(bytes, &["{\"valid\":true,\"code\":\"valid\",\"id\":"]);
        json::append(bytes, id).ok()?;
        put(bytes, &[",\"owner\":{\"type\":\"", r#type, "\",\"id\":"]);
        json::append(bytes, owner_id).ok()?;
        for (open, text) in [
            (",\"email\":\"", email),
            (",\"slug\":\"", slug),
            (",\"name\":\"", name),
        ] {
            if let Some(text) = text {
                put(bytes, &[open, text, "\""]);
            }
        }
        put(
            bytes,
            &["},\"organization\":\"", organization, "\",\"scopes\":["],
        );
        let mut open = "\"";
        for scope in scopes {
            put(bytes, &[open, scope, "\""]);
            open = ",\"";
        }
        put(
            bytes,
            &[
                "],\"environment\":\"",
                environment.as_str(),
                "\",\"expires_at\":",
            ],
        );
        json::append(bytes, expires_at).ok()?;
        put(bytes, &["}"]);
        Some(())
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
    use keyledger_domain::id::{EntitlementId, KeyId, ServiceId, UserId};
    use keyledger_domain::{Environment, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::verify::{OwnerId, VerifiedId};

    /// Everything that a verdict can be told of.
    #[derive(Debug)]
    struct Told {
        texts: [String; 4],
        has: [bool; 3],
        scopes: Vec<String>,
        ids: [[u8; 16]; 2],
        kind: usize,
        environment: Environment,
        #[expect(clippy::option_option, reason = "as verdicts have it")]
        expires_at: Option<Option<i64>>,
        left: [Option<u64>; 2],
    }

    fn told() -> impl Strategy<Value = Told> {
        let text = || prop_oneof![4 => "[a-z@.:-]{0,40}", 1 => any::<String>()];
        let texts = ([text(), text(), text(), text()], any::<[bool; 3]>());
        let scopes = proptest::collection::vec(text(), 0..4);
        let environment = prop_oneof![Just(Environment::Live), Just(Environment::Test)];
        let rest = (any::<[[u8; 16]; 2]>(), 0..3_usize, environment);
        let ends = any::<Option<Option<i64>>>();
        let left = prop_oneof![3 => Just([None, None]), 1 => any::<[Option<u64>; 2]>()];
        (texts, scopes, rest, ends, left).prop_map(
            |((texts, has), scopes, (ids, kind, environment), expires_at, left)| Told {
                texts,
                has,
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
                _ => (
                    VerifiedId::Entitlement(EntitlementId::from_bytes(id)),
                    OwnerId::Entitlement(EntitlementId::from_bytes(owner)),
                ),
            };
            let [organization, texts @ ..] = &told.texts;
            let text = |place: usize| told.has[place].then(|| texts[place].as_str());
            let verdict = Verdict {
                valid: true,
                code: Code::Valid,
                id: Some(id),
                owner: Some(Owner {
                    r#type: ["user", "service", "entitlement"][told.kind],
                    id: owner,
                    email: text(0),
                    slug: text(1),
                    name: text(2),
                }),
                organization: Some(organization),
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
