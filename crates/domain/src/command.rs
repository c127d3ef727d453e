//! Everything that can be asked for, and the one place where it is decided.

use crate::access_token::{IssueClientToken, RevokeAccessToken};
use crate::actor::Authority;
use crate::api_key::{
    ActivateApiKey, RestrictApiKey, RevealApiKey, RotateApiKey, SwitchApiKey, UndoApiKeyRotation,
};
use crate::audit_read::NoteAuditLogRead;
use crate::authorization_code::{IssueAuthorizationCode, RedeemAuthorizationCode};
use crate::client::{ChangeClient, DeleteClient, RegisterClient, RotateClientSecret, SwitchClient};
use crate::consent::RevokeConsent;
use crate::credits::ChangeCredits;
use crate::directory::Directory;
use crate::entitlement::{CreateEntitlement, RevokeEntitlement};
use crate::erasure::ErasePerson;
use crate::event::Event;
use crate::key_use::NoteApiKeyUse;
use crate::member::{
    AcceptInvitation, AddMember, ChangeMemberRole, InviteMember, RemoveMember, RevokeInvitation,
};
use crate::offboarding::{DisableMember, EnableMember, HandOverUserKey};
use crate::org::{AddScope, CreateOrg, SetUp};
use crate::policy::{ChangeOrgPolicy, DisableIdleApiKey};
use crate::rate_limit::ChangeOrgLimits;
use crate::refusal::Refusal;
use crate::revocation::{RevokeApiKeys, UndoRevocation};
use crate::service::{ChangeService, CreateService, DeleteService};
use crate::session::{EndAllSessions, EndSession, StartSession};
use crate::signing::{CreateSigningKey, RetireSigningKey};
use crate::team::{ChangeTeam, CreateTeam, DeleteTeam, PlaceInTeam};
use crate::time::Timestamp;
use crate::token_family::{RefreshTokens, RevokeTokenFamily};
use crate::user::ChangePassword;
use crate::user_key::{CreateUserKey, RenameUserKey, RevokeUserKey};

/// Declares [`Command`] and the conversion from each kind of it.
macro_rules! commands {
    ($($variant:ident),+ $(,)?) => {
        /// What is asked for. It holds digests, identifiers and checked words; never a secret.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] $variant($variant)),+
        }

        $(impl From<$variant> for Command {
            fn from(command: $variant) -> Self {
                Self::$variant(command)
            }
        })+
    };
}

commands! {
    SetUp,
    CreateOrg,
    AddScope,
    ChangePassword,
    AddMember,
    InviteMember,
    AcceptInvitation,
    RevokeInvitation,
    ChangeMemberRole,
    RemoveMember,
    CreateTeam,
    ChangeTeam,
    DeleteTeam,
    PlaceInTeam,
    CreateService,
    ChangeService,
    DeleteService,
    CreateUserKey,
    RenameUserKey,
    RevokeUserKey,
    CreateEntitlement,
    RevokeEntitlement,
    RotateApiKey,
    UndoApiKeyRotation,
    ActivateApiKey,
    SwitchApiKey,
    RestrictApiKey,
    RevealApiKey,
    StartSession,
    EndSession,
    NoteApiKeyUse,
    ChangeOrgLimits,
    ChangeCredits,
    ChangeOrgPolicy,
    DisableIdleApiKey,
    RevokeApiKeys,
    UndoRevocation,
    DisableMember,
    EnableMember,
    HandOverUserKey,
    RegisterClient,
    ChangeClient,
    DeleteClient,
    SwitchClient,
    RotateClientSecret,
    IssueAuthorizationCode,
    RedeemAuthorizationCode,
    IssueClientToken,
    RefreshTokens,
    RevokeTokenFamily,
    RevokeAccessToken,
    RevokeConsent,
    CreateSigningKey,
    RetireSigningKey,
    EndAllSessions,
    ErasePerson,
    NoteAuditLogRead,
}

/// Decides a command: what happens, nothing because it is so already, or why not.
///
/// Pure and total: time, identifiers and digests come in with the command, so the same question
/// has the same answer for ever, and no command makes it panic.
///
/// A clock that was set back revives nothing: no decision is made at a time before the last record.
///
/// # Errors
/// The first [`Refusal`] that applies, by its kind: the caller's own standing (401), what they may
/// not know of (404), may not do (403), said wrongly (422), and what stands in the way (409).
pub fn decide(
    directory: &Directory,
    authority: &Authority,
    command: Command,
    now: Timestamp,
) -> Result<Option<Event>, Refusal> {
    let now = now.max(directory.at());
    directory.check_standing(authority, now)?;
    match command {
        Command::SetUp(c) => directory.decide_set_up(c),
        Command::CreateOrg(c) => directory.decide_create_org(authority, c),
        Command::AddScope(c) => directory.decide_add_scope(authority, c),
        Command::ChangePassword(c) => directory.decide_change_password(authority, c),
        Command::AddMember(c) => directory.decide_add_member(authority, c),
        Command::InviteMember(c) => directory.decide_invite_member(authority, c, now),
        Command::AcceptInvitation(c) => directory.decide_accept_invitation(authority, c, now),
        Command::RevokeInvitation(c) => directory.decide_revoke_invitation(authority, c),
        Command::ChangeMemberRole(c) => directory.decide_change_member_role(authority, c),
        Command::RemoveMember(c) => directory.decide_remove_member(authority, c),
        Command::CreateTeam(c) => directory.decide_create_team(authority, c),
        Command::ChangeTeam(c) => directory.decide_change_team(authority, c),
        Command::DeleteTeam(c) => directory.decide_delete_team(authority, &c),
        Command::PlaceInTeam(c) => directory.decide_place_in_team(authority, &c),
        Command::CreateService(c) => directory.decide_create_service(authority, c, now),
        Command::ChangeService(c) => directory.decide_change_service(authority, c),
        Command::DeleteService(c) => directory.decide_delete_service(authority, &c),
        Command::CreateUserKey(c) => directory.decide_create_user_key(authority, c, now),
        Command::RenameUserKey(c) => directory.decide_rename_user_key(authority, c),
        Command::RevokeUserKey(c) => directory.decide_revoke_user_key(authority, c),
        Command::CreateEntitlement(c) => directory.decide_create_entitlement(authority, c, now),
        Command::RevokeEntitlement(c) => directory.decide_revoke_entitlement(authority, c),
        Command::RotateApiKey(c) => directory.decide_rotate_api_key(authority, c, now),
        Command::UndoApiKeyRotation(c) => directory.decide_undo_api_key_rotation(authority, c),
        Command::ActivateApiKey(c) => directory.decide_activate_api_key(c, now),
        Command::SwitchApiKey(c) => directory.decide_switch_api_key(authority, c),
        Command::RestrictApiKey(c) => directory.decide_restrict_api_key(authority, c, now),
        Command::RevealApiKey(c) => directory.decide_reveal_api_key(authority, c),
        Command::StartSession(c) => directory.decide_start_session(authority, c, now),
        Command::EndSession(c) => directory.decide_end_session(authority, c),
        Command::NoteApiKeyUse(c) => directory.decide_note_api_key_use(authority, c),
        Command::ChangeOrgLimits(c) => directory.decide_change_org_limits(authority, c),
        Command::ChangeCredits(c) => directory.decide_change_credits(authority, c),
        Command::ChangeOrgPolicy(c) => directory.decide_change_org_policy(authority, c),
        Command::DisableIdleApiKey(c) => directory.decide_disable_idle_api_key(authority, c, now),
        Command::RevokeApiKeys(c) => directory.decide_revoke_api_keys(authority, c),
        Command::UndoRevocation(c) => directory.decide_undo_revocation(authority, c, now),
        Command::DisableMember(c) => directory.decide_disable_member(authority, c),
        Command::EnableMember(c) => directory.decide_enable_member(authority, c),
        Command::HandOverUserKey(c) => directory.decide_hand_over_user_key(authority, c),
        Command::RegisterClient(c) => directory.decide_register_client(authority, c),
        Command::ChangeClient(c) => directory.decide_change_client(authority, c),
        Command::DeleteClient(c) => directory.decide_delete_client(authority, c),
        Command::SwitchClient(c) => directory.decide_switch_client(authority, c),
        Command::RotateClientSecret(c) => directory.decide_rotate_client_secret(authority, c, now),
        Command::IssueAuthorizationCode(c) => {
            directory.decide_issue_authorization_code(authority, c)
        }
        Command::RedeemAuthorizationCode(c) => {
            directory.decide_redeem_authorization_code(authority, c, now)
        }
        Command::IssueClientToken(c) => directory.decide_issue_client_token(authority, c, now),
        Command::RefreshTokens(c) => directory.decide_refresh_tokens(authority, c, now),
        Command::RevokeTokenFamily(c) => directory.decide_revoke_token_family(authority, c),
        Command::RevokeAccessToken(c) => directory.decide_revoke_access_token(authority, c),
        Command::RevokeConsent(c) => directory.decide_revoke_consent(authority, c),
        Command::CreateSigningKey(c) => directory.decide_create_signing_key(authority, c, now),
        Command::RetireSigningKey(c) => directory.decide_retire_signing_key(authority, c, now),
        Command::EndAllSessions(_) => directory.decide_end_all_sessions(authority),
        Command::ErasePerson(c) => directory.decide_erase_person(authority, &c),
        Command::NoteAuditLogRead(c) => directory.decide_note_audit_log_read(authority, c, now),
    }
}
