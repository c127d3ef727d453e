//! The one table of the types of records. A number is given once and never to another type, not even
//! after its type is gone; a revision is never edited once it is published.

use keyledger_domain::{Actor, Event};

use crate::record::EncodeError;
use crate::record::form::{self, Fault, Newest, Open, Revision, Seal};

/// Each row: the number, the event, and the stored struct of each revision, the newest first.
macro_rules! table {
    ($(
        $number:literal $event:ident
        [$newest:path = $newest_revision:literal $(, $older:path = $older_revision:literal)*]
    );+ $(;)?) => {
        /// The number and the newest revision of an event's type: what is written.
        pub(crate) const fn newest_of(event: &Event) -> (u16, u8) {
            match event {
                $(Event::$event(_) => ($number, $newest_revision)),+
            }
        }

        /// The name of a type.
        pub(crate) const fn name_of(number: u16) -> Option<&'static str> {
            match number {
                $($number => Some(stringify!($event)),)+
                _ => None,
            }
        }

        /// Puts the body of the newest revision behind other bytes.
        pub(crate) fn append_body(
            event: &Event,
            actor: Actor,
            seal: &mut dyn Seal,
            bytes: &mut Vec<u8>,
        ) -> Result<(), EncodeError> {
            match event {
                $(Event::$event(event) => {
                    form::append(&<$newest as Newest>::store(event, actor, seal)?, bytes)
                })+
            }
        }

        /// Reads the body of any revision.
        pub(crate) fn restore(
            number: u16,
            revision: u8,
            body: &[u8],
            actor: Actor,
            open: &mut dyn Open,
        ) -> Result<Event, Fault> {
            match (number, revision) {
                $(
                    ($number, $newest_revision) => {
                        form::whole::<$newest>(body)?.restore(actor, open).map(Event::$event)
                    }
                    $(($number, $older_revision) => {
                        form::whole::<$older>(body)?.restore(actor, open).map(Event::$event)
                    })*
                )+
                _ => Err(Fault::UnknownRevision(number, revision)),
            }
        }

        /// Number, revision, event and declaration of all there are.
        #[cfg(test)]
        pub(crate) const ALL: &[(u16, u8, &str, &str)] = &[
            $(
                ($number, $newest_revision, stringify!($event), <$newest as form::Form>::SHAPE),
                $(($number, $older_revision, stringify!($event), <$older as form::Form>::SHAPE),)*
            )+
        ];

        /// The stored struct, decoded and encoded again.
        #[cfg(test)]
        pub(crate) fn again(number: u16, revision: u8, body: &[u8]) -> Result<Vec<u8>, Fault> {
            let mut bytes = Vec::new();
            match (number, revision) {
                $(
                    ($number, $newest_revision) => {
                        form::append(&form::whole::<$newest>(body)?, &mut bytes)
                    }
                    $(($number, $older_revision) => {
                        form::append(&form::whole::<$older>(body)?, &mut bytes)
                    })*
                )+
                _ => return Err(Fault::UnknownRevision(number, revision)),
            }
            .expect("what was decoded is encoded");
            Ok(bytes)
        }
    };
}

use crate::record::{access, keys, members, oauth, orgs, services, signing};

table! {
    1 OrgCreated [orgs::OrgCreatedV1 = 1];
    2 ScopeAdded [orgs::ScopeAddedV1 = 1];
    3 PasswordChanged [access::PasswordChangedV1 = 1];
    4 MemberAdded [members::MemberAddedV1 = 1];
    5 MemberInvited [members::MemberInvitedV1 = 1];
    6 InvitationAccepted [members::InvitationAcceptedV1 = 1];
    7 InvitationRevoked [members::InvitationRevokedV1 = 1];
    8 MemberRoleChanged [members::MemberRoleChangedV1 = 1];
    9 MemberRemoved [members::MemberRemovedV1 = 1];
    10 TeamCreated [orgs::TeamCreatedV1 = 1];
    11 TeamChanged [orgs::TeamChangedV1 = 1];
    12 TeamDeleted [orgs::TeamDeletedV1 = 1];
    13 TeamMemberAdded [orgs::TeamMemberAddedV1 = 1];
    14 TeamMemberRemoved [orgs::TeamMemberRemovedV1 = 1];
    15 ServiceCreated [services::ServiceCreatedV2 = 2, services::ServiceCreatedV1 = 1];
    16 ServiceChanged [services::ServiceChangedV1 = 1];
    17 ServiceDeleted [services::ServiceDeletedV1 = 1];
    18 UserKeyCreated [keys::UserKeyCreatedV2 = 2, keys::UserKeyCreatedV1 = 1];
    19 UserKeyRenamed [keys::UserKeyRenamedV1 = 1];
    20 UserKeyRevoked [keys::UserKeyRevokedV1 = 1];
    21 EntitlementCreated [services::EntitlementCreatedV2 = 2, services::EntitlementCreatedV1 = 1];
    22 EntitlementRevoked [services::EntitlementRevokedV1 = 1];
    23 ApiKeyRotated [keys::ApiKeyRotatedV1 = 1];
    24 ApiKeyRotationUndone [keys::ApiKeyRotationUndoneV1 = 1];
    25 ApiKeyActivated [keys::ApiKeyActivatedV1 = 1];
    26 ApiKeyDisabled [keys::ApiKeyDisabledV2 = 2, keys::ApiKeyDisabledV1 = 1];
    27 ApiKeyEnabled [keys::ApiKeyEnabledV1 = 1];
    28 ApiKeyRestricted [keys::ApiKeyRestrictedV2 = 2, keys::ApiKeyRestrictedV1 = 1];
    29 ApiKeyRevealed [keys::ApiKeyRevealedV1 = 1];
    30 SessionStarted [access::SessionStartedV1 = 1];
    31 SessionEnded [access::SessionEndedV1 = 1];
    32 OrgLimitsChanged [orgs::OrgLimitsChangedV1 = 1];
    33 EntitlementCreditsChanged [services::EntitlementCreditsChangedV1 = 1];
    34 ApiKeyFirstUsed [keys::ApiKeyFirstUsedV1 = 1];
    35 ApiKeyNetworkFirstSeen [keys::ApiKeyNetworkFirstSeenV1 = 1];
    36 OrgPolicyChanged [orgs::OrgPolicyChangedV1 = 1];
    37 ApiKeysRevoked [keys::ApiKeysRevokedV2 = 2, keys::ApiKeysRevokedV1 = 1];
    38 ApiKeysRevocationUndone [
        keys::ApiKeysRevocationUndoneV2 = 2,
        keys::ApiKeysRevocationUndoneV1 = 1
    ];
    39 MemberDisabled [members::MemberDisabledV1 = 1];
    40 MemberEnabled [members::MemberEnabledV1 = 1];
    41 UserKeyHandedOver [services::UserKeyHandedOverV1 = 1];
    42 ClientRegistered [oauth::ClientRegisteredV1 = 1];
    43 ClientChanged [oauth::ClientChangedV1 = 1];
    44 ClientDeleted [oauth::ClientDeletedV1 = 1];
    45 ClientDisabled [oauth::ClientDisabledV1 = 1];
    46 ClientEnabled [oauth::ClientEnabledV1 = 1];
    47 ClientSecretRotated [oauth::ClientSecretRotatedV1 = 1];
    48 AuthorizationCodeIssued [oauth::AuthorizationCodeIssuedV1 = 1];
    49 AuthorizationCodeRedeemed [oauth::AuthorizationCodeRedeemedV1 = 1];
    50 ClientTokenIssued [oauth::ClientTokenIssuedV1 = 1];
    51 TokensRefreshed [oauth::TokensRefreshedV1 = 1];
    52 TokenFamilyRevoked [oauth::TokenFamilyRevokedV1 = 1];
    53 AccessTokenRevoked [oauth::AccessTokenRevokedV1 = 1];
    54 ConsentRevoked [oauth::ConsentRevokedV1 = 1];
    56 AllSessionsEnded [access::AllSessionsEndedV1 = 1];
    57 SigningKeyCreated [signing::SigningKeyCreatedV1 = 1];
    58 SigningKeyRetired [signing::SigningKeyRetiredV1 = 1];
    59 AuditLogRead [orgs::AuditLogReadV1 = 1];
    60 PersonErased [access::PersonErasedV1 = 1];
}
