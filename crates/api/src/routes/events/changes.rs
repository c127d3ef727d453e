//! What changed: the values before and after, of every event that sets values anew.
//!
//! An event says all values that it sets, so what was before is what the event before it set of the
//! same thing. That one is found through the index and read from the ledger: the answer is the same after
//! every restart, and nothing is stored for it.

use std::borrow::Cow;

use keyledger_domain::{Event, Position, Record, Role};
use keyledger_ledger::ReadError;
use keyledger_ledger::index::{Index, Order, Term};
use serde_json::{Map, Value, json};

use super::view::plain;
use crate::difference::FieldChange;
use crate::problem::Problem;

/// How many records are read at most to find what was before: the first says it, but for a key that was
/// handed over, of which two do.
const EXAMINED_MAX: usize = 8;

/// What an event says of a thing from then on.
pub(crate) struct Setting {
    /// The thing, by a name that no other has.
    pub(crate) thing: String,
    values: Map<String, Value>,
    /// Whether the thing begins with it: nothing was before.
    is_beginning: bool,
}

impl Setting {
    fn new(thing: String, values: Value, is_beginning: bool) -> Self {
        let values = match plain(values) {
            Value::Object(values) => values,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        Self {
            thing,
            values,
            is_beginning,
        }
    }
}

/// All that an event sets. Whoever adds an event that changes values says here which.
#[expect(clippy::too_many_lines, reason = "a list: what each event sets")]
pub(crate) fn settings_of(event: &Event) -> Vec<Setting> {
    let begins = |thing, values| Setting::new(thing, values, true);
    let changes = |thing, values| Setting::new(thing, values, false);
    macro_rules! limits {
        ($key:expr) => {
            json!({ "scopes": $key.scopes, "expires_at": $key.expires_at,
                "allowed_cidrs": $key.allowed_cidrs, "rate_limit": $key.rate_limit })
        };
    }
    macro_rules! service {
        ($e:expr) => {
            json!({ "name": $e.name, "description": $e.description, "role": $e.role,
                "teams": $e.teams })
        };
    }
    let member = |org, user| format!("member:{org}:{user}");
    let key = |id| format!("limits:{id}");
    match event {
        Event::OrgCreated(e) => vec![
            begins(member(e.org, e.owner), json!({ "role": Role::Owner })),
            begins(
                format!("rate_limit:{}", e.org),
                json!({ "rate_limit": null }),
            ),
            begins(
                format!("policy:{}", e.org),
                json!(keyledger_domain::policy::OrgPolicy::default()),
            ),
        ],
        Event::MemberAdded(e) => vec![begins(member(e.org, e.user), json!({ "role": e.role }))],
        Event::MemberInvited(e) => vec![begins(
            format!("invitation:{}", e.invitation),
            json!({ "role": e.role }),
        )],
        // What role it is, the invitation said.
        Event::InvitationAccepted(e) => vec![begins(
            member(e.org, e.user),
            json!({ "invitation": e.invitation }),
        )],
        Event::MemberRoleChanged(e) => {
            vec![changes(member(e.org, e.user), json!({ "role": e.role }))]
        }
        Event::TeamCreated(e) => vec![begins(
            format!("team:{}", e.team),
            json!({ "name": e.name, "scopes": e.scopes }),
        )],
        Event::TeamChanged(e) => vec![changes(
            format!("team:{}", e.team),
            json!({ "name": e.name, "scopes": e.scopes }),
        )],
        Event::ServiceCreated(e) => vec![
            begins(format!("service:{}", e.service), service!(e)),
            begins(key(e.api_key.id), limits!(e.api_key)),
        ],
        Event::ServiceChanged(e) => {
            vec![changes(format!("service:{}", e.service), service!(e))]
        }
        // The key goes on, with the scopes that the service may have.
        Event::UserKeyHandedOver(e) => vec![
            changes(key(e.id), json!({ "scopes": e.scopes })),
            begins(format!("service:{}", e.service), service!(e)),
        ],
        Event::UserKeyCreated(e) => vec![
            begins(format!("alias:{}", e.key), json!({ "alias": e.alias })),
            begins(key(e.api_key.id), limits!(e.api_key)),
        ],
        Event::UserKeyRenamed(e) => {
            vec![changes(
                format!("alias:{}", e.key),
                json!({ "alias": e.alias }),
            )]
        }
        Event::EntitlementCreated(e) => vec![
            begins(
                format!("credits:{}", e.entitlement),
                json!({ "credits": e.credits }),
            ),
            begins(key(e.api_key.id), limits!(e.api_key)),
        ],
        Event::EntitlementCreditsChanged(e) => vec![changes(
            format!("credits:{}", e.entitlement),
            json!({ "credits": e.credits }),
        )],
        Event::ApiKeyRestricted(e) => vec![changes(key(e.id), limits!(e))],
        Event::OrgLimitsChanged(e) => vec![changes(
            format!("rate_limit:{}", e.org),
            json!({ "rate_limit": e.rate_limit }),
        )],
        Event::OrgPolicyChanged(e) => vec![changes(
            format!("policy:{}", e.org),
            json!({ "max_life_seconds": e.max_life_seconds, "expiry_required": e.expiry_required,
                "idle_disable_seconds": e.idle_disable_seconds,
                "retrievable_keys": e.retrievable_keys }),
        )],
        Event::ClientRegistered(e) => {
            vec![begins(format!("client:{}", e.client), json!(e.settings))]
        }
        Event::ClientChanged(e) => vec![changes(format!("client:{}", e.client), json!(e.settings))],
        Event::ScopeAdded(_)
        | Event::PasswordChanged(_)
        | Event::InvitationRevoked(_)
        | Event::MemberRemoved(_)
        | Event::TeamDeleted(_)
        | Event::TeamMemberAdded(_)
        | Event::TeamMemberRemoved(_)
        | Event::ServiceDeleted(_)
        | Event::UserKeyRevoked(_)
        | Event::EntitlementRevoked(_)
        | Event::ApiKeyRotated(_)
        | Event::ApiKeyRotationUndone(_)
        | Event::ApiKeyActivated(_)
        | Event::ApiKeyDisabled(_)
        | Event::ApiKeyEnabled(_)
        | Event::ApiKeyRevealed(_)
        | Event::SessionStarted(_)
        | Event::SessionEnded(_)
        | Event::ApiKeyFirstUsed(_)
        | Event::ApiKeyNetworkFirstSeen(_)
        | Event::ApiKeysRevoked(_)
        | Event::ApiKeysRevocationUndone(_)
        | Event::MemberDisabled(_)
        | Event::MemberEnabled(_)
        | Event::ClientDeleted(_)
        | Event::ClientDisabled(_)
        | Event::ClientEnabled(_)
        | Event::ClientSecretRotated(_)
        | Event::AuthorizationCodeIssued(_)
        | Event::AuthorizationCodeRedeemed(_)
        | Event::ClientTokenIssued(_)
        | Event::TokensRefreshed(_)
        | Event::TokenFamilyRevoked(_)
        | Event::AccessTokenRevoked(_)
        | Event::ConsentRevoked(_)
        | Event::SigningKeyCreated(_)
        | Event::SigningKeyRetired(_)
        | Event::AllSessionsEnded(_)
        | Event::PersonErased(_)
        | Event::AuditLogRead(_) => Vec::new(),
    }
}

/// What is simply the other way round since.
fn switched(event: &Event) -> Option<FieldChange> {
    let is_off = matches!(
        event,
        Event::ApiKeyDisabled(_) | Event::MemberDisabled(_) | Event::ClientDisabled(_)
    );
    let is_on = matches!(
        event,
        Event::ApiKeyEnabled(_) | Event::MemberEnabled(_) | Event::ClientEnabled(_)
    );
    (is_off || is_on).then(|| FieldChange {
        field: Cow::Borrowed("disabled"),
        before: Value::from(is_on),
        after: Value::from(is_off),
    })
}

/// Where what was before is looked for.
pub(super) struct Trail<'l> {
    pub(super) index: &'l Index,
    pub(super) read: &'l dyn Fn(Position) -> Result<Option<Record>, ReadError>,
    /// Whether a record is the caller's to read: what another said is not told by way of this one.
    pub(super) is_told: &'l dyn Fn(&Record) -> bool,
}

impl Trail<'_> {
    /// What an event changed; `None` of one that changes no values, and where what was before was
    /// archived or is not found yet.
    ///
    /// # Errors
    /// 500 when a record cannot be read.
    pub(super) fn changes(&self, record: &Record) -> Result<Option<Vec<FieldChange>>, Problem> {
        if let Some(switched) = switched(&record.event) {
            return Ok(Some(vec![switched]));
        }
        let settings = settings_of(&record.event);
        let mut settings = settings.into_iter().filter(|setting| !setting.is_beginning);
        let Some(setting) = settings.next() else {
            return Ok(None);
        };
        let Some(before) = self.before(record.position, &setting)? else {
            return Ok(None);
        };
        let mut changes = Vec::new();
        for (field, after) in setting.values {
            let before = before.get(&field).cloned().unwrap_or_default();
            if before != after {
                changes.push(FieldChange {
                    field: Cow::Owned(field),
                    before,
                    after,
                });
            }
        }
        Ok(Some(changes))
    }

    /// What was last said of a thing before a position, of all that `setting` says.
    fn before(
        &self,
        position: Position,
        setting: &Setting,
    ) -> Result<Option<Map<String, Value>>, Problem> {
        let mut known = Map::new();
        for record in self.told_before(position, &setting.thing)? {
            let Some(record) = record else {
                return Ok(None);
            };
            let earlier = settings_of(&record.event);
            let Some(earlier) = earlier.into_iter().find(|own| own.thing == setting.thing) else {
                continue;
            };
            if !(self.is_told)(&record) {
                return Ok(None);
            }
            for (field, value) in earlier.values {
                known.entry(field).or_insert(value);
            }
            if let Event::InvitationAccepted(e) = &record.event
                && !known.contains_key("role")
            {
                let invitation = format!("invitation:{}", e.invitation);
                let invited = self.told_before(record.position, &invitation)?;
                let invited = invited.into_iter().flatten().next();
                let values = invited.and_then(|record| settings_of(&record.event).pop());
                known.extend(values.map(|setting| setting.values).unwrap_or_default());
            }
            let is_whole = setting.values.keys().all(|field| known.contains_key(field));
            if is_whole {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// The records before a position that may set values of a thing, the newest first; `None` is one
    /// that was archived.
    fn told_before(&self, position: Position, thing: &str) -> Result<Vec<Option<Record>>, Problem> {
        let groups = [vec![Term::setting(thing)]];
        let range = (Position::new(1), Position::new(position.get() - 1));
        let found = self
            .index
            .find(&groups, range, Order::Falling, EXAMINED_MAX);
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the index of events cannot be read");
                return Ok(Vec::new());
            }
        };
        let records = found
            .into_iter()
            .map(|position| match (self.read)(position) {
                Ok(record) => Ok(record),
                Err(error) if super::is_archived(&error) => Ok(None),
                Err(error) => Err(super::unreadable(error)),
            });
        records.collect()
    }
}
