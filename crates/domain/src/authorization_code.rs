//! Authorization codes (RFC 6749 §4.1): a person said yes, and their browser brings the client
//! something that is good once, for a minute, and for nobody else.

use serde::{Deserialize, Serialize};

use crate::access_token::NewAccessToken;
use crate::actor::{Actor, Authority, Proof};
use crate::api_key::Holder;
use crate::client::GrantType;
use crate::credential::{CredentialId, Environment};
use crate::digest::Digest;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::expiry::Expiring;
use crate::id::{ClientId, OrgId, UserId};
use crate::position::Position;
use crate::refusal::{Field, Noun, Refusal};
use crate::resource::Resource;
use crate::scope::Scopes;
use crate::time::Timestamp;
use crate::token_family::{FamilyEnd, NewRefreshToken, TokenFamily, TokenFamilyRevoked};

/// How long a code is good: a minute, in seconds (RFC 6749 §4.1.2 allows ten).
pub const CODE_SECONDS: u64 = 60;

/// How long one that was redeemed is remembered, so that it is noticed if it comes again: the ten
/// minutes that RFC 6749 §4.1.2 gives any code at the most, in seconds.
const REDEEMED_SECONDS: u64 = 600;

/// A PKCE challenge by `S256`: the SHA-256 of a verifier (RFC 7636 §4.2).
pub type CodeChallenge = [u8; 32];

/// A code that is open, or was redeemed a little while ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationCode {
    /// What is kept of it.
    pub digest: Digest,
    /// The client it was issued to.
    pub client: ClientId,
    /// Its organization.
    pub org: OrgId,
    /// Who said yes.
    pub user: UserId,
    /// To what.
    pub scopes: Scopes,
    /// For which servers; empty for this one.
    pub resources: Vec<Resource>,
    /// Where it was sent to, as the client wrote it.
    pub redirect_uri: String,
    /// Whether the client wrote it: then it must write it again (RFC 6749 §4.1.3).
    pub is_redirect_uri_sent: bool,
    /// What the verifier must hash to.
    pub code_challenge: Option<CodeChallenge>,
    /// Where its record stands: what ended a person's tokens before does not end it.
    pub issued: Position,
    /// When it ends: it is good while now is before.
    pub expires_at: Timestamp,
    /// The tokens that it was redeemed for.
    pub redeemed: Option<CredentialId>,
}

/// Give a client a code for oneself, because one has just said yes, or did and is not asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueAuthorizationCode {
    /// The client.
    pub client: ClientId,
    /// The code's public id.
    pub code: CredentialId,
    /// What is kept of it.
    pub digest: Digest,
    /// What the client may do.
    pub scopes: Scopes,
    /// For which servers; empty for this one.
    pub resources: Vec<Resource>,
    /// Where it is sent to.
    pub redirect_uri: String,
    /// Whether the client wrote where.
    pub is_redirect_uri_sent: bool,
    /// What the verifier must hash to.
    pub code_challenge: Option<CodeChallenge>,
    /// Where the ledger stood when it was looked at whether they need to be asked.
    pub judged_at: Position,
}

/// Exchange a code for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedeemAuthorizationCode {
    /// The code's public id.
    pub code: CredentialId,
    /// What was shown, digested as the code is kept.
    pub shown: Digest,
    /// Where the client says that the code was sent to.
    pub redirect_uri: Option<String>,
    /// The hash of the verifier that was shown.
    pub code_challenge: Option<CodeChallenge>,
    /// The tokens' family, and the public id of its refresh token.
    pub family: CredentialId,
    /// The access token.
    pub access_token: NewAccessToken,
    /// The refresh token, if the client is given one.
    pub refresh_token: Option<NewRefreshToken>,
}

/// A person allowed a client to act for them, and a code was issued to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorizationCodeIssued {
    /// The client's organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// Who said yes.
    pub user: UserId,
    /// The code's public id.
    pub code: CredentialId,
    /// What is kept of it.
    #[serde(skip)]
    pub digest: Digest,
    /// What the client may do.
    pub scopes: Scopes,
    /// For which servers; empty for this one.
    pub resources: Vec<Resource>,
    /// Where it was sent to.
    pub redirect_uri: String,
    /// Whether the client wrote where.
    pub is_redirect_uri_sent: bool,
    /// What the verifier must hash to.
    #[serde(skip)]
    pub code_challenge: Option<CodeChallenge>,
}

/// A code was exchanged for tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorizationCodeRedeemed {
    /// The client's organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// Who said yes.
    pub user: UserId,
    /// The code's public id.
    pub code: CredentialId,
    /// The tokens' family.
    pub family: CredentialId,
    /// The access token.
    pub access_token: NewAccessToken,
    /// The refresh token, if there is one.
    pub refresh_token: Option<NewRefreshToken>,
}

impl Directory {
    /// A code, open or redeemed a little while ago.
    pub fn authorization_code(&self, id: CredentialId) -> Option<&AuthorizationCode> {
        self.codes.get(&id)
    }

    /// Whether a code is good for whoever said yes, apart from what the client shows.
    fn is_open(&self, code: &AuthorizationCode, now: Timestamp) -> bool {
        let stands = self.stands(code.user, code.client, code.org, code.issued);
        now < code.expires_at && stands.is_ok()
    }

    /// Only a person says yes, in a session or by password; what they cannot do themselves they do
    /// not give.
    pub(crate) fn decide_issue_authorization_code(
        &self,
        authority: &Authority,
        command: IssueAuthorizationCode,
    ) -> Result<Option<Event>, Refusal> {
        let Actor::User(user) = authority.actor else {
            return Err(Refusal::UsersOnly);
        };
        if !matches!(authority.proof, Proof::Session(_)) {
            return Err(Refusal::PasswordNeeded);
        }
        let client = self
            .active_client(command.client)
            .ok_or(Refusal::Unknown(Noun::Client))?;
        // Whoever is not in the client's organization learns nothing of it but its name, and gives it
        // nothing.
        let org = self.require_visible(authority, client.org)?;
        if !client.has_grant(GrantType::AuthorizationCode) {
            return Err(Refusal::GrantTypeNotAllowed);
        }
        if let Some(scope) = command.scopes.first_beyond(&client.settings.scopes) {
            return Err(Refusal::ScopeNotAllowed(scope.clone()));
        }
        let known = &client.settings.resources;
        if command.resources.iter().any(|one| !known.contains(one)) {
            return Err(Refusal::ResourceNotAllowed);
        }
        let is_registered =
            |uri: &crate::redirect_uri::RedirectUri| uri.matches(&command.redirect_uri);
        // A yes from before the client had another address may be a remembered one, which is none now.
        if !client.settings.redirect_uris.iter().any(is_registered)
            || command.judged_at < client.addresses_since
        {
            return Err(Refusal::RedirectUriNotAllowed);
        }
        self.check_grantable(authority, org.id, &command.scopes)?;
        if self.is_credential_taken(command.code) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let IssueAuthorizationCode {
            client,
            code,
            digest,
            scopes,
            resources,
            redirect_uri,
            is_redirect_uri_sent,
            code_challenge,
            judged_at: _,
        } = command;
        Ok(Some(Event::AuthorizationCodeIssued(
            AuthorizationCodeIssued {
                org: org.id,
                client,
                user,
                code,
                digest,
                scopes,
                resources,
                redirect_uri,
                is_redirect_uri_sent,
                code_challenge,
            },
        )))
    }

    /// A code that comes a second time was stolen, by whoever comes first or second: what it was
    /// redeemed for ends (RFC 6749 §4.1.2). That is an event, and the answer is no all the same.
    pub(crate) fn decide_redeem_authorization_code(
        &self,
        authority: &Authority,
        command: RedeemAuthorizationCode,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let client = self.asking_client(authority, GrantType::AuthorizationCode)?;
        let code = self
            .authorization_code(command.code)
            .filter(|code| code.client == client.id && code.digest == command.shown)
            .ok_or(Refusal::InvalidGrant)?;
        if let Some(family) = code.redeemed {
            return match self.family(family) {
                Some(family) => Ok(Some(Event::TokenFamilyRevoked(TokenFamilyRevoked {
                    org: family.org,
                    client: family.client,
                    user: family.user,
                    family: family.id,
                    reason: FamilyEnd::CodeReplayed,
                }))),
                None => Err(Refusal::InvalidGrant),
            };
        }
        if !self.is_open(code, now) || code.code_challenge != command.code_challenge {
            return Err(Refusal::InvalidGrant);
        }
        let is_uri_right = match &command.redirect_uri {
            Some(uri) => *uri == code.redirect_uri,
            // Clients of today leave it out; the challenge says more (draft-ietf-oauth-v2-1 §10.2).
            None => !code.is_redirect_uri_sent || code.code_challenge.is_some(),
        };
        if !is_uri_right {
            return Err(Refusal::InvalidGrant);
        }
        let access_token = command.access_token;
        self.check_new_token(client, &access_token, &code.scopes, &code.resources, now)?;
        check_not_for_here(&access_token, &code.resources)?;
        if self.is_credential_taken(command.family) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let given = client.gives_refresh_token(&code.scopes);
        Ok(Some(Event::AuthorizationCodeRedeemed(
            AuthorizationCodeRedeemed {
                org: code.org,
                client: code.client,
                user: code.user,
                code: command.code,
                family: command.family,
                access_token,
                refresh_token: command.refresh_token.filter(|_| given),
            },
        )))
    }

    pub(crate) fn apply_authorization_code_issued(
        &mut self,
        event: &AuthorizationCodeIssued,
        record: &Record,
    ) {
        // What was allowed at other servers is asked for again each time, and allows nothing here.
        let here = if event.resources.is_empty() {
            event.scopes.clone()
        } else {
            Scopes::default()
        };
        self.insert_consent(event.user, event.client, &here, record);
        let expires_at = record.at.plus_seconds(CODE_SECONDS);
        let code = AuthorizationCode {
            digest: event.digest,
            client: event.client,
            org: event.org,
            user: event.user,
            scopes: event.scopes.clone(),
            resources: event.resources.clone(),
            redirect_uri: event.redirect_uri.clone(),
            is_redirect_uri_sent: event.is_redirect_uri_sent,
            code_challenge: event.code_challenge,
            issued: record.position,
            expires_at,
            redeemed: None,
        };
        self.codes.insert(event.code, code);
        self.expire_at(expires_at, Expiring::Code(event.code));
    }

    pub(crate) fn apply_authorization_code_redeemed(
        &mut self,
        event: &AuthorizationCodeRedeemed,
        record: &Record,
    ) {
        let code = self.codes.get_mut(&event.code);
        let code = code.expect("an event names a code that exists");
        code.redeemed = Some(event.family);
        // It leaves later than an open one would: what was noted before is of no use any more.
        let noted = (code.expires_at, Expiring::Code(event.code));
        let (issued, scopes, resources) =
            (code.issued, code.scopes.clone(), code.resources.clone());
        self.expiring.remove(&noted);
        let forgotten_at = record.at.plus_seconds(REDEEMED_SECONDS);
        self.expire_at(forgotten_at, Expiring::Code(event.code));
        let environment = self.environment_of_client(event.client);
        let family = TokenFamily {
            id: event.family,
            org: event.org,
            client: event.client,
            user: event.user,
            environment,
            scopes,
            resources,
            consented: issued,
            issued_at: record.at,
            refresh: None,
            ends_at: event.access_token.expires_at,
        };
        self.families.insert(event.family, family);
        let holder = Holder::Delegate {
            org: event.org,
            user: event.user,
            family: event.family,
        };
        self.insert_access_token(&event.access_token, holder, event.client, record);
        self.give_refresh_token(
            event.family,
            event.refresh_token,
            &event.access_token,
            record,
        );
    }

    fn environment_of_client(&self, client: ClientId) -> Environment {
        let client = self.client(client);
        client
            .expect("an event names a client that exists")
            .environment
    }
}

/// Whether a token is for the servers that were asked about, and not for this one in their place: a
/// person who allowed something elsewhere allowed nothing here.
pub(crate) fn check_not_for_here(
    new: &NewAccessToken,
    resources: &[Resource],
) -> Result<(), Refusal> {
    if new.audience.is_empty() && !resources.is_empty() {
        return Err(Refusal::ResourceNotAllowed);
    }
    Ok(())
}
