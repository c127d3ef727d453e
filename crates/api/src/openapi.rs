//! The definition of the API (`OpenAPI` 3.1), made from the handlers and from the table of routes.
//!
//! The handlers say what they take and answer, [`routes::paths`](crate::routes) says under which
//! addresses: a path that is in one and not in the other fails a test, so no route escapes the
//! definition, nor the tests that are generated from it.

use std::sync::LazyLock;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header as _, IfNoneMatch,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use crate::oauth::{introspect, metadata, revoke, token};
use crate::pieces::InPieces;
use crate::routes::{
    backup, clients, consents, credentials, decisions, differences, entitlements, erasure, events,
    health, hygiene, invitations, key_usage, keys, leavers, log, me, members, org_limits, paths,
    policy, revocations, scopes, services, set_up, signing_keys, teams, user, user_keys,
    user_sessions, user_tokens, workspaces,
};

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";

/// Where the definition is.
pub(crate) const PATH: &str = "/openapi.json";

/// All that the handlers say. A new handler is added here; the tests below notice one that is not.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keyledger",
        description = "Issues, verifies, rotates and revokes the keys of somebody else's API. Every \
            change is an event in a ledger that can be verified.\n\nA trailing slash never matters. \
            What is refused is answered with an RFC 9457 problem document. A key with a `rate_limit` is told \
            what is left of it in `X-RateLimit-Limit`, `-Remaining`, `-Reset` (when it is full again, in \
            seconds since 1970) and `-Interval` (seconds to wait, 0 unless the limit is reached); \
            beyond it there is 429 with `Retry-After`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        keys::verify_key,
        key_usage::read_key_usage,
        me::read_me,
        user::read_self,
        user::read_user,
        user::change_password,
        user_sessions::end_all_sessions,
        user_tokens::read_own_token,
        user_tokens::list_own_tokens,
        user_tokens::refresh_own_token,
        user_keys::create_user_key,
        user_keys::list_user_keys,
        user_keys::read_user_key,
        user_keys::change_user_key,
        user_keys::delete_user_key,
        user_keys::rotate_user_key,
        user_keys::undo_user_key_rotation,
        workspaces::list_workspaces,
        workspaces::create_workspace,
        members::list_members,
        members::create_member,
        members::read_member,
        members::change_member,
        members::delete_member,
        leavers::list_member_keys,
        erasure::erase_person,
        invitations::list_invitations,
        invitations::delete_invitation,
        invitations::accept_invitation,
        teams::list_teams,
        teams::create_team,
        teams::read_team,
        teams::change_team,
        teams::delete_team,
        teams::add_team_member,
        teams::delete_team_member,
        services::list_services,
        services::create_service,
        services::read_service,
        services::change_service,
        services::delete_service,
        services::refresh_service,
        services::undo_service_refresh,
        entitlements::list_entitlements,
        entitlements::create_entitlement,
        entitlements::read_entitlement,
        entitlements::change_entitlement,
        entitlements::delete_entitlement,
        entitlements::refresh_entitlement,
        entitlements::undo_entitlement_refresh,
        clients::list_clients,
        clients::create_client,
        clients::read_client,
        clients::change_client,
        clients::delete_client,
        clients::rotate_client_secret,
        consents::list_consents,
        consents::delete_consent,
        token::issue_token,
        introspect::introspect_token,
        revoke::revoke_token,
        key_usage::list_org_usage,
        org_limits::read_org_limits,
        org_limits::change_org_limits,
        policy::read_policy,
        policy::change_policy,
        hygiene::list_hygiene,
        revocations::list_revocations,
        revocations::create_revocation,
        revocations::undo_revocation,
        scopes::list_scopes,
        scopes::create_scope,
        events::list_events,
        events::stream_events,
        events::read_event,
        log::prove_event,
        log::read_record,
        log::read_log,
        backup::back_up,
        log::read_checkpoint,
        log::read_tile,
        log::read_entries,
        credentials::read_credential,
        differences::list_differences,
        decisions::read_decision,
        signing_keys::list_signing_keys,
        signing_keys::create_signing_key,
        signing_keys::retire_signing_key,
        set_up::set_up,
        metadata::read_jwks,
        metadata::read_server_metadata,
        metadata::read_resource_metadata,
        health::read_live,
        health::read_ready,
    ),
    tags(
        (name = "keys", description = "Whether a key that was shown is good."),
        (name = "user", description = "The caller."),
        (name = "user keys", description = "A person's own keys."),
        (name = "user tokens", description = "The one key that a person has without naming it."),
        (name = "workspaces", description = "Organizations."),
        (name = "members", description = "Who is in an organization, and who is asked in."),
        (name = "teams", description = "Groups of members and services that share scopes."),
        (name = "services", description = "Programs, each with exactly one key."),
        (name = "clients", description = "OAuth clients: applications that ask for tokens."),
        (name = "entitlements", description = "Read-only tokens for customers."),
        (name = "policy", description = "What an organization demands of keys."),
        (name = "hygiene", description = "Which keys are worth a look."),
        (name = "revocations", description = "Many keys revoked at once."),
        (name = "scopes", description = "The catalogue of what a key may do."),
        (name = "events", description = "The audit log."),
        (name = "log", description = "The audit log as a transparency log: checkpoints, tiles, proofs."),
        (name = "decisions", description = "Why somebody was refused."),
        (name = "signing keys", description = "The keys that sign access tokens, for whoever runs the server."),
        (name = "oauth", description = "Tokens for other people's programs."),
        (name = "setup", description = "The first owner."),
        (name = "health", description = "For whoever runs the server."),
    ),
    security(("basic" = []), ("bearer" = []), ("api_key" = [])),
    modifiers(&Carriers, &Refusals, &Bodies, &Aliases)
)]
struct Handlers;

/// How a credential is carried: exactly one of these a request.
struct Carriers;

impl Modify for Carriers {
    fn modify(&self, definition: &mut utoipa::openapi::OpenApi) {
        let components = definition.components.get_or_insert_default();
        let basic = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some(
                "A person's email or user name and password, or a service's slug and key.",
            ));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key or token. `Authorization: token <key>` is taken just so.",
            ));
        let header = ApiKeyValue::with_description("X-Api-Key", "A key or token.");
        components.add_security_scheme("basic", SecurityScheme::Http(basic.build()));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    }
}

/// How a request is refused: always as a problem document, whatever the status.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, definition: &mut utoipa::openapi::OpenApi) {
        let paths = definition.paths.paths.iter_mut();
        let operations = paths.flat_map(|(path, item)| {
            let is_of_clients = OF_CLIENTS.contains(&path.as_str());
            operations(item).map(move |operation| (is_of_clients, operation))
        });
        for (is_of_clients, operation) in operations {
            // The heading is for whoever reads the code; here the responses say the same.
            let words = operation.description.as_deref().unwrap_or_default();
            let words = words.split("# Errors").next().unwrap_or_default().trim();
            operation.description = Some(words.to_owned()).filter(|words| !words.is_empty());
            let responses = &mut operation.responses.responses;
            if is_of_clients {
                responses.insert("default".to_owned(), RefOr::T(any_oauth_refusal()));
                continue;
            }
            for (status, response) in responses.iter_mut() {
                if let RefOr::T(response) = response
                    && status.starts_with(['4', '5'])
                    && let Some(problem) = response.content.shift_remove(JSON)
                {
                    response.content.insert(PROBLEM_JSON.to_owned(), problem);
                }
            }
            responses.insert("default".to_owned(), RefOr::T(any_refusal()));
        }
    }
}

/// What any operation may answer: a body that cannot be read, two credentials, a full disk.
fn any_refusal() -> Response {
    let schema = Ref::from_schema_name("ProblemBody");
    ResponseBuilder::new()
        .description("Refused for a reason that any request may meet.")
        .content(PROBLEM_JSON, Content::new(Some(schema)))
        .build()
}

/// The addresses at which clients are answered as RFC 6749 §5.2 has it.
const OF_CLIENTS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

/// The same there: in the words of RFC 6749, but for what the edge refuses before it knows the address.
fn any_oauth_refusal() -> Response {
    let of = |schema| Content::new(Some(Ref::from_schema_name(schema)));
    ResponseBuilder::new()
        .description("Refused for a reason that any request may meet.")
        .content(JSON, of("OauthErrorBody"))
        .content(PROBLEM_JSON, of("ProblemBody"))
        .build()
}

/// Where a body may be left out: an empty one counts as `{}`, so wherever that is of the right form.
struct Bodies;

impl Modify for Bodies {
    fn modify(&self, definition: &mut utoipa::openapi::OpenApi) {
        let schemas = definition
            .components
            .get_or_insert_default()
            .schemas
            .clone();
        for operation in definition.paths.paths.values_mut().flat_map(operations) {
            let Some(RefOr::T(body)) = &mut operation.request_body else {
                continue;
            };
            let is_empty_right = body.content.values().all(|content| {
                let RefOr::T(content) = content else {
                    return false;
                };
                let Some(RefOr::Ref(reference)) = &content.schema else {
                    return false;
                };
                let name = reference
                    .ref_location
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                match schemas.get(name) {
                    Some(RefOr::T(Schema::Object(object))) => object.required.is_empty(),
                    Some(_) | None => false,
                }
            });
            if is_empty_right {
                body.required = Some(Required::False);
            }
        }
    }
}

/// The source documents' own addresses, each with what its canonical address says.
struct Aliases;

impl Modify for Aliases {
    fn modify(&self, definition: &mut utoipa::openapi::OpenApi) {
        let known = &mut definition.paths.paths;
        for addresses in paths::ALL {
            let Some((canonical, aliases)) = addresses.split_first() else {
                continue;
            };
            // One that is missing stays missing; the test says so.
            let Some(item) = known.get(*canonical).cloned() else {
                continue;
            };
            for (index, alias) in aliases.iter().enumerate() {
                let mut item = item.clone();
                for operation in operations(&mut item) {
                    mark(operation, canonical, index);
                }
                known.insert((*alias).to_owned(), item);
            }
        }
    }
}

/// An operation id stands once in a definition (`OpenAPI` 3.1 §4.8.10), so an alias has its own.
fn mark(operation: &mut Operation, canonical: &str, index: usize) {
    if let Some(id) = &mut operation.operation_id {
        let number = if index == 0 {
            String::new()
        } else {
            format!("_{}", index + 1)
        };
        *id = format!("{id}_alias{number}");
    }
    let summary = operation.summary.take().unwrap_or_default();
    operation.summary = Some(format!("{summary} (alias of {canonical})"));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// The definition as it is served, and its entity tag.
struct Served {
    text: Bytes,
    tag: EntityTag,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let text = written();
    let hash = blake3::hash(text.as_bytes()).to_hex();
    Served {
        tag: EntityTag::new_strong(hash[..32].to_owned()),
        text: text.into(),
    }
});

/// The definition as text, with a line's end at its end.
pub(crate) fn written() -> String {
    let mut text = Handlers::openapi()
        .to_pretty_json()
        .expect("a definition made of handlers is JSON");
    text.push('\n');
    text
}

/// `GET /openapi.json`.
pub(crate) async fn read_definition(request: HttpRequest) -> HttpResponse {
    let Served { text, tag } = &*SERVED;
    let known = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(IfNoneMatch::name()),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    };
    let mut response = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, tag.to_string()))
        // Kept, but asked about each time: it changes with the server.
        .insert_header((CACHE_CONTROL, "no-cache"));
    if known {
        return response.finish();
    }
    response
        .insert_header((CONTENT_TYPE, JSON))
        .body(InPieces::of(text.clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::http::{StatusCode, header::IF_NONE_MATCH};
    use actix_web::test::TestRequest;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/openapi.json");

    #[test]
    fn the_definition_and_the_table_of_routes_name_the_same_addresses() {
        let defined: BTreeSet<String> = Handlers::openapi().paths.paths.into_keys().collect();
        let routed: BTreeSet<String> = paths::ALL
            .iter()
            .flat_map(|addresses| addresses.iter())
            // How much of the address a parameter takes is the framework's way to write it.
            .map(|address| address.replace(":.+}", "}"))
            .collect();
        let missing: Vec<_> = routed.difference(&defined).collect();
        let unrouted: Vec<_> = defined.difference(&routed).collect();
        assert!(
            missing.is_empty(),
            "add the handlers of {missing:?} to `paths(..)` in openapi.rs"
        );
        assert!(
            unrouted.is_empty(),
            "{unrouted:?} is defined, but not in routes::paths::ALL"
        );
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_its_parameters() {
        let mut ids = BTreeSet::new();
        for (path, mut item) in Handlers::openapi().paths.paths {
            let in_path: BTreeSet<String> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .map(str::to_owned)
                .collect();
            let mut count = 0;
            for operation in operations(&mut item) {
                count += 1;
                let id = operation.operation_id.clone();
                let id = id.unwrap_or_else(|| panic!("{path}: an operation without an id"));
                assert!(ids.insert(id.clone()), "the operation id {id} stands twice");
                let parameters = operation.parameters.iter().flatten();
                let declared: BTreeSet<String> = parameters
                    .map(|parameter| serde_json::to_value(parameter).unwrap())
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect();
                assert_eq!(declared, in_path, "the path parameters of {id} at {path}");
            }
            assert!(count > 0, "{path} has no operation");
        }
    }

    #[test]
    fn every_refusal_is_a_problem_document() {
        let definition = serde_json::to_value(Handlers::openapi()).unwrap();
        let problem = serde_json::json!({
            PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/ProblemBody" } }
        });
        let paths = definition["paths"].as_object().unwrap().iter();
        let operations = paths.filter(|(path, _)| !OF_CLIENTS.contains(&path.as_str()));
        for operation in operations.flat_map(|(_, item)| item.as_object().unwrap().values()) {
            let id = &operation["operationId"];
            assert_eq!(
                operation["responses"]["default"]["content"], problem,
                "{id}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    response["content"][JSON].is_null() || status.starts_with('2'),
                    "{id} answers {status} with plain JSON"
                );
            }
            assert!(!operation.to_string().contains("# Errors"), "{id}");
        }
    }

    #[test]
    fn a_body_is_asked_for_where_nothing_is_not_enough() {
        let definition = serde_json::to_value(Handlers::openapi()).unwrap();
        let required = |path: &str, method: &str| {
            definition["paths"][path][method]["requestBody"]["required"].clone()
        };
        assert_eq!(required("/v1/keys/verify", "post"), true);
        assert_eq!(required("/v1/user/keys/{handle}", "patch"), false);
        assert_eq!(required("/v1/user/keys/{handle}/rotate", "post"), false);
        assert_eq!(required("/user/token", "post"), false);
    }

    #[test]
    fn a_key_opens_what_does_not_say_otherwise() {
        let definition = serde_json::to_value(Handlers::openapi()).unwrap();
        assert_eq!(
            definition["security"],
            serde_json::json!([{ "basic": [] }, { "bearer": [] }, { "api_key": [] }])
        );
        assert!(definition["openapi"].as_str().unwrap().starts_with("3.1"));
    }

    #[test]
    fn the_definition_is_the_golden_one() {
        let text = written();
        if std::env::var_os("KEYLEDGER_BLESS").is_some() {
            std::fs::write(GOLDEN, &text).expect("writing data/openapi.json");
        }
        let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
        assert!(
            golden == text,
            "data/openapi.json is not what the handlers say. If the change is meant, run \
             KEYLEDGER_BLESS=1 cargo test -p keyledger-api and commit the file."
        );
    }

    #[actix_web::test]
    async fn whoever_has_it_is_not_sent_it_again() {
        let first = read_definition(TestRequest::get().to_http_request()).await;
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers().get(ETAG).unwrap().clone();
        for (header, expected) in [
            (tag.to_str().unwrap(), StatusCode::NOT_MODIFIED),
            ("*", StatusCode::NOT_MODIFIED),
            ("\"another\"", StatusCode::OK),
        ] {
            let request = TestRequest::get().insert_header((IF_NONE_MATCH, header));
            let answer = read_definition(request.to_http_request()).await;
            assert_eq!(answer.status(), expected, "with {header}");
        }
    }
}
