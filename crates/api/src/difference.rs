//! What changed in an organization between two moments: what came, what went, and of what stayed each field
//! before and after.
//!
//! The states are compared, not the records in between: what was made and deleted again in the meantime is in
//! the audit log and not here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use keyledger_domain::api_key::Holder;
use keyledger_domain::client::Client;
use keyledger_domain::id::OrgId;
use keyledger_domain::org::Org;
use keyledger_domain::user_key::KeyLabel;
use keyledger_domain::{Actor, ApiKey, Directory, Environment};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThingKind {
    /// The organization itself: its name, limits and policy.
    Organization,
    /// A member.
    Member,
    /// An invitation that waits.
    Invitation,
    /// A team.
    Team,
    /// A scope of its catalogue.
    Scope,
    /// A person's key.
    Key,
    /// A service.
    Service,
    /// An entitlement token.
    Entitlement,
    /// An OAuth client.
    Client,
}

impl ThingKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Member => "member",
            Self::Invitation => "invitation",
            Self::Team => "team",
            Self::Scope => "scope",
            Self::Key => "key",
            Self::Service => "service",
            Self::Entitlement => "entitlement",
            Self::Client => "client",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// It is there, and is not as it was.
    Changed,
}

impl Transition {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// A field, before and after: in the differences of two moments, and in an event that changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldChange {
    /// Its name.
    #[schema(example = "role")]
    pub field: Cow<'static, str>,
    /// What it was; `null` of what came.
    #[schema(value_type = Value)]
    pub before: Value,
    /// What it is; `null` of what went.
    #[schema(value_type = Value)]
    pub after: Value,
}

/// A thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Difference {
    /// What it is.
    pub kind: ThingKind,
    /// Its identifier; of a scope its name.
    pub id: String,
    /// What it is called; `null` of what has no name, and of whoever was erased.
    pub name: Option<String>,
    /// What became of it.
    pub change: Transition,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
}

/// What is compared of a thing.
struct Thing {
    name: Option<String>,
    fields: BTreeMap<&'static str, Value>,
}

type Things = BTreeMap<(ThingKind, String), Thing>;

/// What differs in an organization between two states, by kind and identifier. `sees` says whether what
/// belongs to an environment is told.
pub fn between(
    before: &Directory,
    after: &Directory,
    org: OrgId,
    sees: impl Fn(Environment) -> bool,
) -> Vec<Difference> {
    let things = |directory: &Directory| {
        let org = directory.org(org);
        org.map(|org| things_of(directory, org, &sees))
            .unwrap_or_default()
    };
    let (mut before, mut after) = (things(before), things(after));
    let places: BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
    let differences = places.into_iter().filter_map(|place| {
        let (was, is) = (before.remove(&place), after.remove(&place));
        difference(place, was, is)
    });
    differences.collect()
}

fn difference(
    (kind, id): (ThingKind, String),
    was: Option<Thing>,
    is: Option<Thing>,
) -> Option<Difference> {
    let change = match (&was, &is) {
        (None, Some(_)) => Transition::Added,
        (Some(_), None) => Transition::Removed,
        (Some(_), Some(_)) => Transition::Changed,
        (None, None) => return None,
    };
    let (was_called, mut was) = was.map_or_else(Default::default, |was| (was.name, was.fields));
    let (is_called, mut is) = is.map_or_else(Default::default, |is| (is.name, is.fields));
    let names: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
    let fields: Vec<FieldChange> = names
        .into_iter()
        .map(|field| FieldChange {
            field: Cow::Borrowed(field),
            before: was.remove(field).unwrap_or(Value::Null),
            after: is.remove(field).unwrap_or(Value::Null),
        })
        .filter(|field| field.before != field.after)
        .collect();
    if change == Transition::Changed && fields.is_empty() {
        return None;
    }
    Some(Difference {
        kind,
        id,
        name: is_called.or(was_called),
        change,
        fields,
    })
}

/// The fields of a thing, in any order.
type Fields = Vec<(&'static str, Value)>;

fn things_of(directory: &Directory, org: &Org, sees: &impl Fn(Environment) -> bool) -> Things {
    let mut things = Things::new();
    let mut put = |kind, id: String, name: Option<String>, fields: Fields| {
        let fields = fields.into_iter().collect();
        things.insert((kind, id), Thing { name, fields });
    };
    put_people(directory, org, &mut put);
    put_teams(directory, org, sees, &mut put);
    for client in directory
        .clients_of(org.id)
        .filter(|client| sees(client.environment))
    {
        let name = client.settings.name.to_string();
        put(
            ThingKind::Client,
            client.id.to_string(),
            Some(name),
            client_fields(client),
        );
    }
    for key in directory
        .keys_in(org)
        .filter(|key| sees(key.issued.environment))
    {
        put_key(directory, org, key, &mut put);
    }
    things
}

/// Takes a thing: what it is, its identifier, its name, its fields.
type Put<'a> = &'a mut dyn FnMut(ThingKind, String, Option<String>, Fields);

/// The organization itself, and who is in it or asked in.
fn put_people(directory: &Directory, org: &Org, put: Put<'_>) {
    put(
        ThingKind::Organization,
        org.id.to_string(),
        Some(org.slug.to_string()),
        vec![
            ("name", json!(org.name)),
            ("rate_limit", json!(org.rate_limit)),
            ("policy", json!(org.policy)),
        ],
    );
    for (user, role) in &org.members {
        let account = directory.user(*user);
        let name = account.and_then(|user| Some(user.slug.known()?.to_string()));
        let disabled_at = org.disabled_at(*user);
        let fields = vec![("role", json!(role)), ("disabled_at", json!(disabled_at))];
        put(ThingKind::Member, user.to_string(), name, fields);
    }
    for (id, open) in &org.invitations {
        let fields = vec![
            ("role", json!(open.role)),
            ("expires_at", json!(open.expires_at)),
            ("invited_by", json!(open.invited_by.to_string())),
        ];
        let name = open.email.known().map(ToString::to_string);
        put(ThingKind::Invitation, id.to_string(), name, fields);
    }
}

/// What an organization gives to several at once.
fn put_teams(directory: &Directory, org: &Org, sees: &impl Fn(Environment) -> bool, put: Put<'_>) {
    for team in org.teams.values() {
        let services = team.services.iter().filter_map(|id| directory.service(*id));
        let services = services.filter(|service| {
            let key = directory.api_key(service.credential);
            key.is_some_and(|key| sees(key.issued.environment))
        });
        let services: Vec<_> = services.map(|service| service.slug.as_str()).collect();
        let fields = vec![
            ("slug", json!(team.slug)),
            ("name", json!(team.name)),
            ("scopes", json!(team.scopes)),
            ("members", json!(team.members)),
            ("services", json!(services)),
        ];
        put(
            ThingKind::Team,
            team.id.to_string(),
            Some(team.slug.to_string()),
            fields,
        );
    }
    for (name, entry) in &org.scopes {
        let fields = vec![
            ("description", json!(entry.description)),
            ("access", json!(entry.access)),
            ("minimum_role", json!(entry.minimum_role)),
        ];
        put(ThingKind::Scope, name.clone(), Some(name.clone()), fields);
    }
}

fn put_key(directory: &Directory, org: &Org, key: &ApiKey, put: Put<'_>) {
    let mut fields = key_fields(directory, org, key);
    let (kind, id, name) = match key.issued.holder {
        Holder::User { user, key } => {
            let known = directory.user_key(key);
            let name = known.map(|key| match &key.label {
                KeyLabel::Handle(handle) => handle.to_string(),
                KeyLabel::OwnToken => "own token".to_owned(),
            });
            fields.push(("owner", json!(Actor::User(user).to_string())));
            fields.push(("alias", json!(known.and_then(|key| key.alias.as_ref()))));
            (ThingKind::Key, key.to_string(), name)
        }
        Holder::Service { service, .. } => {
            let Some(service) = directory.service(service) else {
                return;
            };
            let teams = service.teams.iter().filter_map(|id| org.team(*id));
            let teams: Vec<_> = teams.map(|team| team.slug.as_str()).collect();
            fields.push(("name", json!(service.name)));
            fields.push(("description", json!(service.description)));
            fields.push(("role", json!(service.role)));
            fields.push(("teams", json!(teams)));
            (
                ThingKind::Service,
                service.id.to_string(),
                Some(service.slug.to_string()),
            )
        }
        Holder::Entitlement { entitlement, .. } => {
            let Some(token) = directory.entitlement(entitlement) else {
                return;
            };
            let grant = token.credits.map(|credits| credits.grant);
            fields.push(("credits", json!(grant)));
            (
                ThingKind::Entitlement,
                token.id.to_string(),
                Some(token.name.to_string()),
            )
        }
        Holder::Client { .. } | Holder::Delegate { .. } => return,
    };
    put(kind, id, name, fields);
}

/// Nothing that authenticates: digests and sealed secrets are told nobody.
fn key_fields(directory: &Directory, org: &Org, key: &ApiKey) -> Fields {
    let networks: Vec<_> = key
        .allowed_cidrs()
        .iter()
        .map(ToString::to_string)
        .collect();
    vec![
        ("credential", json!(key.issued.id)),
        ("environment", json!(key.issued.environment)),
        ("scopes", json!(key.scopes)),
        ("expires_at", json!(key.expires_at)),
        ("allowed_cidrs", json!(networks)),
        ("rate_limit", json!(key.rate_limit())),
        ("rotated_at", json!(key.rotated_at())),
        ("disabled_at", json!(key.disabled_at())),
        ("revoked_at", json!(key.revoked_at())),
        (
            "barred_at",
            json!(directory.barred_at(org.id, key.issued.id)),
        ),
    ]
}

fn client_fields(client: &Client) -> Fields {
    let settings = &client.settings;
    let secrets: Vec<_> = client.secrets.iter().map(|secret| secret.id).collect();
    vec![
        ("name", json!(settings.name)),
        ("type", json!(client.client_type)),
        ("environment", json!(client.environment)),
        ("grant_types", json!(settings.grant_types)),
        ("redirect_uris", json!(settings.redirect_uris)),
        ("scopes", json!(settings.scopes)),
        ("resources", json!(settings.resources)),
        ("pkce", json!(settings.pkce)),
        ("refresh_tokens", json!(settings.refresh_tokens)),
        ("refresh_rotation", json!(settings.refresh_rotation)),
        ("access_token_format", json!(settings.access_token_format)),
        ("signing_algorithm", json!(settings.signing_algorithm)),
        ("access_token_seconds", json!(settings.access_token_seconds)),
        ("refresh_idle_seconds", json!(settings.refresh_idle_seconds)),
        ("refresh_seconds", json!(settings.refresh_seconds)),
        ("secrets", json!(secrets)),
        ("disabled_at", json!(client.disabled_at)),
    ]
}
