//! Draws events of OAuth clients and their tokens.

use keyledger_domain::access_token::{AccessTokenRevoked, ClientTokenIssued, NewAccessToken};
use keyledger_domain::authorization_code::{AuthorizationCodeIssued, AuthorizationCodeRedeemed};
use keyledger_domain::client::{
    AccessTokenFormat, ClientChanged, ClientDeleted, ClientDisabled, ClientEnabled,
    ClientRegistered, ClientSecretRotated, ClientSettings, ClientType, GrantType, NewClientSecret,
    PkcePolicy, RefreshPolicy, RefreshRotation,
};
use keyledger_domain::consent::ConsentRevoked;
use keyledger_domain::id::{ClientId, OrgId, UserId};
use keyledger_domain::signing::SigningAlgorithm;
use keyledger_domain::token_family::{
    FamilyEnd, NewRefreshToken, TokenFamilyRevoked, TokensRefreshed,
};
use keyledger_domain::{Environment, Event};

use super::Draw;

fn one_of<T: Copy>(draw: &mut Draw, all: &[T]) -> T {
    let index = draw.below(all.len() as u64);
    all[usize::try_from(index).expect("few")]
}

fn settings(draw: &mut Draw) -> ClientSettings {
    let grant_types = [
        GrantType::AuthorizationCode,
        GrantType::ClientCredentials,
        GrantType::RefreshToken,
    ];
    let refresh_tokens = [
        RefreshPolicy::Always,
        RefreshPolicy::OfflineAccess,
        RefreshPolicy::Never,
    ];
    let algorithms = [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Rs256,
    ];
    let uri = |draw: &mut Draw| {
        format!(
            "https://{}.example.com/{}",
            draw.letters(9),
            draw.letters(9)
        )
    };
    ClientSettings {
        name: draw.name(),
        grant_types: draw.some(|draw| one_of(draw, &grant_types)),
        redirect_uris: draw.some(|draw| uri(draw).parse().expect("a redirect URI")),
        scopes: draw.scopes(),
        resources: draw.some(|draw| uri(draw).parse().expect("a resource")),
        pkce: one_of(draw, &[PkcePolicy::Required, PkcePolicy::Optional]),
        refresh_tokens: one_of(draw, &refresh_tokens),
        refresh_rotation: one_of(draw, &[RefreshRotation::Rotate, RefreshRotation::Keep]),
        access_token_format: one_of(draw, &[AccessTokenFormat::Opaque, AccessTokenFormat::Jwt]),
        signing_algorithm: one_of(draw, &algorithms),
        access_token_seconds: u32::from_le_bytes(draw.bytes()),
        refresh_idle_seconds: u32::from_le_bytes(draw.bytes()),
        refresh_seconds: u32::from_le_bytes(draw.bytes()),
    }
}

fn secret(draw: &mut Draw) -> NewClientSecret {
    NewClientSecret {
        id: draw.credential(),
        digest: draw.digest(),
    }
}

fn access_token(draw: &mut Draw) -> NewAccessToken {
    NewAccessToken {
        id: draw.credential(),
        digest: draw.digest(),
        scopes: draw.scopes(),
        audience: settings(draw).resources,
        expires_at: draw.at(),
    }
}

/// An event of this name, if it is one of OAuth's.
pub(super) fn event(draw: &mut Draw, name: &str) -> Option<Event> {
    let org = OrgId::from_bytes(draw.bytes());
    let client = ClientId::from_bytes(draw.bytes());
    let user = UserId::from_bytes(draw.bytes());
    let (code, family) = (draw.credential(), draw.credential());
    let refresh_token = draw.option(|draw| NewRefreshToken {
        digest: draw.digest(),
    });
    Some(match name {
        "ClientRegistered" => Event::ClientRegistered(ClientRegistered {
            org,
            client,
            client_type: one_of(draw, &[ClientType::Confidential, ClientType::Public]),
            environment: one_of(draw, &[Environment::Live, Environment::Test]),
            secret: draw.option(secret),
            settings: settings(draw),
        }),
        "ClientChanged" => Event::ClientChanged(ClientChanged {
            org,
            client,
            settings: settings(draw),
        }),
        "ClientDeleted" => Event::ClientDeleted(ClientDeleted { org, client }),
        "ClientDisabled" => Event::ClientDisabled(ClientDisabled { org, client }),
        "ClientEnabled" => Event::ClientEnabled(ClientEnabled { org, client }),
        "ClientSecretRotated" => Event::ClientSecretRotated(ClientSecretRotated {
            org,
            client,
            secret: secret(draw),
            grace_seconds: draw.number(),
        }),
        "AuthorizationCodeIssued" => Event::AuthorizationCodeIssued(AuthorizationCodeIssued {
            org,
            client,
            user,
            code,
            digest: draw.digest(),
            scopes: draw.scopes(),
            resources: settings(draw).resources,
            redirect_uri: draw.letters(99),
            is_redirect_uri_sent: draw.below(2) == 0,
            code_challenge: draw.option(Draw::bytes),
        }),
        "AuthorizationCodeRedeemed" => {
            Event::AuthorizationCodeRedeemed(AuthorizationCodeRedeemed {
                org,
                client,
                user,
                code,
                family,
                access_token: access_token(draw),
                refresh_token,
            })
        }
        "ClientTokenIssued" => Event::ClientTokenIssued(ClientTokenIssued {
            org,
            client,
            access_token: access_token(draw),
        }),
        "TokensRefreshed" => Event::TokensRefreshed(TokensRefreshed {
            org,
            client,
            user,
            family,
            access_token: access_token(draw),
            refresh_token,
        }),
        "TokenFamilyRevoked" => Event::TokenFamilyRevoked(TokenFamilyRevoked {
            org,
            client,
            user,
            family,
            reason: one_of(
                draw,
                &[
                    FamilyEnd::Requested,
                    FamilyEnd::CodeReplayed,
                    FamilyEnd::RefreshTokenReused,
                ],
            ),
        }),
        "AccessTokenRevoked" => Event::AccessTokenRevoked(AccessTokenRevoked {
            org,
            client,
            id: draw.credential(),
        }),
        "ConsentRevoked" => Event::ConsentRevoked(ConsentRevoked { user, client }),
        _ => return None,
    })
}
