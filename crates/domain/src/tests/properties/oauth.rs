//! Draws commands about OAuth clients and their tokens, and those who ask for them.

use super::*;
use crate::access_token::{IssueClientToken, NewAccessToken, RevokeAccessToken};
use crate::authorization_code::{IssueAuthorizationCode, RedeemAuthorizationCode};
use crate::client::{
    AccessTokenFormat, ChangeClient, ClientChanges, ClientSettings, ClientType, DeleteClient,
    GrantType, NewClientSecret, PkcePolicy, RefreshPolicy, RefreshRotation, RegisterClient,
    RotateClientSecret, SwitchClient,
};
use crate::consent::RevokeConsent;
use crate::id::ClientId;
use crate::signing::SigningAlgorithm;
use crate::token_family::{NewRefreshToken, RefreshTokens, RevokeTokenFamily};

const URI: &str = "https://app.example.com/cb";

impl Dice<'_> {
    /// Mostly the client whose code or token it is, with a secret that is good: chance alone hardly
    /// ever has both.
    pub(super) fn rightful(
        &mut self,
        directory: &Directory,
        command: &Command,
    ) -> Option<Authority> {
        let client = if let Command::RedeemAuthorizationCode(redeem) = command {
            directory.authorization_code(redeem.code)?.client
        } else if let Command::RefreshTokens(refresh) = command {
            directory.family(refresh.family)?.client
        } else {
            return None;
        };
        if self.one_in(4) {
            return None;
        }
        let client = directory.client(client)?;
        let secret = client.live_secrets(self.now).map(|secret| secret.id).next();
        Some(by(Actor::Client(client.id), Proof::Client { secret }))
    }

    fn known_client(&mut self, directory: &Directory) -> ClientId {
        let mut known: Vec<_> = directory.clients.keys().copied().collect();
        if known.is_empty() || self.one_in(16) {
            return ClientId::from_bytes([self.byte(); 16]);
        }
        known.sort_unstable();
        self.pick(&known)
    }

    /// A client with one of its secrets, or a person in one of their sessions.
    pub(super) fn client_or_session(&mut self, directory: &Directory) -> Authority {
        if self.one_in(3) {
            let mut open: Vec<_> = directory.sessions.values().collect();
            open.sort_unstable_by_key(|session| session.id);
            if !open.is_empty() {
                let session = self.pick(&open);
                return by(Actor::User(session.user), Proof::Session(session.id));
            }
        }
        let client = self.known_client(directory);
        let secrets = directory.client(client).map(|client| &client.secrets);
        let ids: Vec<_> = secrets.into_iter().flatten().map(|one| one.id).collect();
        let secret = if ids.is_empty() || self.one_in(16) {
            None
        } else {
            Some(self.pick(&ids))
        };
        by(Actor::Client(client), Proof::Client { secret })
    }

    /// One of so many that few are taken.
    fn fresh_credential(&mut self) -> CredentialId {
        let (a, b) = (self.byte(), self.byte());
        credential(&format!("o{a}x{b}"))
    }

    /// A family that has a refresh token.
    pub(super) fn open_family(&self, directory: &Directory) -> Option<CredentialId> {
        let families = directory.families.values();
        let open = families.filter(|family| {
            let good = directory.standing_of_family(family).is_ok();
            good && family
                .refresh
                .as_ref()
                .is_some_and(|refresh| self.now < refresh.ends_at())
        });
        open.map(|family| family.id).min()
    }

    /// A code that is not redeemed yet and whose minute is not over.
    pub(super) fn open_code(&mut self, directory: &Directory) -> Option<CredentialId> {
        let now = self.now;
        let codes = directory.codes.iter();
        let open = codes.filter(|(_, code)| code.redeemed.is_none() && now < code.expires_at);
        open.map(|(id, _)| *id).min()
    }

    fn client_settings(&mut self) -> ClientSettings {
        let ways = [
            GrantType::AuthorizationCode,
            GrantType::ClientCredentials,
            GrantType::RefreshToken,
        ];
        ClientSettings {
            name: word(self.name()),
            grant_types: if self.one_in(4) {
                self.some(|dice| dice.pick(&ways)).into_iter().collect()
            } else {
                ways.into()
            },
            redirect_uris: vec![word(URI)],
            scopes: if self.one_in(4) {
                self.scopes()
            } else {
                scopes(&["files:read", "offline_access", "audit:read"])
            },
            resources: vec![word("https://api.example.com")],
            pkce: PkcePolicy::Required,
            refresh_tokens: self.pick(&[
                RefreshPolicy::Always,
                RefreshPolicy::Always,
                RefreshPolicy::Always,
                RefreshPolicy::OfflineAccess,
                RefreshPolicy::Never,
            ]),
            refresh_rotation: self.pick(&[
                RefreshRotation::Rotate,
                RefreshRotation::Rotate,
                RefreshRotation::Keep,
            ]),
            access_token_format: AccessTokenFormat::Opaque,
            signing_algorithm: SigningAlgorithm::Es256,
            access_token_seconds: self.pick(&[1, 3_600, 3_600]),
            refresh_idle_seconds: self.pick(&[60, 86_400, 864_000]),
            refresh_seconds: 864_000,
        }
    }

    fn client_secret(&mut self) -> NewClientSecret {
        NewClientSecret {
            id: self.fresh_credential(),
            digest: digest(self.name()),
        }
    }

    fn access_token(&mut self, scopes_of: Option<&Scopes>) -> NewAccessToken {
        let granted = scopes_of.cloned().unwrap_or_default();
        NewAccessToken {
            id: self.fresh_credential(),
            digest: digest(self.name()),
            scopes: if self.one_in(8) {
                self.scopes()
            } else {
                granted
            },
            audience: self
                .maybe(|_| word("https://api.example.com"))
                .into_iter()
                .collect(),
            // Mostly soon enough for any client.
            expires_at: self.now.plus_seconds(self.pick(&[0, 30, 60, 3_600])),
        }
    }

    pub(super) fn about_oauth(&mut self, directory: &Directory, org: OrgId) -> Command {
        let client = self.known_client(directory);
        if self.open_code(directory).is_some() && self.one_in(2) {
            return self.redemption(directory);
        }
        if self.open_family(directory).is_some() && self.one_in(2) {
            return self.refresh(directory);
        }
        match self.below(13) {
            0 | 1 => Command::RegisterClient(RegisterClient {
                org,
                client: ClientId::from_bytes([self.byte() % 4; 16]),
                client_type: self.pick(&[ClientType::Confidential, ClientType::Public]),
                environment: self.pick(&[Environment::Live, Environment::Live, Environment::Test]),
                secret: Some(self.client_secret()),
                settings: self.client_settings(),
            }),
            2 => Command::ChangeClient(ChangeClient {
                org,
                client,
                changes: ClientChanges {
                    scopes: self.maybe(Self::scopes),
                    access_token_seconds: self.maybe(|dice| dice.pick(&[0, 60])),
                    ..ClientChanges::default()
                },
            }),
            3 => {
                let disabled = self.one_in(2);
                Command::SwitchClient(SwitchClient {
                    org,
                    client,
                    disabled,
                })
            }
            4 => Command::RotateClientSecret(RotateClientSecret {
                org,
                client,
                secret: self.client_secret(),
                grace_seconds: self.pick(&[0, 600, u64::MAX]),
            }),
            5 if self.one_in(3) => Command::DeleteClient(DeleteClient { org, client }),
            5 => Command::RevokeConsent(RevokeConsent { client }),
            6 | 7 => Command::IssueAuthorizationCode(IssueAuthorizationCode {
                client,
                code: self.fresh_credential(),
                digest: digest(self.pick(&["a", "b"])),
                scopes: scopes(&["files:read"]),
                resources: vec![word("https://api.example.com")],
                redirect_uri: URI.to_owned(),
                is_redirect_uri_sent: self.one_in(2),
                code_challenge: self.maybe(|_| [7; 32]),
                judged_at: directory.position(),
            }),
            8 => self.redemption(directory),
            9 | 10 => self.refresh(directory),
            11 => {
                let settings = directory.client(client).map(|client| &client.settings);
                let granted = settings.map(|settings| {
                    let own = settings.scopes.iter().filter(|one| !one.is_for_people());
                    own.cloned().collect()
                });
                Command::IssueClientToken(IssueClientToken {
                    access_token: self.access_token(granted.as_ref()),
                })
            }
            _ => Command::RevokeAccessToken(RevokeAccessToken {
                id: self.known_credential(directory),
            }),
        }
    }

    fn redemption(&mut self, directory: &Directory) -> Command {
        let mut known: Vec<_> = directory.codes.keys().copied().collect();
        known.sort_unstable();
        let id = match self.open_code(directory) {
            Some(open) if !self.one_in(4) => open,
            Some(_) | None if known.is_empty() => self.fresh_credential(),
            Some(_) | None => self.pick(&known),
        };
        let code = directory.authorization_code(id);
        Command::RedeemAuthorizationCode(RedeemAuthorizationCode {
            code: id,
            shown: code.map_or_else(|| digest("a"), |code| code.digest),
            redirect_uri: self.maybe(|_| URI.to_owned()),
            code_challenge: if self.one_in(8) {
                None
            } else {
                code.and_then(|code| code.code_challenge)
            },
            family: self.fresh_credential(),
            access_token: self.access_token(code.map(|code| &code.scopes)),
            refresh_token: Some(NewRefreshToken {
                digest: digest(self.name()),
            }),
        })
    }

    fn refresh(&mut self, directory: &Directory) -> Command {
        let id = match self.open_family(directory) {
            Some(open) if !self.one_in(8) => open,
            Some(_) | None => self.fresh_credential(),
        };
        if self.one_in(8) {
            return Command::RevokeTokenFamily(RevokeTokenFamily { family: id });
        }
        let family = directory.family(id);
        let refresh = family.and_then(|family| family.refresh.as_ref());
        let current = refresh.map(|refresh| refresh.digest);
        let used = refresh.and_then(|refresh| refresh.used.front().copied());
        let shown = if self.one_in(4) { used } else { current };
        Command::RefreshTokens(RefreshTokens {
            family: id,
            shown: shown.unwrap_or_else(|| digest("a")),
            access_token: self.access_token(family.map(|family| &family.scopes)),
            refresh_token: Some(NewRefreshToken {
                digest: digest(self.name()),
            }),
        })
    }
}
