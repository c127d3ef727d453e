//! All keys of an organization, looked at without keeping others from writing.
//!
//! A look at a hundred thousand keys takes some tens of milliseconds. Were it one look under one lock, a
//! writer would wait for its end and every reader behind the writer, verifications too; and the
//! worker that looks would answer nobody else. So it is taken in steps, between which both have their
//! turn. What changes meanwhile is seen as it was or as it is.

use keyledger_domain::id::OrgId;
use keyledger_domain::org::Org;
use keyledger_domain::{Actor, ApiKey, CredentialId, Directory};

use crate::app::App;

/// How many are looked at in a step: some tens of microseconds.
const STEP: usize = 256;

impl App {
    /// The public ids of all keys of an organization, dead or alive, in their order; of a list that
    /// goes on, those behind its last page.
    pub(crate) async fn key_ids_in(
        &self,
        org: OrgId,
        after: Option<CredentialId>,
    ) -> Vec<CredentialId> {
        let holders: Vec<Actor> = {
            let directory = self.directory();
            let org = directory.org(org).into_iter();
            org.flat_map(Org::holders).collect()
        };
        let mut ids = Vec::with_capacity(holders.len());
        for some in holders.chunks(STEP) {
            {
                let directory = self.directory();
                let keys = some.iter().flat_map(|holder| directory.keys_of(*holder));
                let keys = keys.map(|key| key.issued.id);
                ids.extend(keys.filter(|id| after.is_none_or(|after| *id > after)));
            }
            tokio::task::yield_now().await;
        }
        ids.sort_unstable();
        ids
    }

    /// What is found in these keys of an organization, in their order: at least `enough`, if there is
    /// as much.
    pub(crate) async fn find_in_keys<T>(
        &self,
        org: OrgId,
        ids: &[CredentialId],
        enough: usize,
        find: impl Fn(&Directory, &Org, &ApiKey) -> Option<T>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for some in ids.chunks(STEP) {
            {
                let directory = self.directory();
                let Some(org) = directory.org(org) else {
                    return found;
                };
                let keys = some.iter().filter_map(|id| directory.api_key(*id));
                found.extend(keys.filter_map(|key| find(&directory, org, key)));
            }
            if found.len() >= enough {
                return found;
            }
            tokio::task::yield_now().await;
        }
        found
    }
}
