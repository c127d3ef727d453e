//! Keys that their owner can read again: sealed when they are made, opened once the ledger has it.

use keyledger_domain::api_key::RevealApiKey;
use keyledger_domain::id::UserId;
use keyledger_domain::{Actor, CredentialId, Plaintext, SealedSecret};
use keyledger_ledger::vault::SealedFor;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// What a secret is sealed for: one version of one key of one person. Sealing and opening must name
/// the same, or the vault refuses; hence this one place.
fn purpose<'a>(owner: &'a [u8], key: &'a [u8], secret_version: u32) -> SealedFor<'a> {
    SealedFor::RetrievableKey {
        owner,
        key,
        secret_version,
    }
}

impl App {
    /// Seals a secret for its owner.
    ///
    /// # Errors
    /// 500 when the vault cannot seal.
    pub(crate) fn seal(
        &self,
        owner: UserId,
        id: CredentialId,
        version: u32,
        plaintext: &Plaintext,
    ) -> Result<SealedSecret, Problem> {
        let (owner, key) = (owner.to_bytes(), id.to_bytes());
        let purpose = purpose(&owner, &key, version);
        let sealed = self
            .vault()
            .seal(&purpose, plaintext.as_bytes(), self.rng());
        sealed
            .map(SealedSecret::from_bytes)
            .map_err(|_| Problem::internal())
    }

    /// Unseals a retrievable key for its owner, once the ledger has that it was read.
    ///
    /// # Errors
    /// 403 unless the caller's password or session, or that very key, stands behind it; 500 for one
    /// that does not open.
    pub(crate) async fn reveal(
        &self,
        caller: &Caller,
        id: CredentialId,
    ) -> Result<Option<String>, Problem> {
        let retrievable = self
            .directory()
            .api_key(id)
            .is_some_and(|key| key.sealed().is_some() && key.revoked_at().is_none());
        if !retrievable {
            return Ok(None);
        }
        // Nothing is recorded where the policy of an organization shows nothing.
        let noted = self.execute(caller, RevealApiKey { id }).await?;
        if noted.record.is_none() {
            return Ok(None);
        }
        // Read after the event: a rotation in between shows the newer secret, never an older one.
        let (owner, version, sealed) = {
            let directory = self.directory();
            let Some(key) = directory.api_key(id) else {
                return Ok(None);
            };
            let Actor::User(owner) = key.issued.holder.actor() else {
                return Ok(None);
            };
            let Some(sealed) = key.sealed().and_then(|sealed| sealed.known()) else {
                return Ok(None);
            };
            (owner, key.version(), sealed.clone())
        };
        let (owner, key) = (owner.to_bytes(), id.to_bytes());
        let purpose = purpose(&owner, &key, version);
        let opened = self.vault().open(&purpose, sealed.as_bytes()).map_err(|error| {
            tracing::error!(credential = %id, %error, "a retrievable key could not be unsealed");
            Problem::internal()
        })?;
        let text = String::from_utf8(opened.to_vec()).map_err(|_| Problem::internal())?;
        Ok(Some(Plaintext::unsealed(text).expose_once()))
    }
}
