//! What happens to an OAuth client.

use keyledger_domain::access_token::{IssueClientToken, NewAccessToken, RevokeAccessToken};
use keyledger_domain::authorization_code::{IssueAuthorizationCode, RedeemAuthorizationCode};
use keyledger_domain::client::{
    AccessTokenFormat, ChangeClient, ClientChanges, ClientSettings, ClientType, DeleteClient,
    GrantType, NewClientSecret, PkcePolicy, RefreshPolicy, RefreshRotation, RegisterClient,
    RotateClientSecret, SwitchClient,
};
use keyledger_domain::consent::RevokeConsent;
use keyledger_domain::id::{ClientId, OrgId, SessionId, UserId};
use keyledger_domain::session::StartSession;
use keyledger_domain::signing::SigningAlgorithm;
use keyledger_domain::token_family::{NewRefreshToken, RefreshTokens};
use keyledger_domain::{
    Actor, Authority, Command, Environment, Position, Proof, Scopes, Timestamp,
};

use super::{credential, digest, of, text};

fn scopes(names: &[&str]) -> Scopes {
    names.iter().copied().map(text).collect()
}

/// A client that is registered, changed, given tokens of every kind, and deleted.
#[expect(
    clippy::too_many_lines,
    reason = "a list: what happens, one after the other"
)]
pub(super) fn steps(org: OrgId, user: UserId) -> Vec<(Authority, Command)> {
    let client = ClientId::from_bytes([50; 16]);
    let session = SessionId::from_bytes([50; 16]);
    let secret = |id, number| NewClientSecret {
        id: credential(id),
        digest: digest(number),
    };
    let settings = ClientSettings {
        name: text("Backup"),
        grant_types: [
            GrantType::AuthorizationCode,
            GrantType::ClientCredentials,
            GrantType::RefreshToken,
        ]
        .into(),
        redirect_uris: vec![text("https://app.example.com/callback")],
        scopes: scopes(&["files:read", "files:write", "offline_access"]),
        resources: vec![text("https://api.example.com/")],
        pkce: PkcePolicy::Optional,
        refresh_tokens: RefreshPolicy::Always,
        refresh_rotation: RefreshRotation::Rotate,
        access_token_format: AccessTokenFormat::Opaque,
        signing_algorithm: SigningAlgorithm::Es256,
        access_token_seconds: 3_600,
        refresh_idle_seconds: 86_400,
        refresh_seconds: 864_000,
    };
    let register = RegisterClient {
        org,
        client,
        client_type: ClientType::Confidential,
        environment: Environment::Live,
        secret: Some(secret("BackupS01", 150)),
        settings,
    };
    let change = ChangeClient {
        org,
        client,
        changes: ClientChanges {
            access_token_format: Some(AccessTokenFormat::Jwt),
            pkce: Some(PkcePolicy::Required),
            ..ClientChanges::default()
        },
    };
    let rotate = RotateClientSecret {
        org,
        client,
        secret: secret("BackupS02", 151),
        grace_seconds: 60,
    };
    let access_token = |id, number, audience: &[&str]| NewAccessToken {
        id: credential(id),
        digest: digest(number),
        scopes: scopes(&["files:read"]),
        audience: audience.iter().copied().map(text).collect(),
        // The clock of the scenario goes on by a second a step.
        expires_at: Timestamp::from_micros(1_800_000_900_000_000),
    };
    let code = |id, number| IssueAuthorizationCode {
        client,
        code: credential(id),
        digest: digest(number),
        scopes: scopes(&["files:read", "offline_access"]),
        resources: vec![text("https://api.example.com/")],
        redirect_uri: "https://app.example.com/callback".to_owned(),
        is_redirect_uri_sent: true,
        code_challenge: Some([9; 32]),
        judged_at: Position::new(u64::MAX),
    };
    let refresh_token = |number| {
        Some(NewRefreshToken {
            digest: digest(number),
        })
    };
    let redeem = RedeemAuthorizationCode {
        code: credential("Code00001"),
        shown: digest(152),
        redirect_uri: Some("https://app.example.com/callback".to_owned()),
        code_challenge: Some([9; 32]),
        family: credential("Family001"),
        access_token: access_token("Access001", 153, &["https://api.example.com/"]),
        refresh_token: refresh_token(154),
    };
    let refresh = |id, number| RefreshTokens {
        family: credential("Family001"),
        shown: digest(154),
        access_token: access_token(id, number, &["https://api.example.com/"]),
        refresh_token: refresh_token(number + 1),
    };
    let issue = IssueClientToken {
        access_token: access_token("Access004", 160, &[]),
    };
    let by_client = Authority {
        actor: Actor::Client(client),
        proof: Proof::Client {
            secret: Some(credential("BackupS02")),
        },
    };
    let signed_in = Authority {
        actor: Actor::User(user),
        proof: Proof::Session(session),
    };
    let start = StartSession {
        session,
        digest: digest(149),
    };
    let switch = |disabled| SwitchClient {
        org,
        client,
        disabled,
    };
    let id = credential("Access004");
    vec![
        (of(user), register.into()),
        (of(user), change.into()),
        (of(user), rotate.into()),
        (of(user), switch(true).into()),
        (of(user), switch(false).into()),
        (of(user), start.into()),
        (signed_in, code("Code00001", 152).into()),
        (by_client, redeem.into()),
        (by_client, refresh("Access002", 155).into()),
        // The first refresh token once more: the family ends.
        (by_client, refresh("Access003", 157).into()),
        (by_client, issue.into()),
        (by_client, RevokeAccessToken { id }.into()),
        (signed_in, RevokeConsent { client }.into()),
        (signed_in, code("Code00002", 161).into()),
        (of(user), DeleteClient { org, client }.into()),
    ]
}
