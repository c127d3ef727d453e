//! Stored events of OAuth clients, their tokens, and what people allow them.

use std::collections::BTreeSet;

use bincode::{Decode, Encode};
use keyledger_domain::access_token::{AccessTokenRevoked, ClientTokenIssued, NewAccessToken};
use keyledger_domain::authorization_code::{AuthorizationCodeIssued, AuthorizationCodeRedeemed};
use keyledger_domain::client::{
    AccessTokenFormat, ClientChanged, ClientDeleted, ClientDisabled, ClientEnabled,
    ClientRegistered, ClientSecretRotated, ClientSettings, ClientType, GrantType, NewClientSecret,
    PkcePolicy, RefreshPolicy, RefreshRotation,
};
use keyledger_domain::consent::ConsentRevoked;
use keyledger_domain::redirect_uri::RedirectUri;
use keyledger_domain::resource::Resource;
use keyledger_domain::signing::SigningAlgorithm;
use keyledger_domain::token_family::{
    FamilyEnd, NewRefreshToken, TokenFamilyRevoked, TokensRefreshed,
};

use crate::record::form::{Fault, event, form};
use crate::record::part::{DigestV1, Part};

/// Stores an enum without fields as another of its own, variant by variant.
macro_rules! enum_part {
    ($(#[$meta:meta])* $domain:ident as $form:ident { $($variant:ident),+ $(,)? }) => {
        form! {
            $(#[$meta])*
            #[derive(Encode, Decode)]
            enum $form { $($variant),+ }
        }

        impl Part for $domain {
            type Form = $form;

            fn keep(&self) -> $form {
                match self {
                    $(Self::$variant => $form::$variant),+
                }
            }

            fn give(form: $form) -> Result<Self, Fault> {
                Ok(match form {
                    $($form::$variant => Self::$variant),+
                })
            }
        }
    };
}

enum_part! {
    /// Whether a client can keep a secret.
    ClientType as ClientTypeV1 { Confidential, Public }
}

enum_part! {
    /// How a client may ask for a token.
    GrantType as GrantTypeV1 { AuthorizationCode, ClientCredentials, RefreshToken }
}

enum_part! {
    /// When a client is given a refresh token.
    RefreshPolicy as RefreshPolicyV1 { Always, OfflineAccess, Never }
}

enum_part! {
    /// What tokens are signed with.
    SigningAlgorithm as SigningAlgorithmV1 { Es256, EdDsa, Rs256 }
}

enum_part! {
    /// Why a family of tokens ended.
    FamilyEnd as FamilyEndV1 { Requested, CodeReplayed, RefreshTokenReused }
}

impl Part for BTreeSet<GrantType> {
    type Form = Vec<GrantTypeV1>;

    fn keep(&self) -> Self::Form {
        self.iter().map(Part::keep).collect()
    }

    fn give(form: Self::Form) -> Result<Self, Fault> {
        form.into_iter().map(GrantType::give).collect()
    }
}

macro_rules! uri_parts {
    ($($uri:ty),+ $(,)?) => {
        $(impl Part for Vec<$uri> {
            type Form = Vec<String>;

            fn keep(&self) -> Vec<String> {
                self.iter().map(|uri| uri.as_str().to_owned()).collect()
            }

            fn give(form: Vec<String>) -> Result<Self, Fault> {
                form.into_iter()
                    .map(|uri| uri.parse::<$uri>().map_err(|_| Fault::Malformed))
                    .collect()
            }
        })+
    };
}

uri_parts!(RedirectUri, Resource);

impl Part for String {
    type Form = Self;

    fn keep(&self) -> Self {
        self.clone()
    }

    fn give(form: Self) -> Result<Self, Fault> {
        Ok(form)
    }
}

impl Part for [u8; 32] {
    type Form = Self;

    fn keep(&self) -> Self {
        *self
    }

    fn give(form: Self) -> Result<Self, Fault> {
        Ok(form)
    }
}

form! {
    /// What a client is and may ask for.
    struct ClientSettingsV1 {
        pub(crate) name: String,
        pub(crate) grant_types: Vec<GrantTypeV1>,
        pub(crate) redirect_uris: Vec<String>,
        pub(crate) scopes: Vec<String>,
        pub(crate) resources: Vec<String>,
        pub(crate) is_pkce_required: bool,
        pub(crate) refresh_tokens: RefreshPolicyV1,
        pub(crate) keeps_refresh_token: bool,
        pub(crate) is_jwt: bool,
        pub(crate) signing_algorithm: SigningAlgorithmV1,
        pub(crate) access_token_seconds: u32,
        pub(crate) refresh_idle_seconds: u32,
        pub(crate) refresh_seconds: u32,
    }
}

impl Part for ClientSettings {
    type Form = ClientSettingsV1;

    fn keep(&self) -> ClientSettingsV1 {
        ClientSettingsV1 {
            name: self.name.keep(),
            grant_types: self.grant_types.keep(),
            redirect_uris: self.redirect_uris.keep(),
            scopes: self.scopes.keep(),
            resources: self.resources.keep(),
            is_pkce_required: self.pkce == PkcePolicy::Required,
            refresh_tokens: self.refresh_tokens.keep(),
            keeps_refresh_token: self.refresh_rotation == RefreshRotation::Keep,
            is_jwt: self.access_token_format == AccessTokenFormat::Jwt,
            signing_algorithm: self.signing_algorithm.keep(),
            access_token_seconds: self.access_token_seconds,
            refresh_idle_seconds: self.refresh_idle_seconds,
            refresh_seconds: self.refresh_seconds,
        }
    }

    fn give(form: ClientSettingsV1) -> Result<Self, Fault> {
        Ok(Self {
            name: Part::give(form.name)?,
            grant_types: Part::give(form.grant_types)?,
            redirect_uris: Part::give(form.redirect_uris)?,
            scopes: Part::give(form.scopes)?,
            resources: Part::give(form.resources)?,
            pkce: if form.is_pkce_required {
                PkcePolicy::Required
            } else {
                PkcePolicy::Optional
            },
            refresh_tokens: Part::give(form.refresh_tokens)?,
            refresh_rotation: if form.keeps_refresh_token {
                RefreshRotation::Keep
            } else {
                RefreshRotation::Rotate
            },
            access_token_format: if form.is_jwt {
                AccessTokenFormat::Jwt
            } else {
                AccessTokenFormat::Opaque
            },
            signing_algorithm: Part::give(form.signing_algorithm)?,
            access_token_seconds: form.access_token_seconds,
            refresh_idle_seconds: form.refresh_idle_seconds,
            refresh_seconds: form.refresh_seconds,
        })
    }
}

form! {
    /// A secret of a client.
    struct NewClientSecretV1 {
        pub(crate) id: [u8; 9],
        pub(crate) digest: DigestV1,
    }
}

impl Part for NewClientSecret {
    type Form = NewClientSecretV1;

    fn keep(&self) -> NewClientSecretV1 {
        NewClientSecretV1 {
            id: self.id.keep(),
            digest: self.digest.keep(),
        }
    }

    fn give(form: NewClientSecretV1) -> Result<Self, Fault> {
        Ok(Self {
            id: Part::give(form.id)?,
            digest: Part::give(form.digest)?,
        })
    }
}

form! {
    /// An access token.
    struct NewAccessTokenV1 {
        pub(crate) id: [u8; 9],
        pub(crate) digest: DigestV1,
        pub(crate) scopes: Vec<String>,
        pub(crate) audience: Vec<String>,
        pub(crate) expires_at_micros: i64,
    }
}

impl Part for NewAccessToken {
    type Form = NewAccessTokenV1;

    fn keep(&self) -> NewAccessTokenV1 {
        NewAccessTokenV1 {
            id: self.id.keep(),
            digest: self.digest.keep(),
            scopes: self.scopes.keep(),
            audience: self.audience.keep(),
            expires_at_micros: self.expires_at.keep(),
        }
    }

    fn give(form: NewAccessTokenV1) -> Result<Self, Fault> {
        Ok(Self {
            id: Part::give(form.id)?,
            digest: Part::give(form.digest)?,
            scopes: Part::give(form.scopes)?,
            audience: Part::give(form.audience)?,
            expires_at: Part::give(form.expires_at_micros)?,
        })
    }
}

/// Its public id is the family's.
impl Part for NewRefreshToken {
    type Form = DigestV1;

    fn keep(&self) -> DigestV1 {
        self.digest.keep()
    }

    fn give(form: DigestV1) -> Result<Self, Fault> {
        let digest = Part::give(form)?;
        Ok(Self { digest })
    }
}

event! {
    ClientRegistered as ClientRegisteredV1 {
        org: [u8; 16],
        client: [u8; 16],
        client_type: ClientTypeV1,
        environment: bool,
        secret: Option<NewClientSecretV1>,
        settings: ClientSettingsV1,
    }
}

event! {
    ClientChanged as ClientChangedV1 {
        org: [u8; 16],
        client: [u8; 16],
        settings: ClientSettingsV1,
    }
}

event! {
    ClientDeleted as ClientDeletedV1 {
        org: [u8; 16],
        client: [u8; 16],
    }
}

event! {
    ClientDisabled as ClientDisabledV1 {
        org: [u8; 16],
        client: [u8; 16],
    }
}

event! {
    ClientEnabled as ClientEnabledV1 {
        org: [u8; 16],
        client: [u8; 16],
    }
}

event! {
    ClientSecretRotated as ClientSecretRotatedV1 {
        org: [u8; 16],
        client: [u8; 16],
        secret: NewClientSecretV1,
        grace_seconds: u64,
    }
}

event! {
    AuthorizationCodeIssued as AuthorizationCodeIssuedV1 {
        org: [u8; 16],
        client: [u8; 16],
        user: [u8; 16],
        code: [u8; 9],
        digest: DigestV1,
        scopes: Vec<String>,
        resources: Vec<String>,
        redirect_uri: String,
        is_redirect_uri_sent: bool,
        code_challenge: Option<[u8; 32]>,
    }
}

event! {
    AuthorizationCodeRedeemed as AuthorizationCodeRedeemedV1 {
        org: [u8; 16],
        client: [u8; 16],
        user: [u8; 16],
        code: [u8; 9],
        family: [u8; 9],
        access_token: NewAccessTokenV1,
        refresh_token: Option<DigestV1>,
    }
}

event! {
    ClientTokenIssued as ClientTokenIssuedV1 {
        org: [u8; 16],
        client: [u8; 16],
        access_token: NewAccessTokenV1,
    }
}

event! {
    TokensRefreshed as TokensRefreshedV1 {
        org: [u8; 16],
        client: [u8; 16],
        user: [u8; 16],
        family: [u8; 9],
        access_token: NewAccessTokenV1,
        refresh_token: Option<DigestV1>,
    }
}

event! {
    TokenFamilyRevoked as TokenFamilyRevokedV1 {
        org: [u8; 16],
        client: [u8; 16],
        user: [u8; 16],
        family: [u8; 9],
        reason: FamilyEndV1,
    }
}

event! {
    AccessTokenRevoked as AccessTokenRevokedV1 {
        org: [u8; 16],
        client: [u8; 16],
        id: [u8; 9],
    }
}

event! {
    ConsentRevoked as ConsentRevokedV1 {
        user: [u8; 16],
        client: [u8; 16],
    }
}
