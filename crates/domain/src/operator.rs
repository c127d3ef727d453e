//! The operator's organization: the one that was made first. What concerns the whole server, not one
//! organization in it, is for its people.

use crate::actor::Authority;
use crate::directory::Directory;
use crate::refusal::Refusal;
use crate::role::Role;

impl Directory {
    /// Refuses whoever may not do this for the whole server: those who do not hold the right in the
    /// operator's organization. `minimum_role` is what they are told, the one that holds it there.
    ///
    /// # Errors
    /// As [`Directory::require`], in the words of a role that is too low for those who are not in it: that
    /// there is an operator is no secret; who it is needs not be told.
    pub fn require_of_operator(
        &self,
        authority: &Authority,
        right: &'static str,
        minimum_role: Role,
    ) -> Result<(), Refusal> {
        self.check_names(authority, right)?;
        let too_low = Refusal::RoleTooLow {
            right,
            minimum_role,
        };
        let Some(operator) = self.operator_org() else {
            return Err(too_low);
        };
        match self.require(authority, operator, right) {
            Err(Refusal::Unknown(_)) => Err(too_low),
            other => other,
        }
    }

    /// Refuses whoever is no owner of the operator's organization, whatever their teams give them.
    ///
    /// # Errors
    /// [`Refusal::RoleTooLow`].
    pub fn require_operator_owner(
        &self,
        authority: &Authority,
        right: &'static str,
    ) -> Result<(), Refusal> {
        let role = self
            .operator_org()
            .and_then(|operator| self.role_of(authority.actor, operator));
        if role == Some(Role::Owner) {
            Ok(())
        } else {
            Err(Refusal::RoleTooLow {
                right,
                minimum_role: Role::Owner,
            })
        }
    }
}
