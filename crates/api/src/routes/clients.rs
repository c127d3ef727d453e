//! `/v1/orgs/{org}/clients`: the OAuth clients of an organization (RFC 6749 §2), with the metadata of
//! RFC 7591 §2 where it has a word for it.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeBounds};

use actix_web::{HttpResponse, web};
use keyledger_domain::client::{
    AccessTokenFormat, ChangeClient, Client, ClientChanges, ClientSecret, ClientSettings,
    ClientType, DeleteClient, GrantType, NewClientSecret, PkcePolicy, RefreshPolicy,
    RefreshRotation, RegisterClient, RotateClientSecret, SwitchClient,
};
use keyledger_domain::id::{ClientId, OrgId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::signing::SigningAlgorithm;
use keyledger_domain::text::DisplayName;
use keyledger_domain::{
    Command, CredentialKind, Environment, Plaintext, RedirectUri, Refusal, Resource, Scopes,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::{self, Page, PageAtQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::past::{AtQuery, Told};
use crate::problem::{Problem, ProblemBody};
use crate::restrictions;
use crate::routes::paging::behind;

/// How long an access token is good, where nothing is said: an hour, in seconds.
const ACCESS_TOKEN_SECONDS: u32 = 3_600;
/// How long a refresh token may lie unused, where nothing is said: 30 days, in seconds.
const REFRESH_IDLE_SECONDS: u32 = 30 * 24 * 3_600;
/// How long a consent can be refreshed, where nothing is said: 90 days, in seconds.
const REFRESH_SECONDS: u32 = 90 * 24 * 3_600;

/// A secret of a client, without the secret itself.
#[derive(Serialize, ToSchema)]
pub struct ClientSecretView {
    /// Its public id, as in `cs_live_<id>_****`.
    id: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends, if it was replaced; `null` for the one that is current.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl From<&ClientSecret> for ClientSecretView {
    fn from(secret: &ClientSecret) -> Self {
        Self {
            id: secret.id.to_string(),
            created_at: secret.created_at,
            expires_at: secret.until,
        }
    }
}

/// An OAuth client.
#[derive(Serialize, ToSchema)]
pub struct ClientView {
    /// Its identifier.
    #[schema(format = Uuid)]
    client_id: String,
    /// Its secret, where it was just made; shown this once. A public client has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Its name for people, who read it when they are asked to consent.
    name: String,
    /// `confidential` or `public`.
    #[schema(value_type = String, example = "confidential")]
    r#type: ClientType,
    /// `live` or `test`: where its tokens belong.
    #[schema(value_type = String, example = "live")]
    environment: Environment,
    /// How it may ask for tokens.
    #[schema(value_type = Vec<String>, example = json!(["authorization_code", "refresh_token"]))]
    grant_types: BTreeSet<GrantType>,
    /// Where people may be sent back to.
    #[schema(value_type = Vec<String>, example = json!(["https://app.example.com/callback"]))]
    redirect_uris: Vec<RedirectUri>,
    /// What it may ask for at most.
    #[schema(value_type = Vec<String>, example = json!(["files:read"]))]
    scopes: Scopes,
    /// For which other servers its tokens may be (RFC 8707).
    #[schema(value_type = Vec<String>)]
    resources: Vec<Resource>,
    /// `required` or `optional`. A challenge that is sent is enforced in any case.
    #[schema(value_type = String, example = "required")]
    pkce: PkcePolicy,
    /// `always`, `offline_access` (when that scope is granted) or `never`.
    #[schema(value_type = String, example = "always")]
    refresh_tokens: RefreshPolicy,
    /// `rotate` or `keep`.
    #[schema(value_type = String, example = "rotate")]
    refresh_rotation: RefreshRotation,
    /// `opaque` or `jwt`.
    #[schema(value_type = String, example = "opaque")]
    access_token_format: AccessTokenFormat,
    /// What a JWT is signed with: `ES256`, `EdDSA` or `RS256`.
    #[schema(value_type = String, example = "ES256")]
    signing_algorithm: SigningAlgorithm,
    /// How long an access token is good.
    access_token_seconds: u32,
    /// How long a refresh token may lie unused.
    refresh_idle_seconds: u32,
    /// How long a consent can be refreshed at all.
    refresh_seconds: u32,
    /// Its secrets that are good now.
    secrets: Vec<ClientSecretView>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl ClientView {
    fn of(client: &Client, client_secret: Option<String>, now: Timestamp) -> Self {
        let settings = client.settings.clone();
        Self {
            client_id: client.id.to_string(),
            client_secret,
            name: settings.name.to_string(),
            r#type: client.client_type,
            environment: client.environment,
            grant_types: settings.grant_types,
            redirect_uris: settings.redirect_uris,
            scopes: settings.scopes,
            resources: settings.resources,
            pkce: settings.pkce,
            refresh_tokens: settings.refresh_tokens,
            refresh_rotation: settings.refresh_rotation,
            access_token_format: settings.access_token_format,
            signing_algorithm: settings.signing_algorithm,
            access_token_seconds: settings.access_token_seconds,
            refresh_idle_seconds: settings.refresh_idle_seconds,
            refresh_seconds: settings.refresh_seconds,
            secrets: client.live_secrets(now).map(Into::into).collect(),
            disabled_at: client.disabled_at,
            created_at: client.created_at,
        }
    }
}

fn find<'d>(
    told: &'d Told<'_>,
    caller: &Caller,
    org: &Org,
    id: &str,
) -> Result<&'d Client, Refusal> {
    let client = id.parse::<ClientId>().ok();
    client
        .and_then(|id| told.state().client(id))
        .filter(|client| client.org == org.id)
        .filter(|client| told.sees(caller.authority(), client.environment))
        .ok_or(Refusal::Unknown(Noun::Client))
}

impl App {
    /// The client that a path names, for whoever may change clients.
    fn find_client(
        &self,
        caller: &Caller,
        path: &(String, String),
    ) -> Result<(OrgId, ClientId, ClientType, Environment), Problem> {
        let told = self.told_now();
        let org = told.org(caller, &path.0, built_in::CLIENTS_WRITE)?;
        let client = find(&told, caller, org, &path.1)?;
        Ok((org.id, client.id, client.client_type, client.environment))
    }

    fn view_client(&self, id: ClientId, secret: Option<String>) -> Result<ClientView, Problem> {
        let directory = self.directory();
        let client = directory.client(id).ok_or(Refusal::Unknown(Noun::Client))?;
        Ok(ClientView::of(client, secret, self.now()))
    }

    fn draw_client_secret(
        &self,
        environment: Environment,
    ) -> Result<(Plaintext, NewClientSecret), Problem> {
        let plaintext = self.draw(CredentialKind::ClientSecret, environment, None)?;
        let secret = NewClientSecret {
            id: plaintext.id(),
            digest: self.digest(plaintext.as_bytes())?,
        };
        Ok((plaintext, secret))
    }
}

/// List the OAuth clients of an organization, by id. Secrets are not in it.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/clients", tag = "clients",
    params(("org" = String, Path, description = "The organization's slug."), PageAtQuery),
    responses(
        (status = 200, body = Page<ClientView>, description = "A page of clients."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks clients:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "The limit, the place or the moment is not right.")))]
pub async fn list_clients(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageAtQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, at) = page.into_inner().into_parts();
    let right = built_in::CLIENTS_READ;
    let told = app.told_in(&caller, &org, right, at.as_deref()).await?;
    let org = told.org(&caller, &org, right)?;
    let limit = page.limit()?;
    let from = behind::<ClientId>(&page)?;
    let now = told.now();
    let clients = told
        .state()
        .clients_of(org.id)
        .filter(|client| (from, Bound::Unbounded).contains(&client.id))
        .filter(|client| told.sees(caller.authority(), client.environment))
        .map(|client| ClientView::of(client, None, now));
    let page = Page::of(clients, limit, |view| view.client_id.clone(), |view| view);
    Ok(told.answer(&page))
}

/// What a client is to be, as bodies say it: for a new one, and for one that is changed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientBody {
    /// Its name for people.
    #[schema(example = "Your App", max_length = 128)]
    name: Option<String>,
    /// `confidential`, which it is where it is left out, or `public`. It never changes.
    #[schema(example = "confidential")]
    r#type: Option<String>,
    /// `live`, which it is where it is left out, or `test`. It never changes.
    environment: Option<String>,
    /// How it may ask: `authorization_code`, `client_credentials`, `refresh_token`.
    #[schema(example = json!(["authorization_code", "refresh_token"]))]
    grant_types: Option<Vec<String>>,
    /// Where people may be sent back to, compared character by character.
    #[schema(example = json!(["https://app.example.com/callback"]))]
    redirect_uris: Option<Vec<String>>,
    /// What it may ask for at most; what it gets where it names nothing.
    #[schema(example = json!(["files:read"]))]
    scopes: Option<Vec<String>>,
    /// For which other servers its tokens may be (RFC 8707).
    resources: Option<Vec<String>>,
    /// `required`, or for confidential clients `optional`, which it is where it is left out.
    pkce: Option<String>,
    /// `always`, `offline_access` or `never`; left out, `always` where it may refresh.
    refresh_tokens: Option<String>,
    /// `rotate`, which it is where it is left out, or for confidential clients `keep`.
    refresh_rotation: Option<String>,
    /// `opaque`, which it is where it is left out, or `jwt`.
    access_token_format: Option<String>,
    /// `ES256`, which it is where it is left out, `EdDSA`, or `RS256` once the operator brought a key.
    signing_algorithm: Option<String>,
    /// How long an access token is good, in seconds; 3,600 where it is left out.
    #[schema(minimum = 1, maximum = 86_400)]
    access_token_seconds: Option<u32>,
    /// How long a refresh token may lie unused, in seconds; 30 days where it is left out.
    #[schema(minimum = 1, maximum = 31_622_400)]
    refresh_idle_seconds: Option<u32>,
    /// How long a consent can be refreshed at all, in seconds; 90 days where it is left out.
    #[schema(minimum = 1, maximum = 31_622_400)]
    refresh_seconds: Option<u32>,
    /// `true` switches it off, and all its tokens; `false` on again. Not for a new one.
    disabled: Option<bool>,
}

/// One of a few words, or what they are.
fn word<T: Copy>(
    fields: &mut Fields,
    name: &'static str,
    text: Option<&str>,
    words: &[(&str, T)],
) -> Option<T> {
    let text = text?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        fields.refuse(name, format!("must be {}", all.join(" or ")));
    }
    found.map(|(_, value)| *value)
}

/// The same in the definition for a new client, which must say more than a change.
struct NewClient;

impl PartialSchema for NewClient {
    fn schema() -> RefOr<Schema> {
        let mut schema = ClientBody::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required = ["name", "grant_types", "scopes"].map(String::from).to_vec();
        }
        schema
    }
}

impl ToSchema for NewClient {}

impl ClientBody {
    /// Reads what is to be changed, or notes what is wrong with it.
    fn changes(&self, fields: &mut Fields) -> ClientChanges {
        let grant_types = self.grant_types.as_deref().map(|texts| {
            let ways = [
                ("authorization_code", GrantType::AuthorizationCode),
                ("client_credentials", GrantType::ClientCredentials),
                ("refresh_token", GrantType::RefreshToken),
            ];
            let read = |text: &String| word(fields, "grant_types", Some(text), &ways);
            texts.iter().filter_map(read).collect::<BTreeSet<_>>()
        });
        ClientChanges {
            name: fields.optional::<DisplayName>("name", self.name.as_deref()),
            grant_types,
            redirect_uris: self
                .redirect_uris
                .as_deref()
                .map(|texts| fields.each("redirect_uris", texts)),
            scopes: self
                .scopes
                .as_deref()
                .map(|texts| restrictions::scopes(texts, fields)),
            resources: self
                .resources
                .as_deref()
                .map(|texts| fields.each("resources", texts)),
            pkce: word(
                fields,
                "pkce",
                self.pkce.as_deref(),
                &[
                    ("required", PkcePolicy::Required),
                    ("optional", PkcePolicy::Optional),
                ],
            ),
            refresh_tokens: word(
                fields,
                "refresh_tokens",
                self.refresh_tokens.as_deref(),
                &[
                    ("always", RefreshPolicy::Always),
                    ("offline_access", RefreshPolicy::OfflineAccess),
                    ("never", RefreshPolicy::Never),
                ],
            ),
            refresh_rotation: word(
                fields,
                "refresh_rotation",
                self.refresh_rotation.as_deref(),
                &[
                    ("rotate", RefreshRotation::Rotate),
                    ("keep", RefreshRotation::Keep),
                ],
            ),
            access_token_format: word(
                fields,
                "access_token_format",
                self.access_token_format.as_deref(),
                &[
                    ("opaque", AccessTokenFormat::Opaque),
                    ("jwt", AccessTokenFormat::Jwt),
                ],
            ),
            signing_algorithm: word(
                fields,
                "signing_algorithm",
                self.signing_algorithm.as_deref(),
                &[
                    ("ES256", SigningAlgorithm::Es256),
                    ("EdDSA", SigningAlgorithm::EdDsa),
                    ("RS256", SigningAlgorithm::Rs256),
                ],
            ),
            access_token_seconds: self.access_token_seconds,
            refresh_idle_seconds: self.refresh_idle_seconds,
            refresh_seconds: self.refresh_seconds,
        }
    }

    /// What a new client is to be: what is said, and for the rest what most of its kind want.
    fn settings(
        &self,
        client_type: ClientType,
        fields: &mut Fields,
    ) -> Result<ClientSettings, Problem> {
        if self.disabled.is_some() {
            fields.refuse(
                "disabled",
                "a new client is switched on; leave it out".to_owned(),
            );
        }
        let changes = self.changes(fields);
        for (field, is_missing) in [
            ("name", self.name.is_none()),
            ("grant_types", self.grant_types.is_none()),
            ("scopes", self.scopes.is_none()),
        ] {
            if is_missing {
                fields.refuse(field, "this field is required".to_owned());
            }
        }
        let name = fields.take(changes.name)?;
        let grant_types = changes.grant_types.unwrap_or_default();
        let may_refresh = grant_types.contains(&GrantType::RefreshToken);
        Ok(ClientSettings {
            name,
            redirect_uris: changes.redirect_uris.unwrap_or_default(),
            scopes: changes.scopes.unwrap_or_default(),
            resources: changes.resources.unwrap_or_default(),
            pkce: changes.pkce.unwrap_or(match client_type {
                ClientType::Confidential => PkcePolicy::Optional,
                ClientType::Public => PkcePolicy::Required,
            }),
            refresh_tokens: changes.refresh_tokens.unwrap_or(if may_refresh {
                RefreshPolicy::Always
            } else {
                RefreshPolicy::Never
            }),
            refresh_rotation: changes.refresh_rotation.unwrap_or(RefreshRotation::Rotate),
            access_token_format: changes
                .access_token_format
                .unwrap_or(AccessTokenFormat::Opaque),
            signing_algorithm: changes.signing_algorithm.unwrap_or(SigningAlgorithm::Es256),
            access_token_seconds: changes.access_token_seconds.unwrap_or(ACCESS_TOKEN_SECONDS),
            refresh_idle_seconds: changes.refresh_idle_seconds.unwrap_or(REFRESH_IDLE_SECONDS),
            refresh_seconds: changes.refresh_seconds.unwrap_or(REFRESH_SECONDS),
            grant_types,
        })
    }
}

/// Register an OAuth client. Its secret, if it has one, is in the answer, this once.
///
/// # Errors
/// 401, 403 for more than the caller has, 404, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/clients", tag = "clients", request_body = NewClient,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 201, body = ClientView, description = "The client, with its secret."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks clients:write, or gives more than they have."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_client(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<ClientBody>,
) -> Result<HttpResponse, Problem> {
    let org = app.require_in(&caller, &org, built_in::CLIENTS_WRITE)?;
    let body = body?;
    let mut fields = Fields::default();
    let types = [
        ("confidential", ClientType::Confidential),
        ("public", ClientType::Public),
    ];
    let client_type = word(&mut fields, "type", body.r#type.as_deref(), &types);
    let client_type = client_type.unwrap_or(ClientType::Confidential);
    let environment = fields.word("environment", body.environment.as_deref(), "live or test");
    let environment = environment.unwrap_or(Environment::Live);
    let settings = body.settings(client_type, &mut fields)?;
    let (plaintext, secret) = match client_type {
        ClientType::Confidential => app
            .draw_client_secret(environment)
            .map(|(a, b)| (Some(a), Some(b)))?,
        ClientType::Public => (None, None),
    };
    let client = ClientId::from_random(app.random()?);
    let register = RegisterClient {
        org,
        client,
        client_type,
        environment,
        secret,
        settings,
    };
    let committed = app.execute(&caller, register).await?;
    let view = app.view_client(client, plaintext.map(Plaintext::expose_once))?;
    Ok(answer::created(committed.position, &view))
}

/// Read an OAuth client. Its secrets are not in it.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/v1/orgs/{org}/clients/{client_id}", tag = "clients",
    params(("org" = String, Path, description = "The organization's slug."),
        ("client_id" = String, Path, description = "The client."), AtQuery),
    responses(
        (status = 200, body = ClientView, description = "The client."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks clients:read."),
        (status = 404, body = ProblemBody, description = "No such organization or client."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`at` is not a valid moment, or lies in the future.")))]
pub async fn read_client(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<AtQuery>,
) -> Result<HttpResponse, Problem> {
    let right = built_in::CLIENTS_READ;
    let told = app.told_in(&caller, &path.0, right, query.at()).await?;
    let org = told.org(&caller, &path.0, right)?;
    let client = find(&told, &caller, org, &path.1)?;
    Ok(told.answer(&ClientView::of(client, None, told.now())))
}

/// Change an OAuth client, then switch it off or on. What is left out stays.
///
/// Tokens that were issued stay good for what the client may still have: narrower scopes bind them at
/// once. The settings and the switch are a record each: a crash in between can leave the first done and
/// the second not.
///
/// # Errors
/// 401, 403 for more than the caller has, 404, 422.
#[utoipa::path(patch, path = "/v1/orgs/{org}/clients/{client_id}", tag = "clients", request_body = ClientBody,
    params(("org" = String, Path, description = "The organization's slug."),
        ("client_id" = String, Path, description = "The client.")),
    responses(
        (status = 200, body = ClientView, description = "The client as it is now."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks clients:write, or something that the client may ask for."),
        (status = 404, body = ProblemBody, description = "No such organization or client."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn change_client(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<ClientBody>,
) -> Result<HttpResponse, Problem> {
    let (org, client, ..) = app.find_client(&caller, &path)?;
    let body = body?;
    let mut fields = Fields::default();
    for (name, is_said) in [
        ("type", body.r#type.is_some()),
        ("environment", body.environment.is_some()),
    ] {
        if is_said {
            fields.refuse(name, "never changes; register another client".to_owned());
        }
    }
    let changes = body.changes(&mut fields);
    fields.check()?;
    let mut commands: Vec<Command> = Vec::new();
    if changes != ClientChanges::default() {
        commands.push(
            ChangeClient {
                org,
                client,
                changes,
            }
            .into(),
        );
    }
    commands.extend(body.disabled.map(|disabled| {
        Command::from(SwitchClient {
            org,
            client,
            disabled,
        })
    }));
    let position = app.execute_all(&caller, commands).await?;
    Ok(answer::done(position, &app.view_client(client, None)?))
}

/// Delete an OAuth client. All its tokens end at once, and what people allowed it is forgotten.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/v1/orgs/{org}/clients/{client_id}", tag = "clients",
    params(("org" = String, Path, description = "The organization's slug."),
        ("client_id" = String, Path, description = "The client.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks clients:write."),
        (status = 404, body = ProblemBody, description = "No such organization or client.")))]
pub async fn delete_client(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (org, client, ..) = app.find_client(&caller, &path)?;
    let committed = app.execute(&caller, DeleteClient { org, client }).await?;
    Ok(answer::gone(committed.position))
}

/// How the secret of a client is to be replaced.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRotation {
    /// How long the old secret stays good, in seconds; 0, at once, where it is left out.
    #[schema(maximum = 2_592_000)]
    grace_seconds: Option<u64>,
}

/// Give an OAuth client a new secret, in the answer this once. The old one is dead at once, unless the
/// body says otherwise. Tokens stay good.
///
/// # Errors
/// 401, 403, 404, 409 for a public client, and while an earlier rotation is under way, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/clients/{client_id}/secret", tag = "clients", request_body = SecretRotation,
    params(("org" = String, Path, description = "The organization's slug."),
        ("client_id" = String, Path, description = "The client.")),
    responses(
        (status = 200, body = ClientView, description = "The client with its new secret."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks clients:write, or something that the client may ask for."),
        (status = 404, body = ProblemBody, description = "No such organization or client."),
        (status = 409, body = ProblemBody, description = "The client is public, or an earlier rotation is under way."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn rotate_client_secret(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    Json(body): Json<SecretRotation>,
) -> Result<HttpResponse, Problem> {
    let (org, client, _, environment) = app.find_client(&caller, &path)?;
    let grace_seconds = body?.grace_seconds.unwrap_or(0);
    let (plaintext, secret) = app.draw_client_secret(environment)?;
    let rotate = RotateClientSecret {
        org,
        client,
        secret,
        grace_seconds,
    };
    let committed = app.execute(&caller, rotate).await?;
    let view = app.view_client(client, Some(plaintext.expose_once()))?;
    Ok(answer::done(committed.position, &view))
}
