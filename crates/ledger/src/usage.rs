//! What is known of how a key is used: plain numbers and the last use, for those who count and those
//! who store. Nothing here is in the ledger, and nothing here decides whether a key is good.

use core::net::IpAddr;
use core::ops::AddAssign;

use keyledger_domain::{Actor, Timestamp};

/// How many kinds of [`Outcome`] there are.
pub const OUTCOMES: usize = 11;

/// How one showing of a key ended. The order is that of the stored counts: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Verified, and good for all that was asked.
    Valid,
    /// Its time was over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was switched off.
    Disabled,
    /// Verified, and it lacked a scope that was asked for.
    InsufficientScope,
    /// It was shown from an address that it may not be used from.
    IpNotAllowed,
    /// Verified, and it was used too often, or its credits were spent.
    RateLimited,
    /// Shown to our own API and let in.
    Accepted,
    /// Shown to our own API, which refused what was asked with 403.
    Forbidden,
    /// Shown to our own API, which refused it with 429.
    Throttled,
    /// Its public id with another secret. Never a use of the key.
    WrongSecret,
}

impl Outcome {
    /// All of them, in the order of the counts.
    pub const ALL: [Self; OUTCOMES] = [
        Self::Valid,
        Self::Expired,
        Self::Revoked,
        Self::Disabled,
        Self::InsufficientScope,
        Self::IpNotAllowed,
        Self::RateLimited,
        Self::Accepted,
        Self::Forbidden,
        Self::Throttled,
        Self::WrongSecret,
    ];

    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::InsufficientScope => "insufficient_scope",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::Accepted => "accepted",
            Self::Forbidden => "forbidden",
            Self::Throttled => "throttled",
            Self::WrongSecret => "wrong_secret",
        }
    }

    /// Whether somebody used the key: its right secret was shown, from where it may be, while it was
    /// good. A refusal for want of a scope is a use, and so is one too many.
    pub const fn is_use(self) -> bool {
        match self {
            Self::Valid
            | Self::InsufficientScope
            | Self::RateLimited
            | Self::Accepted
            | Self::Forbidden
            | Self::Throttled => true,
            Self::Expired
            | Self::Revoked
            | Self::Disabled
            | Self::IpNotAllowed
            | Self::WrongSecret => false,
        }
    }
}

/// How often each [`Outcome`] came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; OUTCOMES]);

impl Counts {
    /// The counts in the order of [`Outcome::ALL`].
    pub const fn from_array(counts: [u64; OUTCOMES]) -> Self {
        Self(counts)
    }

    /// One more, and never around the end.
    pub const fn add(&mut self, outcome: Outcome) {
        let count = &mut self.0[outcome as usize];
        *count = count.saturating_add(1);
    }

    /// How often this one came.
    pub const fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// Each outcome and how often it came.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.0)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count = count.saturating_add(more);
        }
    }
}

/// Who showed a key to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// An API that was shown the key and asked us whether it is good.
    Asker(Actor),
    /// The holder, at our own API; what their client calls itself.
    Agent(Box<str>),
}

/// The last use of a key. The source is personal data: it is stored sealed, and not for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// From where, if it was told.
    pub source: Option<IpAddr>,
    /// By whom.
    pub client: Option<UsedBy>,
}

/// Which scopes a key was ever used for: what it could be narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopesUsed {
    /// The names, sorted. At most so many of an organisation's own as
    /// [`ADDED_SCOPES_MAX`].
    pub names: Vec<Box<str>>,
    /// Whether it was ever found good without being asked for any scope: then what it was needed for
    /// is not known, and narrowing it is a guess.
    pub unasked: bool,
    /// Whether there were more scopes of the organisation's own than are kept.
    pub overflowed: bool,
}

/// The most scopes of an organisation's own catalogue that are remembered of a key.
pub const ADDED_SCOPES_MAX: usize = 16;

/// The start of the hour, in hours since 1970, that an instant lies in.
pub fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.seconds().div_euclid(3_600)).unwrap_or_default()
}
