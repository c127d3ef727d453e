//! Which client asks, once it has shown that it is one: [`ClaimedClient`] is what it says.

use core::hint::black_box;

use keyledger_domain::client::{Client, ClientType};
use keyledger_domain::id::ClientId;
use keyledger_domain::{Actor, CredentialKind, Digest, Environment, Proof, Timestamp, credential};

use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::oauth::client_authentication::{ClaimedClient, client_named};
use crate::oauth::error::OauthError;
use crate::problem::Problem;

/// A client that showed who it is.
pub(super) struct AskingClient {
    /// Its identifier.
    pub(super) id: ClientId,
    /// Where its tokens belong.
    pub(super) environment: Environment,
    /// It, for the ledger.
    pub(super) caller: Caller,
}

impl App {
    /// The client that a request comes from.
    ///
    /// # Errors
    /// 401 `invalid_client`, the same for an unknown one, a wrong secret and one that is switched off,
    /// after the same work; 429 after too many.
    pub(super) fn asking_client(
        &self,
        claimed: &ClaimedClient,
        origin: &Origin,
    ) -> Result<AskingClient, OauthError> {
        let now = self.now();
        let shown = claimed.secret.as_ref().map(|secret| secret.as_str());
        // Hashed whatever it is and whoever asks, so that time tells nothing of who is known here.
        let newest = self.peppers().newest();
        let tag = self
            .peppers()
            .tag(newest, shown.unwrap_or_default().as_bytes());
        let proved = {
            let directory = self.directory();
            let client = client_named(&claimed.client_id);
            let client = client.and_then(|id| directory.active_client(id));
            client.and_then(|client| {
                let proof = self.proof_of(client, shown, (newest, tag), now)?;
                Some((client.id, client.environment, proof))
            })
        };
        black_box(tag);
        let Some((id, environment, proof)) = proved else {
            let counted = self
                .throttles()
                .wrong_key(shown.unwrap_or_default(), origin.source());
            return match counted {
                Ok(()) => Err(claimed.refused()),
                Err(wait) => Err(Problem::from(wait).into()),
            };
        };
        Ok(AskingClient {
            id,
            environment,
            caller: Caller::with_client(Actor::Client(id), proof, origin.clone()),
        })
    }

    /// What a client showed, if it is what it must show.
    fn proof_of(
        &self,
        client: &Client,
        shown: Option<&str>,
        (newest, tag): (u32, Option<[u8; 32]>),
        now: Timestamp,
    ) -> Option<Proof> {
        match (client.client_type, shown) {
            (ClientType::Public, None) => Some(Proof::Client { secret: None }),
            (ClientType::Confidential, Some(text)) => {
                let claim = credential::parse(text).ok()?;
                let secret = client.live_secrets(now).find(|one| one.id == claim.id)?;
                let pepper_version = secret.digest.pepper_version;
                let tag = if pepper_version == newest {
                    tag
                } else {
                    self.peppers().tag(pepper_version, text.as_bytes())
                };
                let shown = Digest {
                    pepper_version,
                    tag: tag?,
                };
                let is_right = claim.kind == CredentialKind::ClientSecret
                    && claim.environment == client.environment
                    && shown.matches(&secret.digest);
                is_right.then_some(Proof::Client {
                    secret: Some(secret.id),
                })
            }
            // A public client has no secret to be wrong, and a confidential one none to leave out.
            (ClientType::Public, Some(_)) | (ClientType::Confidential, None) => None,
        }
    }
}
