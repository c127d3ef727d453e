//! Switches off the keys that lie idle for longer than the policies of their organizations allow.

use std::time::Duration;

use actix_web::web;
use keyledger_domain::id::OrgId;
use keyledger_domain::org::Org;
use keyledger_domain::policy::DisableIdleApiKey;
use keyledger_domain::{ApiKey, Directory};

use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::problem::Problem;

/// How often it is looked.
const PAUSE: Duration = Duration::from_mins(1);

/// Looks each minute until the server ends. What cannot be changed now is tried again then.
pub(crate) async fn watch(app: web::Data<App>) {
    loop {
        actix_web::rt::time::sleep(PAUSE).await;
        if let Err(problem) = app.disable_idle_keys().await {
            tracing::warn!(%problem, "idle keys could not be switched off");
        }
    }
}

impl App {
    /// Switches off what lies idle: a record each, by the server itself.
    ///
    /// # Errors
    /// 503 when nothing can be changed now.
    pub(crate) async fn disable_idle_keys(&self) -> Result<(), Problem> {
        let now = self.now();
        let orgs: Vec<OrgId> = {
            let directory = self.directory();
            let orgs = directory.orgs_without_idle_keys();
            orgs.map(|org| org.id).collect()
        };
        for org in orgs {
            let ids = self.key_ids_in(org, None).await;
            let idle = |directory: &Directory, _: &Org, key: &ApiKey| {
                key.standing(now).ok()?;
                let id = key.issued.id;
                // What nobody counted may have been a use: without one it is idle from where counting
                // is known to have begun.
                let last_used_at = self.usage().last_used_at(id);
                let last_used_at = last_used_at.or(Some(self.usage().counting_since()));
                let until = directory.idle_until(key, last_used_at)?;
                (now >= until).then_some(DisableIdleApiKey { id, last_used_at })
            };
            for command in self.find_in_keys(org, &ids, usize::MAX, idle).await {
                let caller = Caller::system(Origin::of_the_server(self.random()?));
                self.execute(&caller, command).await?;
            }
        }
        Ok(())
    }
}
