//! That somebody reads the audit log is itself on record, before they are answered.

use keyledger_domain::audit_read::NoteAuditLogRead;
use keyledger_domain::id::OrgId;
use keyledger_ledger::NotCommitted;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

impl App {
    /// Has it on record that the caller reads the logs of these organizations: once an hour each. Tells
    /// of which it is: whoever reads several and is let go from one meanwhile reads on in the others.
    ///
    /// Where the disk is too full for a record, they read all the same, and the server's log says so:
    /// such an hour is one in which auditors are needed.
    ///
    /// # Errors
    /// 401, 403 or 404 if they lost the right to all of them meanwhile, 503 when nothing can be recorded.
    pub(crate) async fn note_audit_read(
        &self,
        caller: &Caller,
        orgs: impl IntoIterator<Item = OrgId>,
    ) -> Result<Vec<OrgId>, Problem> {
        let (mut noted, mut lost) = (Vec::new(), None);
        for org in orgs {
            let reader = caller.authority().actor;
            let is_noted = {
                let directory = self.directory();
                directory.is_audit_read_noted(reader, org, self.now())
            };
            if !is_noted {
                match self.submit(caller, NoteAuditLogRead { org }).await {
                    Ok(_) => {}
                    Err(NotCommitted::OutOfSpace { .. }) => {
                        tracing::warn!(%reader, %org, "the audit log is read, and the disk is too full to record it");
                    }
                    Err(NotCommitted::Refused(refusal)) => {
                        lost = Some(refusal);
                        continue;
                    }
                    Err(reason) => return Err(reason.into()),
                }
            }
            noted.push(org);
        }
        match lost {
            Some(refusal) if noted.is_empty() => Err(refusal.into()),
            _ => Ok(noted),
        }
    }
}
