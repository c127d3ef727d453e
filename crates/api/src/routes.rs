//! Every address, and what answers there. This page is the API's table of contents.

use actix_web::web::ServiceConfig;

use crate::oauth::{introspect, metadata, post_only, revoke, token};
use crate::resource::{Paths, at};

pub mod backup;
mod changes;
pub mod clients;
pub mod consents;
pub mod credentials;
pub mod decisions;
pub mod differences;
pub mod entitlements;
pub mod erasure;
pub mod events;
pub(crate) mod grant;
pub mod health;
pub mod hygiene;
pub mod invitations;
pub mod key_state;
pub mod key_usage;
pub mod keys;
pub mod leavers;
pub mod log;
pub mod me;
pub mod members;
mod naming;
pub mod org_limits;
pub(crate) mod organization;
mod paging;
pub mod policy;
pub mod revocations;
pub mod rotation;
pub mod scopes;
pub mod services;
pub mod set_up;
mod shared_keys;
pub mod signing_keys;
pub mod teams;
pub mod user;
pub mod user_keys;
pub mod user_sessions;
pub mod user_tokens;
pub mod workspaces;

/// The hot path, which is not looked for in this table: see [`direct`](crate::direct).
pub(crate) const VERIFY: &str = "/v1/keys/verify";
/// The other look-up that is answered directly.
pub(crate) const ME: &str = "/v1/me";

/// The addresses of each resource, the canonical one first; the definition lists them all.
pub(crate) mod paths {
    use super::Paths;

    pub(crate) const ALL: &[Paths] = &[
        VERIFY,
        KEY_USAGE,
        ME,
        SELF,
        USER,
        PASSWORD,
        USER_SESSIONS,
        USER_TOKEN,
        USER_TOKENS,
        USER_TOKEN_REFRESH,
        USER_KEYS,
        USER_KEY,
        USER_KEY_ROTATE,
        WORKSPACES,
        MEMBERS,
        MEMBER,
        MEMBER_KEYS,
        ERASURE,
        INVITATIONS,
        INVITATION,
        INVITATION_ACCEPT,
        TEAMS,
        TEAM,
        TEAM_MEMBER,
        SERVICES,
        SERVICE,
        SERVICE_REFRESH,
        ENTITLEMENTS,
        ENTITLEMENT,
        ENTITLEMENT_REFRESH,
        CLIENTS,
        CLIENT,
        CLIENT_SECRET,
        CONSENTS,
        CONSENT,
        TOKEN,
        INTROSPECT,
        REVOKE,
        ORG_USAGE,
        ORG_LIMITS,
        POLICY,
        HYGIENE,
        REVOCATIONS,
        REVOCATION_UNDO,
        SCOPES,
        EVENTS,
        EVENT_STREAM,
        EVENT,
        CREDENTIAL,
        DIFFERENCES,
        EVENT_PROOF,
        EVENT_RECORD,
        BACKUP,
        LOG,
        LOG_CHECKPOINT,
        LOG_TILE,
        LOG_ENTRIES,
        DECISION,
        SIGNING_KEYS,
        SIGNING_KEY_RETIRE,
        SET_UP,
        JWKS,
        SERVER_METADATA,
        RESOURCE_METADATA,
        HEALTH_LIVE,
        HEALTH_READY,
    ];

    pub(crate) const VERIFY: Paths = &[super::VERIFY];
    pub(crate) const KEY_USAGE: Paths = &["/v1/keys/{id}/usage"];
    pub(crate) const ME: Paths = &[super::ME, "/api/v1/users/me"];
    pub(crate) const SELF: Paths = &["/v1/user/self", "/user/self"];
    pub(crate) const USER: Paths = &["/v1/user", "/user"];
    pub(crate) const PASSWORD: Paths = &["/v1/user/password"];
    pub(crate) const USER_SESSIONS: Paths = &["/v1/user/sessions"];
    pub(crate) const USER_TOKEN: Paths = &["/v1/user/token", "/user/token"];
    pub(crate) const USER_TOKENS: Paths = &["/v1/user/tokens", "/user/tokens"];
    pub(crate) const USER_TOKEN_REFRESH: Paths = &[
        "/v1/user/tokens/{slug_perm}/refresh",
        "/user/tokens/{slug_perm}/refresh",
    ];
    pub(crate) const USER_KEYS: Paths = &["/v1/user/keys", "/user/keys"];
    pub(crate) const USER_KEY: Paths = &["/v1/user/keys/{handle}", "/user/keys/{handle}"];
    pub(crate) const USER_KEY_ROTATE: Paths = &[
        "/v1/user/keys/{handle}/rotate",
        "/user/keys/{handle}/rotate",
    ];
    pub(crate) const WORKSPACES: Paths = &["/v1/workspaces"];
    pub(crate) const MEMBERS: Paths = &["/v1/orgs/{org}/members", "/v1/workspaces/{org}/members"];
    pub(crate) const MEMBER: Paths = &["/v1/orgs/{org}/members/{user}"];
    pub(crate) const MEMBER_KEYS: Paths = &["/v1/orgs/{org}/members/{user}/keys"];
    pub(crate) const POLICY: Paths = &["/v1/orgs/{org}/policy"];
    pub(crate) const HYGIENE: Paths = &["/v1/orgs/{org}/hygiene"];
    pub(crate) const REVOCATIONS: Paths = &["/v1/orgs/{org}/revocations"];
    pub(crate) const REVOCATION_UNDO: Paths = &["/v1/orgs/{org}/revocations/{id}/undo"];
    pub(crate) const ERASURE: Paths = &["/v1/users/{id}/erase"];
    pub(crate) const INVITATIONS: Paths = &["/v1/orgs/{org}/invitations"];
    pub(crate) const INVITATION: Paths = &["/v1/orgs/{org}/invitations/{id}"];
    pub(crate) const INVITATION_ACCEPT: Paths = &["/v1/invitations/accept"];
    pub(crate) const TEAMS: Paths = &["/v1/orgs/{org}/teams"];
    pub(crate) const TEAM: Paths = &["/v1/orgs/{org}/teams/{team}"];
    pub(crate) const TEAM_MEMBER: Paths = &["/v1/orgs/{org}/teams/{team}/members/{user}"];
    pub(crate) const SERVICES: Paths = &["/v1/orgs/{org}/services", "/orgs/{org}/services"];
    pub(crate) const SERVICE: Paths = &[
        "/v1/orgs/{org}/services/{service}",
        "/orgs/{org}/services/{service}",
    ];
    pub(crate) const SERVICE_REFRESH: Paths = &[
        "/v1/orgs/{org}/services/{service}/refresh",
        "/orgs/{org}/services/{service}/refresh",
    ];
    pub(crate) const ENTITLEMENTS: Paths = &["/v1/orgs/{org}/entitlements"];
    pub(crate) const ENTITLEMENT: Paths = &["/v1/orgs/{org}/entitlements/{id}"];
    pub(crate) const ENTITLEMENT_REFRESH: Paths = &["/v1/orgs/{org}/entitlements/{id}/refresh"];
    pub(crate) const CLIENTS: Paths = &["/v1/orgs/{org}/clients"];
    pub(crate) const CLIENT: Paths = &["/v1/orgs/{org}/clients/{client_id}"];
    pub(crate) const CONSENTS: Paths = &["/v1/user/consents"];
    pub(crate) const CONSENT: Paths = &["/v1/user/consents/{client_id}"];
    pub(crate) const TOKEN: Paths = &["/oauth/token"];
    pub(crate) const INTROSPECT: Paths = &["/oauth/introspect"];
    pub(crate) const REVOKE: Paths = &["/oauth/revoke"];
    pub(crate) const CLIENT_SECRET: Paths = &["/v1/orgs/{org}/clients/{client_id}/secret"];
    pub(crate) const ORG_USAGE: Paths = &["/v1/orgs/{org}/usage"];
    pub(crate) const ORG_LIMITS: Paths = &["/v1/orgs/{org}/limits"];
    pub(crate) const SCOPES: Paths = &["/v1/scopes"];
    pub(crate) const EVENTS: Paths = &["/v1/events"];
    pub(crate) const EVENT_STREAM: Paths = &["/v1/events/stream"];
    pub(crate) const CREDENTIAL: Paths = &["/v1/credentials/{id}"];
    pub(crate) const DIFFERENCES: Paths = &["/v1/orgs/{org}/differences"];
    pub(crate) const EVENT: Paths = &["/v1/events/{position}"];
    pub(crate) const EVENT_PROOF: Paths = &["/v1/events/{position}/proof"];
    pub(crate) const EVENT_RECORD: Paths = &["/v1/events/{position}/record"];
    pub(crate) const BACKUP: Paths = &["/v1/backup"];
    pub(crate) const LOG: Paths = &["/v1/log"];
    pub(crate) const LOG_CHECKPOINT: Paths = &["/v1/log/checkpoint"];
    pub(crate) const LOG_ENTRIES: Paths = &["/v1/log/tile/entries/{index:.+}"];
    pub(crate) const LOG_TILE: Paths = &["/v1/log/tile/{level}/{index:.+}"];
    pub(crate) const DECISION: Paths = &["/v1/decisions/{id}"];
    pub(crate) const SIGNING_KEYS: Paths = &["/v1/signing-keys"];
    pub(crate) const SIGNING_KEY_RETIRE: Paths = &["/v1/signing-keys/{kid}/retire"];
    pub(crate) const JWKS: Paths = &["/oauth/jwks"];
    pub(crate) const SERVER_METADATA: Paths = &["/.well-known/oauth-authorization-server"];
    pub(crate) const RESOURCE_METADATA: Paths = &["/.well-known/oauth-protected-resource"];
    /// Where clients look whose issuer has a path (RFC 8414 §3.1).
    pub(crate) const SERVER_METADATA_OF: Paths =
        &["/.well-known/oauth-authorization-server/{path:.+}"];
    /// The same for the API.
    pub(crate) const RESOURCE_METADATA_OF: Paths =
        &["/.well-known/oauth-protected-resource/{path:.+}"];
    pub(crate) const SET_UP: Paths = &["/v1/setup"];
    pub(crate) const HEALTH_LIVE: Paths = &["/health/live"];
    pub(crate) const HEALTH_READY: Paths = &["/health/ready"];
}

/// Puts the table together.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(at(paths::VERIFY).post(keys::verify_key).done())
        .service(at(paths::KEY_USAGE).get(key_usage::read_key_usage).done())
        .service(at(paths::ORG_USAGE).get(key_usage::list_org_usage).done())
        .service(at(paths::ME).get(me::read_me).done())
        .service(at(paths::SELF).get(user::read_self).done())
        .service(at(paths::USER).get(user::read_user).done())
        .service(at(paths::PASSWORD).post(user::change_password).done())
        .service(
            at(paths::USER_SESSIONS)
                .delete(user_sessions::end_all_sessions)
                .done(),
        )
        .service(
            at(paths::USER_TOKEN)
                .post(user_tokens::read_own_token)
                .done(),
        )
        .service(
            at(paths::USER_TOKENS)
                .get(user_tokens::list_own_tokens)
                .done(),
        )
        .service(
            at(paths::USER_TOKEN_REFRESH)
                .put(user_tokens::refresh_own_token)
                .done(),
        )
        .service(
            at(paths::USER_KEYS)
                .get(user_keys::list_user_keys)
                .post(user_keys::create_user_key)
                .done(),
        )
        .service(
            at(paths::USER_KEY_ROTATE)
                .post(user_keys::rotate_user_key)
                .delete(user_keys::undo_user_key_rotation)
                .done(),
        )
        .service(
            at(paths::USER_KEY)
                .get(user_keys::read_user_key)
                .patch(user_keys::change_user_key)
                .delete(user_keys::delete_user_key)
                .done(),
        )
        .configure(configure_organization)
        .configure(configure_tokens)
        .service(at(paths::DECISION).get(decisions::read_decision).done())
        .service(
            at(paths::ORG_LIMITS)
                .get(org_limits::read_org_limits)
                .put(org_limits::change_org_limits)
                .done(),
        )
        .service(at(paths::SET_UP).post(set_up::set_up).done())
        .configure(configure_oauth)
        .service(at(paths::HEALTH_LIVE).get(health::read_live).done())
        .service(at(paths::HEALTH_READY).get(health::read_ready).done());
}

/// The part of the table that is about tokens, and the clients that ask for them.
fn configure_tokens(config: &mut ServiceConfig) {
    config
        .service(at(paths::CONSENTS).get(consents::list_consents).done())
        .service(at(paths::CONSENT).delete(consents::delete_consent).done())
        .service(post_only(paths::TOKEN, token::issue_token))
        .service(post_only(paths::INTROSPECT, introspect::introspect_token))
        .service(post_only(paths::REVOKE, revoke::revoke_token))
        .service(
            at(paths::CLIENTS)
                .get(clients::list_clients)
                .post(clients::create_client)
                .done(),
        )
        .service(
            at(paths::CLIENT_SECRET)
                .post(clients::rotate_client_secret)
                .done(),
        )
        .service(
            at(paths::CLIENT)
                .get(clients::read_client)
                .patch(clients::change_client)
                .delete(clients::delete_client)
                .done(),
        );
}

/// The part of the table that is about organizations and what they hold.
fn configure_organization(config: &mut ServiceConfig) {
    config
        .service(
            at(paths::WORKSPACES)
                .get(workspaces::list_workspaces)
                .post(workspaces::create_workspace)
                .done(),
        )
        .service(
            at(paths::MEMBERS)
                .get(members::list_members)
                .post(members::create_member)
                .done(),
        )
        .service(
            at(paths::MEMBER)
                .get(members::read_member)
                .patch(members::change_member)
                .delete(members::delete_member)
                .done(),
        )
        .service(
            at(paths::INVITATIONS)
                .get(invitations::list_invitations)
                .done(),
        )
        .service(
            at(paths::INVITATION)
                .delete(invitations::delete_invitation)
                .done(),
        )
        .service(
            at(paths::INVITATION_ACCEPT)
                .post(invitations::accept_invitation)
                .done(),
        )
        .service(
            at(paths::TEAMS)
                .get(teams::list_teams)
                .post(teams::create_team)
                .done(),
        )
        .service(
            at(paths::TEAM)
                .get(teams::read_team)
                .patch(teams::change_team)
                .delete(teams::delete_team)
                .done(),
        )
        .service(
            at(paths::TEAM_MEMBER)
                .put(teams::add_team_member)
                .delete(teams::delete_team_member)
                .done(),
        )
        .service(
            at(paths::SERVICES)
                .get(services::list_services)
                .post(services::create_service)
                .done(),
        )
        .service(
            at(paths::SERVICE)
                .get(services::read_service)
                .patch(services::change_service)
                .delete(services::delete_service)
                .done(),
        )
        .service(
            at(paths::SERVICE_REFRESH)
                .post(services::refresh_service)
                .delete(services::undo_service_refresh)
                .done(),
        )
        .service(
            at(paths::ENTITLEMENTS)
                .get(entitlements::list_entitlements)
                .post(entitlements::create_entitlement)
                .done(),
        )
        .service(
            at(paths::ENTITLEMENT)
                .get(entitlements::read_entitlement)
                .patch(entitlements::change_entitlement)
                .delete(entitlements::delete_entitlement)
                .done(),
        )
        .service(
            at(paths::ENTITLEMENT_REFRESH)
                .post(entitlements::refresh_entitlement)
                .delete(entitlements::undo_entitlement_refresh)
                .done(),
        )
        .service(
            at(paths::SCOPES)
                .get(scopes::list_scopes)
                .post(scopes::create_scope)
                .done(),
        )
        .configure(configure_oversight);
}

/// The part of the table that is about tokens for other people's programs.
fn configure_oauth(config: &mut ServiceConfig) {
    config
        .service(
            at(paths::SIGNING_KEYS)
                .get(signing_keys::list_signing_keys)
                .post(signing_keys::create_signing_key)
                .done(),
        )
        .service(
            at(paths::SIGNING_KEY_RETIRE)
                .post(signing_keys::retire_signing_key)
                .done(),
        )
        .service(at(paths::JWKS).get(metadata::read_jwks).done())
        .service(
            at(paths::SERVER_METADATA)
                .get(metadata::read_server_metadata)
                .done(),
        )
        .service(
            at(paths::SERVER_METADATA_OF)
                .get(metadata::read_server_metadata_of)
                .done(),
        )
        .service(
            at(paths::RESOURCE_METADATA)
                .get(metadata::read_resource_metadata)
                .done(),
        )
        .service(
            at(paths::RESOURCE_METADATA_OF)
                .get(metadata::read_resource_metadata_of)
                .done(),
        );
}

/// The part of the table that is about all keys of an organization together, and what happened.
fn configure_oversight(config: &mut ServiceConfig) {
    config
        .service(at(paths::EVENTS).get(events::list_events).done())
        // Before the next, whose pattern it fits as well.
        .service(at(paths::EVENT_STREAM).get(events::stream_events).done())
        .service(at(paths::EVENT).get(events::read_event).done())
        .service(at(paths::EVENT_PROOF).get(log::prove_event).done())
        .service(at(paths::EVENT_RECORD).get(log::read_record).done())
        .service(at(paths::BACKUP).get(backup::back_up).done())
        .service(at(paths::LOG).get(log::read_log).done())
        .service(at(paths::LOG_CHECKPOINT).get(log::read_checkpoint).done())
        .service(at(paths::LOG_ENTRIES).get(log::read_entries).done())
        .service(at(paths::LOG_TILE).get(log::read_tile).done())
        .service(at(paths::MEMBER_KEYS).get(leavers::list_member_keys).done())
        .service(
            at(paths::CREDENTIAL)
                .get(credentials::read_credential)
                .done(),
        )
        .service(
            at(paths::DIFFERENCES)
                .get(differences::list_differences)
                .done(),
        )
        .service(at(paths::ERASURE).post(erasure::erase_person).done())
        .service(
            at(paths::POLICY)
                .get(policy::read_policy)
                .patch(policy::change_policy)
                .done(),
        )
        .service(at(paths::HYGIENE).get(hygiene::list_hygiene).done())
        .service(
            at(paths::REVOCATIONS)
                .get(revocations::list_revocations)
                .post(revocations::create_revocation)
                .done(),
        )
        .service(
            at(paths::REVOCATION_UNDO)
                .post(revocations::undo_revocation)
                .done(),
        );
}
