//! By what an event is found: the terms under which the index has its record.

use std::sync::Arc;

use keyledger_domain::api_key::{
    ApiKeyActivated, ApiKeyDisabled, ApiKeyEnabled, ApiKeyRestricted, ApiKeyRevealed,
    ApiKeyRotated, ApiKeyRotationUndone,
};
use keyledger_domain::key_use::{ApiKeyFirstUsed, ApiKeyNetworkFirstSeen};
use keyledger_domain::{CredentialId, Directory, Event, Record, Target};
use keyledger_ledger::index::{Index, Term, TermsOf};

use crate::app::Lookups;
use crate::routes::events::changes;

/// The credential that an event is about, whoever holds it.
pub(crate) const fn key_of(event: &Event) -> Option<CredentialId> {
    if let Event::ApiKeyRotated(ApiKeyRotated { id, .. })
    | Event::ApiKeyRotationUndone(ApiKeyRotationUndone { id, .. })
    | Event::ApiKeyActivated(ApiKeyActivated { id, .. })
    | Event::ApiKeyDisabled(ApiKeyDisabled { id, .. })
    | Event::ApiKeyEnabled(ApiKeyEnabled { id, .. })
    | Event::ApiKeyRestricted(ApiKeyRestricted { id, .. })
    | Event::ApiKeyRevealed(ApiKeyRevealed { id, .. })
    | Event::ApiKeyFirstUsed(ApiKeyFirstUsed { id, .. })
    | Event::ApiKeyNetworkFirstSeen(ApiKeyNetworkFirstSeen { id, .. }) = event
    {
        Some(*id)
    } else {
        None
    }
}

/// The terms of a record. What it is about depends on the state: so it is under what is known when
/// it is indexed, and under its credential, which never changes.
pub(crate) fn terms_of(index: &Index, directory: &Directory, record: &Record) -> Vec<Term> {
    let origin = &record.origin;
    let mut terms: Vec<Term> = record
        .organizations
        .iter()
        .map(|org| Term::organization(*org))
        .collect();
    terms.push(Term::actor(origin.actor));
    terms.push(Term::event_type(record.event.name()));
    let target = directory.target_of(&record.event);
    terms.push(Term::target(&target.to_string()));
    let key = key_of(&record.event).map(|id| Target::Credential(id).to_string());
    terms.extend(key.map(|key| Term::target(&key)));
    terms.extend(origin.credential.map(Term::credential));
    let source = origin.source.as_ref().and_then(|source| source.known());
    terms.extend(source.map(|source| index.source(*source)));
    let settings = changes::settings_of(&record.event);
    terms.extend(settings.iter().map(|setting| Term::setting(&setting.thing)));
    terms
}

/// The same for who writes the index, by what the look-ups show then.
pub fn indexer(lookups: &Arc<Lookups>) -> TermsOf {
    let lookups = Arc::clone(lookups);
    Box::new(move |record| terms_of(lookups.index(), &lookups.directory(), record))
}
