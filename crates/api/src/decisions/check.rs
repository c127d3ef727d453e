//! Which check failed, what it asked for, and what was lacking.

use core::net::IpAddr;

use keyledger_domain::api_key::Ended;
use keyledger_domain::id::UserId;
use keyledger_domain::loss::Lack;
use keyledger_domain::org::Org;
use keyledger_domain::scope::find_built_in;
use keyledger_domain::{ApiKey, CredentialId, Directory, Refusal, Role, Scope, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::lookup::NoGood;

/// Why somebody is refused, as far as the one who refuses knows it.
#[derive(Clone, Debug)]
pub(crate) enum Denial {
    /// The key that was shown is no good.
    Key {
        /// The public id that it claims to have.
        claimed: Option<CredentialId>,
        /// What is wrong with it.
        why: NoGood,
    },
    /// A key that is good, carried as Basic by whoever it does not belong to.
    Name {
        /// Its public id.
        claimed: Option<CredentialId>,
    },
    /// The password is wrong; the account, if there is one.
    Password(Option<UserId>),
    /// The rules refuse it.
    Refused(Refusal),
}

/// The check that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// Nobody showed anything that we know.
    Unknown,
    /// The key is ours, its secret is not.
    WrongSecret,
    /// The key was revoked.
    Revoked,
    /// The key is switched off, or the person.
    Disabled,
    /// The key's time is over.
    Expired,
    /// The key may not be used from that address.
    IpNotAllowed,
    /// The token is for another server.
    OtherAudience,
    /// The key is not that of the service that was named beside it.
    WrongName,
    /// The password is wrong.
    WrongPassword,
    /// The credential ended while it was being used.
    CredentialEnded,
    /// The credential's scopes do not name the right.
    InsufficientScope,
    /// Role and teams do not give the right.
    RoleTooLow,
    /// The caller gives a scope that they do not hold.
    BeyondOwnRights,
    /// A key with scopes makes or takes one without.
    UnlimitedFromLimited,
    /// What is made would outlive what makes it.
    BeyondOwnLifetime,
    /// What is made would work in an organization in which the key that asks was revoked.
    BeyondOwnOrganizations,
    /// What is made could be used where its maker may not.
    BeyondOwnNetworks,
    /// What is made could be used more often than its maker.
    BeyondOwnRateLimit,
    /// A test credential touches what is live.
    LiveFromTest,
    /// The role that is touched is above the caller's own.
    AboveOwnRole,
    /// A limited credential gives a role above member.
    RoleFromLimited,
    /// Only a person may do it.
    UsersOnly,
    /// Only the password or a session may do it.
    PasswordNeeded,
}

impl Check {
    /// What is wrong, for people.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "Nothing was shown that belongs to anybody.",
            Self::WrongSecret => {
                "There is a key with this id, but what was shown is not its secret."
            }
            Self::Revoked => {
                "The key was revoked, or what held it was deleted; or every organization in which its owner is \
                 active has revoked it for itself."
            }
            Self::Disabled => "The key, or the person behind it, is switched off.",
            Self::Expired => "The key's time is over.",
            Self::OtherAudience => "The token was issued for another server.",
            Self::IpNotAllowed => "The key may not be used from this address.",
            Self::WrongName => "The key does not belong to the service that was named with it.",
            Self::WrongPassword => {
                "The account is there, but this is not its password; or it was not compared, because too many \
                 wrong ones had come under the account's other name."
            }
            Self::CredentialEnded => "The credential ended while the request was under way.",
            Self::InsufficientScope => "The scopes of the credential do not name the right.",
            Self::RoleTooLow => "Neither the role nor a team gives the right.",
            Self::BeyondOwnRights => "Nobody gives a scope that they do not hold themselves.",
            Self::UnlimitedFromLimited => "A key with scopes neither makes nor takes one without.",
            Self::BeyondOwnLifetime => "Nothing outlives the credential that makes it.",
            Self::BeyondOwnOrganizations => {
                "Nothing works in an organization in which the key that makes it was revoked."
            }
            Self::BeyondOwnNetworks => "Nothing is good where the key that makes it is not.",
            Self::BeyondOwnRateLimit => "Nothing is used more often than the key that makes it.",
            Self::LiveFromTest => "A test credential touches only what is in the test environment.",
            Self::AboveOwnRole => "Nobody gives or touches a role above their own.",
            Self::RoleFromLimited => "A limited credential gives no role above member.",
            Self::UsersOnly => "Only a person may do this.",
            Self::PasswordNeeded => "Only the account's password or a session may do this.",
        }
    }
}

/// How it stood with the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It was good.
    Good,
    /// It was revoked.
    Revoked,
    /// It was switched off.
    Disabled,
    /// Its time was over.
    Expired,
}

impl Standing {
    pub(super) fn of(directory: &Directory, key: &ApiKey, now: Timestamp) -> Self {
        match directory.standing_of(key, now) {
            Ok(()) => Self::Good,
            Err(Ended::Revoked) => Self::Revoked,
            Err(Ended::Disabled) => Self::Disabled,
            Err(Ended::Expired) => Self::Expired,
        }
    }
}

/// What failed, what it asked for, and what to look for in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) check: Check,
    /// The right that was needed.
    pub(crate) right: Option<Scope>,
    /// The lowest role that would have done.
    pub(crate) minimum_role: Option<Role>,
    /// What an event may have taken away.
    pub(crate) lack: Option<Lack>,
}

impl From<Check> for Failed {
    fn from(check: Check) -> Self {
        Self {
            check,
            right: None,
            minimum_role: None,
            lack: None,
        }
    }
}

impl Failed {
    fn lacking(check: Check, lack: Lack) -> Self {
        Self {
            lack: Some(lack),
            ..check.into()
        }
    }

    fn scope(check: Check, right: Scope) -> Self {
        Self {
            right: Some(right.clone()),
            ..Self::lacking(check, Lack::Scope(right))
        }
    }

    fn right(check: Check, right: Scope, minimum_role: Role) -> Self {
        let lack = Lack::Right {
            right: right.clone(),
            minimum_role,
        };
        Self {
            right: Some(right),
            minimum_role: Some(minimum_role),
            ..Self::lacking(check, lack)
        }
    }

    /// A key that is no good, at this time and from this address.
    pub(super) fn key(key: &ApiKey, why: NoGood, now: Timestamp, source: Option<IpAddr>) -> Self {
        match why {
            NoGood::NotFound => Self::lacking(Check::WrongSecret, Lack::Secret),
            // Not the key itself: each organization in which it could work has barred it.
            NoGood::Ended(Ended::Revoked) if key.revoked_at().is_none() => {
                Self::lacking(Check::Revoked, Lack::Unbarred)
            }
            NoGood::Ended(Ended::Revoked) => Self::lacking(Check::Revoked, Lack::Unrevoked),
            // The key itself is on: the person behind it is off.
            NoGood::Ended(Ended::Disabled) if key.disabled_at().is_none() => Self::person_off(),
            NoGood::Ended(Ended::Disabled) => Self::lacking(Check::Disabled, Lack::Enabled),
            NoGood::Ended(Ended::Expired) => Self::lacking(Check::Expired, Lack::Unexpired(now)),
            NoGood::IpNotAllowed => Self::lacking(Check::IpNotAllowed, Lack::Network(source)),
            NoGood::OtherAudience => Check::OtherAudience.into(),
        }
    }

    /// A person who is switched off everywhere.
    pub(super) fn person_off() -> Self {
        Self::lacking(Check::Disabled, Lack::Active)
    }

    /// A wrong password.
    pub(super) fn password() -> Self {
        Self::lacking(Check::WrongPassword, Lack::Password)
    }

    /// What the rules refuse to somebody with this key, whose `old_secret` has its grace, in this
    /// organization.
    pub(super) fn rule(
        refusal: &Refusal,
        key: Option<&ApiKey>,
        old_secret: bool,
        org: Option<&Org>,
    ) -> Self {
        // A secret in its grace is held to the limits that its rotation gave it.
        let unless_old = |lack| if old_secret { Lack::Secret } else { lack };
        match refusal {
            Refusal::CredentialEnded => Check::CredentialEnded.into(),
            Refusal::InsufficientScope(right) => match right.parse() {
                Ok(right) => Self::scope(Check::InsufficientScope, right),
                Err(_) => Check::InsufficientScope.into(),
            },
            Refusal::RoleTooLow {
                right,
                minimum_role,
            } => match right.parse() {
                Ok(right) => Self::right(Check::RoleTooLow, right, *minimum_role),
                Err(_) => Check::RoleTooLow.into(),
            },
            Refusal::BeyondOwnRights(scope) => {
                if key.is_some_and(|key| !key.names(scope.as_str())) {
                    return Self::scope(Check::BeyondOwnRights, scope.clone());
                }
                let by_org = org.and_then(|org| org.minimum_role(scope.as_str()));
                let built_in = || find_built_in(scope.as_str()).map(|entry| entry.minimum_role);
                let minimum_role = by_org.or_else(built_in).unwrap_or(Role::Owner);
                Self::right(Check::BeyondOwnRights, scope.clone(), minimum_role)
            }
            Refusal::UnlimitedFromLimited => {
                Self::lacking(Check::UnlimitedFromLimited, Lack::NoScopes)
            }
            Refusal::BeyondOwnLifetime => {
                Self::lacking(Check::BeyondOwnLifetime, unless_old(Lack::NoEnd))
            }
            Refusal::BeyondOwnOrganizations => {
                Self::lacking(Check::BeyondOwnOrganizations, Lack::Unbarred)
            }
            Refusal::BeyondOwnNetworks => Self::lacking(Check::BeyondOwnNetworks, Lack::NoNetworks),
            Refusal::BeyondOwnRateLimit => {
                Self::lacking(Check::BeyondOwnRateLimit, Lack::NoRateLimit)
            }
            Refusal::LiveFromTest => Self::lacking(Check::LiveFromTest, Lack::Live),
            Refusal::AboveOwnRole(role) => Self {
                minimum_role: Some(*role),
                ..Self::lacking(Check::AboveOwnRole, Lack::Role(*role))
            },
            Refusal::RoleFromLimited => {
                Self::lacking(Check::RoleFromLimited, unless_old(Lack::NoLimits))
            }
            Refusal::UsersOnly => Self::lacking(Check::UsersOnly, Lack::Person),
            Refusal::PasswordNeeded => Check::PasswordNeeded.into(),
            // None of these is a 401 or a 403.
            Refusal::Unknown(_)
            | Refusal::Invalid { .. }
            | Refusal::Taken(_)
            | Refusal::TooManyOrganizations
            | Refusal::TooManyInvitations
            | Refusal::AlreadyMember
            | Refusal::AlreadyRegistered
            | Refusal::LastOwner
            | Refusal::AlreadySetUp
            | Refusal::RotationUnderWay
            | Refusal::RotatedMeanwhile
            | Refusal::MemberNotDisabled
            | Refusal::KeyWorksElsewhere
            | Refusal::OtherCount(_)
            | Refusal::TooLateToUndo
            | Refusal::PublicClient
            // The token endpoint tells these in its own words.
            | Refusal::ClientsOnly
            | Refusal::GrantTypeNotAllowed
            | Refusal::ScopeNotAllowed(_)
            | Refusal::ResourceNotAllowed
            | Refusal::RedirectUriNotAllowed
            | Refusal::InvalidGrant
            | Refusal::TooManySigningKeys
            | Refusal::MemberElsewhere
            | Refusal::NoRotationToUndo => Check::Unknown.into(),
        }
    }
}
