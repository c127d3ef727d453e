//! `GET /v1/backup`: everything that is recorded, while changes go on, for whoever runs the server.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_core::Stream;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Position, Role};
use tokio::sync::mpsc;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::usage::passage;

/// How many pieces wait for a slow reader; the disk is read no further meanwhile.
const PIECES_WAITING: usize = 4;
const PIECE_BYTES: usize = 64 * 1024;

/// Download a backup of everything that is recorded, without the key file. It has every change that was
/// answered before the request; `keyledger restore` makes a data folder of it, with the key file, which
/// lies in `keys/master.key` and belongs elsewhere.
///
/// # Errors
/// 401, 403 for whoever is no owner of the operator's organization or lacks audit:read, 410 where records were
/// archived, 503 while another backup is written.
#[utoipa::path(get, path = "/v1/backup", tag = "log",
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>, description = "The backup."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no owner of the operator's organization, or lacks audit:read."),
        (status = 410, body = ProblemBody, description = "Records were archived, so a backup would not be whole."),
        (status = 503, body = ProblemBody, description = "Another backup is being written, or no checkpoint can be signed.")))]
pub async fn back_up(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    passage::required(built_in::AUDIT_READ);
    {
        let directory = app.directory();
        let authority = caller.authority();
        directory.require_of_operator(authority, built_in::AUDIT_READ, Role::Owner)?;
        directory.require_operator_owner(authority, built_in::AUDIT_READ)?;
    }
    if app.reader().archived() > Position::ZERO {
        return Err(Problem::new(
            StatusCode::GONE,
            "Records were archived, so a backup would not be whole: keep a copy of the folder and of the segments that \
             were moved away.",
        ));
    }
    let place = app
        .backup_places()
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable("Another backup is being written; try again later."))?;
    let operator = app.directory().operator_org();
    app.note_audit_read(&caller, operator).await?;
    tracing::info!(actor = %caller.authority().actor, "a backup is downloaded");
    // Whatever was answered before now is in it.
    let published = app.log().published_with(app.reader().last()).await?;
    let credits = app.credits_rows().ok_or_else(|| {
        Problem::unavailable(
            "The credit balances cannot be read, so no backup is made; the server's log says why.",
        )
    })?;
    let source = app.backups().clone();
    let (pieces, receiver) = mpsc::channel(PIECES_WAITING);
    let writer = move || {
        let mut out = Pieces {
            pieces,
            waiting: Vec::with_capacity(PIECE_BYTES),
        };
        if let Err(error) = source.write(&published, &credits, false, &mut out) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a backup was not written to its end"
            );
            // The connection is cut off, so nobody takes what came for all of it.
            let failed = io::Error::other("the backup could not be read to its end");
            let _ = out.pieces.blocking_send(Err(failed));
        }
        drop(place);
    };
    thread::Builder::new()
        .name("backup".to_owned())
        .spawn(writer)
        .map_err(|_| Problem::unavailable("The system gives no thread for a backup; try again."))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/octet-stream"))
        .insert_header((
            CONTENT_DISPOSITION,
            r#"attachment; filename="keyledger.backup""#,
        ))
        .streaming(Download(receiver)))
}

/// Hands what is written to whoever downloads, in pieces.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    waiting: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::replace(
            &mut self.waiting,
            Vec::with_capacity(PIECE_BYTES),
        ));
        let sent = self.pieces.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            Ok(())
        } else {
            self.send()
        }
    }
}

/// What comes out of the thread, as the body of an answer.
struct Download(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Download {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
