//! `/v1/log`: the ledger as a transparency log, for verifiers that nobody here wrote (C2SP tlog-tiles,
//! tlog-checkpoint, tlog-proof).
//!
//! Tiles and proofs hold hashes, which tell nothing of what was recorded: whoever reads an audit log reads
//! them. The records of all organizations, as entry bundles, are for the operator's auditors.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use keyledger_domain::scope::built_in;
use keyledger_domain::{Position, Role};
use keyledger_ledger::NotPublished;
use keyledger_ledger::tree::{TILE_HASHES, TreeError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::events::{read_records, require_event, unreadable};
use crate::usage::passage;

/// A tile never changes; whoever may read it may keep it.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// The levels that 2^63 records have (C2SP tlog-tiles).
const LEVELS_MAX: usize = 8;

/// What a verifier must know of the log.
#[derive(Serialize, ToSchema)]
pub struct LogView {
    /// Its name, which stands first in each checkpoint.
    #[schema(example = "keys.example.com/v1/log")]
    origin: String,
    /// The key that verifies its checkpoints (C2SP signed-note). Keep it, and compare it with what
    /// `keyledger audit key` prints on the server.
    #[schema(example = "keys.example.com/v1/log+0f6c3ad1+AQECAwQFBgcICQoLDA…")]
    verifier_key: String,
    /// How many records the last checkpoint has.
    size: u64,
    /// The Merkle root over them, in base64.
    root: String,
    /// The last checkpoint: a signed note.
    checkpoint: String,
    /// The last record that was sealed in a segment.
    sealed: u64,
    /// The last record that was moved away from this server.
    archived: u64,
}

impl App {
    fn require_log(&self, caller: &Caller) -> Result<(), Problem> {
        passage::required(built_in::AUDIT_READ);
        Ok(self
            .directory()
            .require_anywhere(caller.authority(), built_in::AUDIT_READ)?)
    }
}

/// Read what a verifier must know of the log: its name, its key, and where it stands.
///
/// # Errors
/// 401, 403 without audit:read, 503 when no checkpoint can be signed.
#[utoipa::path(get, path = "/v1/log", tag = "log",
    responses(
        (status = 200, body = LogView, description = "The log."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 503, body = ProblemBody, description = "No checkpoint can be signed until the next start.")))]
pub async fn read_log(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    app.require_log(&caller)?;
    let published = app.log().published()?;
    let (verifier, segments) = (app.log().verifier(), app.log().segments());
    Ok(HttpResponse::Ok().json(LogView {
        origin: verifier.name().to_owned(),
        verifier_key: verifier.to_string(),
        size: published.size,
        root: published.root.to_string(),
        checkpoint: published.checkpoint.clone(),
        sealed: segments.last().get(),
        archived: segments.archived().get(),
    }))
}

/// Read the last checkpoint: a signed note with the log's name, size and root. It is at most about a second
/// behind the ledger.
///
/// # Errors
/// 401, 403 without audit:read, 503 when no checkpoint can be signed.
#[utoipa::path(get, path = "/v1/log/checkpoint", tag = "log",
    responses(
        (status = 200, content_type = "text/plain; charset=utf-8", body = String, description = "The checkpoint (C2SP tlog-checkpoint)."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 503, body = ProblemBody, description = "No checkpoint can be signed until the next start.")))]
pub async fn read_checkpoint(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    app.require_log(&caller)?;
    let published = app.log().published()?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, TEXT))
        .body(published.checkpoint.clone()))
}

/// Read a tile of the tree's hashes: `{level}/{index}`, the index in groups of three digits (`x001/067`),
/// with `.p/{width}` for a partial one.
///
/// # Errors
/// 401, 403 without audit:read, 404 for a tile that is not in the last checkpoint.
#[utoipa::path(get, path = "/v1/log/tile/{level}/{index}", tag = "log",
    params(
        ("level" = String, Path, description = "The tile level, from 0.", example = "0"),
        ("index" = String, Path, description = "Which tile of the level (C2SP tlog-tiles).", example = "000.p/1")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>, description = "Up to 256 hashes of 32 bytes."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such tile in the last checkpoint."),
        (status = 503, body = ProblemBody, description = "No checkpoint can be signed until the next start.")))]
pub async fn read_tile(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    app.require_log(&caller)?;
    let (level, index) = path.into_inner();
    let level = number(&level).and_then(|level| usize::try_from(level).ok());
    let level = level.filter(|level| *level < LEVELS_MAX);
    let (level, tile) = level
        .zip(Tile::parse(&index))
        .ok_or_else(Problem::not_found)?;
    let published = app.log().published()?;
    let hashes = (0..level).fold(published.size, |hashes, _| hashes / TILE_HASHES);
    tile.check_within(hashes)?;
    let bytes = read_records(&app.clone(), &caller, move || {
        let tree = app.log().tree();
        tree.tile(level, tile.index, tile.width)
            .map_err(unreadable_tree)
    })
    .await?;
    Ok(kept_for_ever(bytes))
}

/// Read an entry bundle: the records of a tile of level 0, each behind its length in two bytes. They are
/// those of all organizations, so only the auditors of the operator's organization may.
///
/// # Errors
/// 401, 403 for whoever lacks audit:read there, 404 for a bundle that is not in the last checkpoint, 410 for
/// one that was archived.
#[utoipa::path(get, path = "/v1/log/tile/entries/{index}", tag = "log",
    params(("index" = String, Path, description = "Which bundle (C2SP tlog-tiles).", example = "000.p/1")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>, description = "Up to 256 records."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no auditor of the operator's organization."),
        (status = 404, body = ProblemBody, description = "No such bundle in the last checkpoint."),
        (status = 410, body = ProblemBody, description = "Its records were archived."),
        (status = 503, body = ProblemBody, description = "No checkpoint can be signed until the next start.")))]
pub async fn read_entries(
    app: web::Data<App>,
    caller: Caller,
    index: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    passage::required(built_in::AUDIT_READ);
    app.directory()
        .require_of_operator(caller.authority(), built_in::AUDIT_READ, Role::Manager)?;
    let tile = Tile::parse(&index).ok_or_else(Problem::not_found)?;
    tile.check_within(app.log().published()?.size)?;
    let operator = app.directory().operator_org();
    app.note_audit_read(&caller, operator).await?;
    let bytes = read_records(&app.clone(), &caller, move || {
        let first = Position::new(tile.index * TILE_HASHES + 1);
        let last = Position::new(tile.index * TILE_HASHES + tile.width);
        let mut bundle = Vec::new();
        for leaf in app.reader().leaves(first, last) {
            let leaf = leaf.map_err(unreadable)?;
            // A record is never longer than two bytes can say (`RECORD_BYTES_MAX`).
            let length = u16::try_from(leaf.len()).map_err(|_| Problem::internal())?;
            bundle.extend_from_slice(&length.to_be_bytes());
            bundle.extend_from_slice(&leaf);
        }
        Ok(bundle)
    })
    .await?;
    Ok(kept_for_ever(bytes))
}

/// Download the proof that an event is in the log: with the record (`…/record`) and the log's verifier key it
/// can be checked without this server.
///
/// # Errors
/// 401, 403 without audit:read, 404 for an event that is not the caller's to read, 503 when no checkpoint
/// can be signed.
#[utoipa::path(get, path = "/v1/events/{position}/proof", tag = "log",
    params(("position" = u64, Path, description = "Where it stands in the ledger.")),
    responses(
        (status = 200, content_type = "text/plain; charset=utf-8", body = String, description = "The proof (C2SP tlog-proof)."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such event for the caller."),
        (status = 503, body = ProblemBody, description = "No checkpoint can be signed until the next start.")))]
pub async fn prove_event(
    app: web::Data<App>,
    caller: Caller,
    position: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let position = require_event(&app, &caller, &position).await?;
    let published = app.log().published_with(position).await?;
    let proof = read_records(&app.clone(), &caller, move || {
        let proof = app.log().proof(position, &published);
        proof
            .map_err(unreadable_tree)?
            .ok_or_else(Problem::not_found)
    })
    .await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, TEXT))
        .body(proof.to_string()))
}

/// Download the bytes of an event as the log has them: the leaf of the tree. Personal fields are in it as
/// salted commitments only.
///
/// # Errors
/// 401, 403 without audit:read, 404 for an event that is not the caller's to read, 410 for one that was
/// archived.
#[utoipa::path(get, path = "/v1/events/{position}/record", tag = "log",
    params(("position" = u64, Path, description = "Where it stands in the ledger.")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>, description = "The record."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such event for the caller."),
        (status = 410, body = ProblemBody, description = "It was archived.")))]
pub async fn read_record(
    app: web::Data<App>,
    caller: Caller,
    position: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let position = require_event(&app, &caller, &position).await?;
    let leaf = read_records(&app.clone(), &caller, move || {
        let leaf = app.reader().leaves(position, position).next();
        leaf.ok_or_else(Problem::not_found)?.map_err(unreadable)
    })
    .await?;
    Ok(kept_for_ever(leaf))
}

fn kept_for_ever(bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, BYTES))
        .insert_header((CACHE_CONTROL, FOR_EVER))
        .body(bytes)
}

fn unreadable_tree(error: TreeError) -> Problem {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a hash of the tree could not be read"
    );
    Problem::internal()
}

impl From<NotPublished> for Problem {
    fn from(_: NotPublished) -> Self {
        Self::unavailable(
            "No checkpoint can be signed until the server is started anew; its log says why.",
        )
    }
}

/// A tile by its number and how many of its hashes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    index: u64,
    width: u64,
}

impl Tile {
    /// `x001/x234/067` or, for a partial one, `x001/x234/067.p/8` (C2SP tlog-tiles).
    fn parse(path: &str) -> Option<Self> {
        let (index, width) = match path.split_once(".p/") {
            None => (path, TILE_HASHES),
            Some((index, width)) => (
                index,
                number(width).filter(|width| (1..TILE_HASHES).contains(width))?,
            ),
        };
        let mut groups = index.split('/').rev();
        let last = groups.next()?;
        let mut digits = vec![last];
        for group in groups {
            digits.push(group.strip_prefix('x')?);
        }
        let is_right = digits.len() <= 6
            && digits
                .iter()
                .all(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()))
            && (digits.len() == 1 || digits.last() != Some(&"000"));
        if !is_right {
            return None;
        }
        digits.reverse();
        Some(Self {
            index: digits.concat().parse().ok()?,
            width,
        })
    }

    /// Refuses what the last checkpoint does not vouch for.
    fn check_within(self, hashes: u64) -> Result<(), Problem> {
        let end = self
            .index
            .checked_mul(TILE_HASHES)
            .and_then(|first| first.checked_add(self.width));
        if end.is_some_and(|end| end <= hashes) {
            Ok(())
        } else {
            Err(Problem::not_found())
        }
    }
}

/// A number without a sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    (is_plain && !has_leading_zero)
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_named_in_groups_of_three_digits() {
        let rows = [
            ("000", Some((0, 256))),
            ("067.p/8", Some((67, 8))),
            ("x001/234", Some((1_234, 256))),
            ("x001/x234/067", Some((1_234_067, 256))),
            (
                "x999/x999/x999/x999/x999/999.p/255",
                Some((999_999_999_999_999_999, 255)),
            ),
            ("", None),
            ("0", None),
            ("0000", None),
            ("x000/001", None),
            ("001/234", None),
            ("x001/x234", None),
            ("x001/234/", None),
            ("000.p/0", None),
            ("000.p/256", None),
            ("000.p/08", None),
            ("000.p/-1", None),
            ("000.p/", None),
            ("+01", None),
            ("x001/x001/x001/x001/x001/x001/001", None),
        ];
        for (path, wanted) in rows {
            let wanted = wanted.map(|(index, width)| Tile { index, width });
            assert_eq!(Tile::parse(path), wanted, "{path}");
        }
    }

    #[test]
    fn nothing_beyond_the_checkpoint_is_asked_for() {
        let tile = |index, width| Tile { index, width };
        assert!(tile(0, 5).check_within(5).is_ok());
        assert!(tile(0, 6).check_within(5).is_err());
        assert!(tile(1, 1).check_within(256).is_err());
        assert!(tile(u64::MAX, 256).check_within(u64::MAX).is_err());
    }
}
