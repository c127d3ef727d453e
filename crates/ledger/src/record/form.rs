//! How a stored struct is declared, brought to bytes and read back.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};
use keyledger_domain::Actor;
use keyledger_domain::id::PersonId;
use zeroize::Zeroizing;

use crate::person_keys::PersonKeyError;
use crate::record::EncodeError;
use crate::vault::UnsealError;

/// Without the limit a damaged length would have the process ask for all the memory there is.
const CONFIG: Configuration<LittleEndian, Varint, Limit<65_536>> =
    bincode::config::standard().with_limit::<65_536>();

/// A commitment as it is stored; see [`Commitment`](crate::vault::Commitment).
pub(crate) type CommitmentBytes = [u8; 32];

/// A stored struct: one type in one revision, or a part of one. Once published it is never edited.
pub(crate) trait Form: Encode + Decode<()> {
    /// Its declaration as text, which the golden files hold fast.
    #[cfg(test)]
    const SHAPE: &'static str;
}

/// Declares a [`Form`]: the struct, its codec, and its declaration as text.
macro_rules! form {
    ($(#[$meta:meta])* struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(bincode::Encode, bincode::Decode)]
        pub(crate) struct $name { $($body)* }

        impl $crate::record::form::Form for $name {
            #[cfg(test)]
            const SHAPE: &'static str = stringify!(struct { $($body)* });
        }
    };
    // The derive stands where the enum is declared: written here, its names could not be resolved.
    ($(#[$meta:meta])* enum $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        pub(crate) enum $name { $($body)* }

        impl $crate::record::form::Form for $name {
            #[cfg(test)]
            const SHAPE: &'static str = stringify!(enum { $($body)* });
        }
    };
}
pub(crate) use form;

/// Why stored bytes cannot be read, before the position is added.
#[derive(Debug)]
pub(crate) enum Fault {
    UnknownType(u16),
    UnknownRevision(u16, u8),
    Malformed,
    PersonalMissing(PersonId),
    PersonalDamaged(PersonId, UnsealError),
    PersonalLeftOver,
    PersonKeyMissing(PersonId),
    PersonKey(PersonKeyError),
}

/// Takes personal values out of a record on its way to the store, in the order of the fields.
pub(crate) trait Seal {
    /// Commits to a value and keeps it beside the record; `None` for one that was erased.
    fn seal(
        &mut self,
        person: PersonId,
        value: Option<&[u8]>,
    ) -> Result<CommitmentBytes, EncodeError>;
}

/// Gives them back, in the same order.
pub(crate) trait Open {
    /// The value behind a commitment, `None` if its person was erased.
    fn open(
        &mut self,
        person: PersonId,
        commitment: &CommitmentBytes,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fault>;
}

/// One revision of a type: how it becomes an event of today. Older revisions become the next one
/// first, so that each has to know its successor only.
pub(crate) trait Revision: Form {
    /// The event of the domain.
    type Event;

    /// Reads it; an older revision goes through its successor's `restore`.
    fn restore(self, actor: Actor, open: &mut dyn Open) -> Result<Self::Event, Fault>;
}

/// The newest revision of a type: the one that is written.
pub(crate) trait Newest: Revision + Sized {
    /// Stores the event.
    fn store(event: &Self::Event, actor: Actor, seal: &mut dyn Seal) -> Result<Self, EncodeError>;
}

/// Puts the bytes of a form behind others.
pub(crate) fn append<T: Form>(form: &T, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
    bincode::encode_into_std_write(form, bytes, CONFIG)?;
    Ok(())
}

/// Reads a form from the front, and gives what is behind it.
pub(crate) fn take<T: Form>(bytes: &[u8]) -> Result<(T, &[u8]), Fault> {
    let (form, used) = bincode::decode_from_slice(bytes, CONFIG).map_err(|_| Fault::Malformed)?;
    Ok((form, bytes.get(used..).ok_or(Fault::Malformed)?))
}

/// Reads a form that must be all there is.
pub(crate) fn whole<T: Form>(bytes: &[u8]) -> Result<T, Fault> {
    match take(bytes)? {
        (form, []) => Ok(form),
        (_, [..]) => Err(Fault::Malformed),
    }
}

/// Declares the first revision of an event whose fields have the names that they have in the domain,
/// each stored by its [`Part`](crate::record::part::Part), and behind them those that are personal.
///
/// When the domain's event changes, this revision is written out by hand, as it is.
macro_rules! event {
    ($event:ident as $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $crate::record::form::form! {
            struct $name { $(pub(crate) $field: $type),* }
        }

        impl $crate::record::form::Revision for $name {
            type Event = $event;

            fn restore(
                self,
                _: keyledger_domain::Actor,
                _: &mut dyn $crate::record::form::Open,
            ) -> Result<$event, $crate::record::form::Fault> {
                Ok($event { $($field: $crate::record::part::Part::give(self.$field)?),* })
            }
        }

        impl $crate::record::form::Newest for $name {
            fn store(
                event: &$event,
                _: keyledger_domain::Actor,
                _: &mut dyn $crate::record::form::Seal,
            ) -> Result<Self, $crate::record::EncodeError> {
                Ok(Self { $($field: $crate::record::part::Part::keep(&event.$field)),* })
            }
        }
    };
    (
        $event:ident as $name:ident { $($field:ident: $type:ty),* $(,)? }
        personal of $person:ident { $($personal:ident: $personal_type:ty),* $(,)? }
    ) => {
        $crate::record::form::event! {
            @personal $event as $name { $($field: $type),* }
            ($person, event, actor) (event.$person)
            { $($personal: $personal_type),* }
        }
    };
    (
        $event:ident as $name:ident { $($field:ident: $type:ty),* $(,)? }
        personal of the actor { $($personal:ident: $personal_type:ty),* $(,)? }
    ) => {
        $crate::record::form::event! {
            @personal $event as $name { $($field: $type),* }
            (actor, event, actor) (actor.person())
            { $($personal: $personal_type),* }
        }
    };
    (
        @personal $event:ident as $name:ident { $($field:ident: $type:ty),* }
        ($person:ident, $event_value:ident, $actor:ident) ($stored_person:expr)
        { $($personal:ident: $personal_type:ty),* }
    ) => {
        $crate::record::form::form! {
            struct $name {
                $(pub(crate) $field: $type,)*
                $(pub(crate) $personal: $personal_type),*
            }
        }

        impl $crate::record::form::Revision for $name {
            type Event = $event;

            fn restore(
                self,
                $actor: keyledger_domain::Actor,
                open: &mut dyn $crate::record::form::Open,
            ) -> Result<$event, $crate::record::form::Fault> {
                use $crate::record::part::{Part, PersonalPart, Whose};
                let _ = $actor;
                $(let $field = Part::give(self.$field)?;)*
                let person = Whose::person(&$person);
                $(let $personal = PersonalPart::give(self.$personal, person, open)?;)*
                Ok($event { $($field,)* $($personal),* })
            }
        }

        impl $crate::record::form::Newest for $name {
            fn store(
                $event_value: &$event,
                $actor: keyledger_domain::Actor,
                seal: &mut dyn $crate::record::form::Seal,
            ) -> Result<Self, $crate::record::EncodeError> {
                use $crate::record::part::{Part, PersonalPart, Whose};
                let _ = $actor;
                let person = Whose::person(&$stored_person);
                Ok(Self {
                    $($field: Part::keep(&$event_value.$field),)*
                    $($personal: PersonalPart::keep(&$event_value.$personal, person, seal)?),*
                })
            }
        }
    };
}
pub(crate) use event;
