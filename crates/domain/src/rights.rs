//! Who may do what: the rights of a holder, narrowed by the scopes of what they showed.
//!
//! Rights come from the role and the teams, are never stored with a credential, and are looked up
//! at each request: a demotion is felt by the very next call.

use crate::actor::{Actor, Authority, Proof};
use crate::api_key::{ApiKey, Holder};
use crate::client::ClientType;
use crate::credential::{CredentialId, Environment};
use crate::directory::Directory;
use crate::id::{OrgId, UserId};
use crate::org::Org;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::{BUILT_IN, Scope, Scopes, built_in, find_built_in};
use crate::team::Team;
use crate::time::Timestamp;

/// Rights that change something which no environment divides; a test credential has none of them.
const LIVE_ONLY: &[&str] = &[
    built_in::SCOPES_WRITE,
    built_in::SIGNING_KEYS_WRITE,
    built_in::TEAMS_WRITE,
    built_in::USERS_WRITE,
    built_in::WORKSPACES_WRITE,
];

impl Directory {
    /// Whether what the authority showed is still good. The committer asks again right before it
    /// decides, because the credential may have ended since the request came in.
    ///
    /// # Errors
    /// [`Refusal::CredentialEnded`].
    pub fn check_standing(&self, authority: &Authority, now: Timestamp) -> Result<(), Refusal> {
        let good = match authority.proof {
            Proof::Own => authority.actor == Actor::System,
            // Only people have a password.
            Proof::Password => match authority.actor {
                Actor::User(id) => self.may_sign_in(id),
                Actor::System | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => {
                    false
                }
            },
            Proof::Client { secret } => {
                let Actor::Client(id) = authority.actor else {
                    return Err(Refusal::CredentialEnded);
                };
                self.active_client(id).is_some_and(|client| match secret {
                    Some(id) => client.live_secrets(now).any(|secret| secret.id == id),
                    None => client.client_type == ClientType::Public,
                })
            }
            Proof::Session(id) => self.session(id).is_some_and(|session| {
                authority.actor == Actor::User(session.user)
                    && now < session.expires_at
                    && self.may_sign_in(session.user)
            }),
            Proof::Credential { id, version } => self.api_key(id).is_some_and(|key| {
                key.issued.holder.actor() == authority.actor
                    && self.standing_of(key, now).is_ok()
                    && key.has_secret(version, now)
            }),
        };
        if good {
            Ok(())
        } else {
            Err(Refusal::CredentialEnded)
        }
    }

    /// Whether this authority sees what belongs to an environment: a test credential only its own.
    pub fn sees(&self, authority: &Authority, environment: Environment) -> bool {
        match self.proved(authority).environment() {
            Environment::Live => true,
            Environment::Test => environment == Environment::Test,
        }
    }

    /// Whether this authority sees what holds this key.
    pub fn sees_key(&self, authority: &Authority, id: CredentialId) -> bool {
        self.api_key(id)
            .is_some_and(|key| self.sees(authority, key.issued.environment))
    }

    /// The environment of an authority: a key's own; passwords and sessions are live.
    pub fn environment_of(&self, authority: &Authority) -> Environment {
        self.proved(authority).environment()
    }

    /// What the authority rests on, looked up once for any number of questions.
    fn proved(&self, authority: &Authority) -> Proved<'_> {
        match authority.proof {
            Proof::Own | Proof::Password | Proof::Session(_) => Proved::Person,
            Proof::Credential { id, .. } => self.api_key(id).map_or(Proved::Gone, Proved::Key),
            // It opens the token endpoint, which asks for no rights.
            Proof::Client { .. } => Proved::Gone,
        }
    }

    /// The role of an actor in an organization. Entitlement tokens and clients have none anywhere.
    pub fn role_of(&self, actor: Actor, org: OrgId) -> Option<Role> {
        match actor {
            Actor::System => Some(Role::Owner),
            Actor::User(_) | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => {
                self.role_in(actor, self.org(org)?)
            }
        }
    }

    /// The same where the organization is at hand.
    fn role_in(&self, actor: Actor, org: &Org) -> Option<Role> {
        match actor {
            Actor::System => Some(Role::Owner),
            Actor::User(user) => org.active_role(user),
            Actor::Service(service) => self
                .service(service)
                .filter(|service| service.org == org.id)
                .map(|s| s.role),
            Actor::Entitlement(_) | Actor::Client(_) => None,
        }
    }

    /// What role and teams give an actor in an organization; `None` to one who is not in it.
    fn held<'d>(&'d self, actor: Actor, org: &'d Org) -> Option<Held<'d>> {
        let role = self.role_in(actor, org)?;
        Some(self.held_as(actor, org, role))
    }

    /// What this role and the actor's teams give in an organization.
    fn held_as<'d>(&self, actor: Actor, org: &'d Org, role: Role) -> Held<'d> {
        let inside = |team: &&Team| match actor {
            Actor::User(user) => team.members.contains(&user),
            Actor::Service(service) => team.services.contains(&service),
            Actor::System | Actor::Entitlement(_) | Actor::Client(_) => false,
        };
        let granted = org.teams.values().filter(inside).map(|team| &team.scopes);
        Held {
            role,
            granted: granted.collect(),
        }
    }

    /// Whether role or teams give an actor a right in an organization. A client has what it was
    /// registered for.
    fn has_right(&self, actor: Actor, org: &Org, right: &str) -> bool {
        if let Actor::Client(client) = actor {
            let own = self.active_client(client).filter(|own| own.org == org.id);
            return own.is_some_and(|own| own.settings.scopes.contains(right));
        }
        let held = self.held(actor, org);
        held.is_some_and(|held| held.includes(right, org.minimum_role(right)))
    }

    /// Whether a key may do this in an organization: its holder may, and its scopes name it.
    pub fn key_holds(&self, key: &ApiKey, org: &Org, scope: &str) -> bool {
        key.names(scope)
            && !self.bars(org.id, key.issued.id)
            && match key.issued.holder {
                Holder::User { .. } | Holder::Service { .. } => {
                    self.has_right(key.issued.holder.actor(), org, scope)
                }
                // An entitlement token has what it names and nothing else.
                Holder::Entitlement { org: own, .. } => own == org.id && key.scopes.is_some(),
                Holder::Client { org: own, .. } | Holder::Delegate { org: own, .. } => {
                    own == org.id && self.has_right(key.issued.holder.actor(), org, scope)
                }
            }
    }

    /// All that a key may do in an organization, sorted.
    pub fn effective_scopes(&self, key: &ApiKey, org: OrgId) -> Scopes {
        let org = self.org(org);
        org.map(|org| scopes_of(&self.effective_scope_names(key, org)))
            .unwrap_or_default()
    }

    /// The names of all that a key may do in an organization, sorted. It copies nothing, because
    /// every verification asks for it.
    pub fn effective_scope_names<'d>(&'d self, key: &'d ApiKey, org: &'d Org) -> Vec<&'d str> {
        if self.bars(org.id, key.issued.id) {
            return Vec::new();
        }
        self.unbarred_scope_names(key, org)
    }

    /// All that a key could do in an organization if it were not barred from it.
    pub(crate) fn unbarred_scopes(&self, key: &ApiKey, org: OrgId) -> Scopes {
        let org = self.org(org);
        org.map(|org| scopes_of(&self.unbarred_scope_names(key, org)))
            .unwrap_or_default()
    }

    fn unbarred_scope_names<'d>(&'d self, key: &'d ApiKey, org: &'d Org) -> Vec<&'d str> {
        if let Holder::Client { org: own, .. } | Holder::Delegate { org: own, .. } =
            key.issued.holder
            && own != org.id
        {
            return Vec::new();
        }
        match &key.scopes {
            Some(scopes) => {
                let names = scopes.iter();
                match key.issued.holder {
                    Holder::Client { .. } => {
                        let actor = key.issued.holder.actor();
                        let held = names.filter(|scope| self.has_right(actor, org, scope.as_str()));
                        held.map(Scope::as_str).collect()
                    }
                    Holder::User { .. } | Holder::Service { .. } | Holder::Delegate { .. } => {
                        let Some(held) = self.held(key.issued.holder.actor(), org) else {
                            return Vec::new();
                        };
                        let included = names.filter(|scope| {
                            held.includes(scope.as_str(), org.minimum_role_of(scope))
                        });
                        included.map(Scope::as_str).collect()
                    }
                    Holder::Entitlement { org: own, .. } if own == org.id => {
                        names.map(Scope::as_str).collect()
                    }
                    Holder::Entitlement { .. } => Vec::new(),
                }
            }
            None => self.right_names_of(key.issued.holder.actor(), org),
        }
    }

    /// All the rights of an actor in an organization, sorted.
    pub fn rights_of(&self, actor: Actor, org: &Org) -> Scopes {
        scopes_of(&self.right_names_of(actor, org))
    }

    fn right_names_of<'d>(&'d self, actor: Actor, org: &'d Org) -> Vec<&'d str> {
        if let Actor::Client(client) = actor {
            let own = self.active_client(client).filter(|own| own.org == org.id);
            let scopes = own.into_iter().flat_map(|own| own.settings.scopes.iter());
            return scopes.map(Scope::as_str).collect();
        }
        self.held(actor, org)
            .map(|held| held.names(org))
            .unwrap_or_default()
    }

    /// The rights that a member has, or would have if they were not switched off.
    pub(crate) fn rights_as_member(&self, org: OrgId, user: UserId) -> Scopes {
        let known = self.org(org);
        let role = self.member_role(org, user);
        let names = known.zip(role).map(|(org, role)| {
            let held = self.held_as(Actor::User(user), org, role);
            scopes_of(&held.names(org))
        });
        names.unwrap_or_default()
    }

    /// What a person's key may do in an organization, or could if they were not switched off there.
    pub(crate) fn scopes_as_member(&self, key: &ApiKey, org: OrgId, user: UserId) -> Scopes {
        let rights = self.rights_as_member(org, user);
        let named = rights.iter().filter(|scope| key.names(scope.as_str()));
        named.cloned().collect()
    }

    /// Whether this authority has a right in an organization, and may know of it.
    fn holds(&self, authority: &Authority, org: &Org, right: &str) -> bool {
        match self.proved(authority) {
            Proved::Key(key) => self.key_holds(key, org, right),
            Proved::Person => self.has_right(authority.actor, org, right),
            Proved::Gone => false,
        }
    }

    /// Whether this authority may know that an organization exists. A key that is barred from it may
    /// not, as if its owner were no member.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], the same as for one that does not exist.
    pub fn require_visible(&self, authority: &Authority, org: OrgId) -> Result<&Org, Refusal> {
        self.visible(authority, &self.proved(authority), org)
            .map(|(org, _)| org)
    }

    /// [`Directory::require_visible`], with the role that the actor has there if it has any.
    fn visible(
        &self,
        authority: &Authority,
        proved: &Proved<'_>,
        org: OrgId,
    ) -> Result<(&Org, Option<Role>), Refusal> {
        let unknown = Refusal::Unknown(Noun::Organization);
        let Some(known) = self.org(org) else {
            return Err(unknown);
        };
        let role = self.role_in(authority.actor, known);
        let inside = match authority.actor {
            Actor::Entitlement(token) => self.entitlement(token).is_some_and(|t| t.org == org),
            Actor::Client(client) => self.client(client).is_some_and(|c| c.org == org),
            Actor::System | Actor::User(_) | Actor::Service(_) => role.is_some(),
        };
        let barred = match proved {
            Proved::Key(key) => !self.reaches(key, org),
            Proved::Person => false,
            Proved::Gone => true,
        };
        if inside && !barred {
            Ok((known, role))
        } else {
            Err(unknown)
        }
    }

    /// Whether this authority may do something in an organization.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] to strangers, then [`Refusal::InsufficientScope`] where the credential
    /// is too narrow, [`Refusal::RoleTooLow`] where its holder is, and [`Refusal::LiveFromTest`].
    pub fn require(
        &self,
        authority: &Authority,
        org: OrgId,
        right: &'static str,
    ) -> Result<(), Refusal> {
        let proved = self.proved(authority);
        let (org, role) = self.visible(authority, &proved, org)?;
        proved.check_names(right)?;
        // An entitlement token manages nothing, whatever its scopes are called.
        let manages = !matches!(authority.actor, Actor::Entitlement(_));
        let has_right = match role {
            Some(role) => {
                let held = self.held_as(authority.actor, org, role);
                held.includes(right, org.minimum_role(right))
            }
            None => manages && self.has_right(authority.actor, org, right),
        };
        if !has_right {
            let minimum_role = org.minimum_role(right).unwrap_or(Role::Owner);
            return Err(Refusal::RoleTooLow {
                right,
                minimum_role,
            });
        }
        proved.check_not_live_only(right)
    }

    /// Whether an app asks for a person, whom it stands for in its client's organization only.
    pub(crate) fn is_by_delegate(&self, authority: &Authority) -> bool {
        match self.proved(authority) {
            Proved::Key(key) => matches!(key.issued.holder, Holder::Delegate { .. }),
            Proved::Person | Proved::Gone => false,
        }
    }

    /// Whether this authority may do something in at least one organization.
    ///
    /// # Errors
    /// As [`Directory::require`], apart from the first.
    pub fn require_anywhere(
        &self,
        authority: &Authority,
        right: &'static str,
    ) -> Result<(), Refusal> {
        self.check_names(authority, right)?;
        let manages = !matches!(authority.actor, Actor::Entitlement(_));
        let held = |org| self.holds(authority, org, right);
        if !manages || !self.orgs_of(authority.actor).any(held) {
            let minimum_role = find_built_in(right).map_or(Role::Owner, |e| e.minimum_role);
            return Err(Refusal::RoleTooLow {
                right,
                minimum_role,
            });
        }
        self.check_not_live_only(authority, right)
    }

    /// Whether this authority may do something with what is the person's own.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`], [`Refusal::UsersOnly`].
    pub fn require_own(&self, authority: &Authority, right: &'static str) -> Result<(), Refusal> {
        if !matches!(authority.actor, Actor::User(_)) {
            return Err(Refusal::UsersOnly);
        }
        self.check_names(authority, right)
    }

    /// Whether the scopes of the credential, if one was shown, name a right.
    pub(crate) fn check_names(
        &self,
        authority: &Authority,
        right: &'static str,
    ) -> Result<(), Refusal> {
        self.proved(authority).check_names(right)
    }

    pub(crate) fn check_not_live_only(
        &self,
        authority: &Authority,
        right: &str,
    ) -> Result<(), Refusal> {
        self.proved(authority).check_not_live_only(right)
    }

    /// Whether this authority may give or touch a role: none above its own, and a credential with
    /// scopes none but the lowest, or it could make itself an account without.
    ///
    /// # Errors
    /// [`Refusal::AboveOwnRole`], [`Refusal::RoleFromLimited`].
    pub(crate) fn require_role(
        &self,
        authority: &Authority,
        org: OrgId,
        role: Role,
    ) -> Result<(), Refusal> {
        if self
            .role_of(authority.actor, org)
            .is_none_or(|own| own < role)
        {
            return Err(Refusal::AboveOwnRole(role));
        }
        if role > Role::Member && self.is_bounded(authority) {
            return Err(Refusal::RoleFromLimited);
        }
        Ok(())
    }

    pub(crate) fn is_limited(&self, authority: &Authority) -> bool {
        authority
            .credential()
            .and_then(|id| self.api_key(id))
            .is_some_and(|key| key.scopes.is_some())
    }

    /// Whether what was shown is limited in any way: by scopes, an end, networks, a rate, or the grace
    /// of a secret that was replaced. An account that it made would have none of these limits.
    fn is_bounded(&self, authority: &Authority) -> bool {
        let Proof::Credential { id, version } = authority.proof else {
            return false;
        };
        self.api_key(id).is_some_and(|key| {
            key.scopes.is_some()
                || key.expires_at.is_some()
                || !key.allowed_cidrs().is_empty()
                || key.rate_limit().is_some()
                || key.version() != version
        })
    }

    /// Whether this authority may give away these rights in an organization. What the catalogue
    /// does not have is nobody's to give; [`Directory::check_known`] says so, after all that the
    /// caller may not do.
    ///
    /// # Errors
    /// [`Refusal::BeyondOwnRights`].
    pub(crate) fn check_grantable(
        &self,
        authority: &Authority,
        org: OrgId,
        scopes: &Scopes,
    ) -> Result<(), Refusal> {
        let org = self.known_org(org);
        for scope in scopes {
            let known = org.minimum_role(scope.as_str()).is_some();
            if known && !self.holds(authority, org, scope.as_str()) {
                return Err(Refusal::BeyondOwnRights(scope.clone()));
            }
        }
        Ok(())
    }

    /// Whether an organization's catalogue has all of these scopes.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], which names the first that it does not have.
    pub(crate) fn check_known(&self, org: OrgId, scopes: &Scopes) -> Result<(), Refusal> {
        let org = self.known_org(org);
        let unknown = |scope: &&Scope| org.minimum_role(scope.as_str()).is_none();
        scopes.iter().find(unknown).map_or(Ok(()), unknown_scope)
    }

    /// Whether this authority may make a key with these scopes for this holder.
    ///
    /// # Errors
    /// [`Refusal::BeyondOwnRights`], [`Refusal::UnlimitedFromLimited`].
    pub(crate) fn check_mintable(
        &self,
        authority: &Authority,
        holder: Holder,
        scopes: Option<&Scopes>,
    ) -> Result<(), Refusal> {
        let Some(scopes) = scopes else {
            return if self.is_limited(authority) {
                Err(Refusal::UnlimitedFromLimited)
            } else {
                Ok(())
            };
        };
        match holder {
            Holder::Service { org, .. }
            | Holder::Entitlement { org, .. }
            | Holder::Client { org, .. }
            | Holder::Delegate { org, .. } => self.check_grantable(authority, org, scopes),
            Holder::User { user, .. } => {
                for scope in scopes {
                    let held = |org| self.holds(authority, org, scope.as_str());
                    if self.is_known_to(user, scope) && !self.orgs_of(Actor::User(user)).any(held) {
                        return Err(Refusal::BeyondOwnRights(scope.clone()));
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether a key of this holder can have these scopes at all.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub(crate) fn check_scopes(
        &self,
        holder: Holder,
        scopes: Option<&Scopes>,
    ) -> Result<(), Refusal> {
        if let Holder::Entitlement { org, .. } = holder {
            self.check_read_only(org, scopes)?;
        }
        let Some(scopes) = scopes else {
            return Ok(());
        };
        match holder {
            Holder::Service { org, .. }
            | Holder::Entitlement { org, .. }
            | Holder::Client { org, .. }
            | Holder::Delegate { org, .. } => self.check_known(org, scopes),
            Holder::User { user, .. } => {
                let unknown = |scope: &&Scope| !self.is_known_to(user, scope);
                scopes.iter().find(unknown).map_or(Ok(()), unknown_scope)
            }
        }
    }

    fn is_known_to(&self, user: UserId, scope: &Scope) -> bool {
        self.orgs_of(Actor::User(user))
            .any(|org| org.minimum_role(scope.as_str()).is_some())
    }

    /// The organizations in which an actor may act, in the order of their identifiers.
    pub fn orgs_of(&self, actor: Actor) -> impl Iterator<Item = &Org> {
        self.member_orgs_of(actor).filter(move |org| match actor {
            Actor::User(user) => org.disabled_at(user).is_none(),
            Actor::System | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => true,
        })
    }

    /// Whether this authority has a right, and at least the role of a manager besides.
    ///
    /// # Errors
    /// As [`Directory::require`]; [`Refusal::RoleTooLow`] to those below a manager.
    pub fn require_manager(
        &self,
        authority: &Authority,
        org: OrgId,
        right: &'static str,
    ) -> Result<(), Refusal> {
        self.require(authority, org, right)?;
        let minimum_role = Role::Manager;
        if self.role_of(authority.actor, org) < Some(minimum_role) {
            return Err(Refusal::RoleTooLow {
                right,
                minimum_role,
            });
        }
        Ok(())
    }
}

/// What an authority rests on.
enum Proved<'d> {
    /// A password, a session or the server itself: nothing that has limits of its own.
    Person,
    /// A key.
    Key(&'d ApiKey),
    /// A key that is not there any more.
    Gone,
}

impl Proved<'_> {
    /// A key's own environment; the rest is live.
    fn environment(&self) -> Environment {
        match self {
            Self::Key(key) => key.issued.environment,
            Self::Person | Self::Gone => Environment::Live,
        }
    }

    /// Whether the scopes, if there are any, name a right.
    fn check_names(&self, right: &'static str) -> Result<(), Refusal> {
        let named = match self {
            Self::Person => true,
            Self::Key(key) => key.names(right),
            Self::Gone => false,
        };
        if named {
            Ok(())
        } else {
            Err(Refusal::InsufficientScope(right))
        }
    }

    fn check_not_live_only(&self, right: &str) -> Result<(), Refusal> {
        if self.environment() == Environment::Test && LIVE_ONLY.contains(&right) {
            return Err(Refusal::LiveFromTest);
        }
        Ok(())
    }
}

/// What an actor has in an organization, gathered once for any number of questions.
struct Held<'d> {
    role: Role,
    /// What each of the actor's teams grants.
    granted: Vec<&'d Scopes>,
}

impl Held<'_> {
    /// Whether it includes a right that the catalogue gives to this role and those above.
    fn includes(&self, right: &str, minimum_role: Option<Role>) -> bool {
        minimum_role.is_some_and(|minimum| self.role >= minimum)
            || self.granted.iter().any(|scopes| scopes.contains(right))
    }

    /// The names of all that it includes, sorted.
    fn names<'d>(&self, org: &'d Org) -> Vec<&'d str> {
        let built_in = BUILT_IN
            .iter()
            .map(|entry| (entry.name, entry.minimum_role));
        let added = org
            .scopes
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.minimum_role));
        let mut names = Vec::with_capacity(BUILT_IN.len() + org.scopes.len());
        let included = built_in
            .chain(added)
            .filter(|(name, minimum)| self.includes(name, Some(*minimum)))
            .map(|(name, _)| name);
        names.extend(included);
        if !org.scopes.is_empty() {
            names.sort_unstable();
        }
        names
    }
}

fn scopes_of(names: &[&str]) -> Scopes {
    names
        .iter()
        .map(|name| name.parse::<Scope>().expect("the catalogue holds scopes"))
        .collect()
}

fn unknown_scope(scope: &Scope) -> Result<(), Refusal> {
    let reason = Reason::UnknownScope(scope.clone());
    Err(Refusal::invalid(Field::Scopes, reason))
}
