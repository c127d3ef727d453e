//! `GET /v1/events/stream`: what happens, as it happens (server-sent events, WHATWG HTML §9.2).
//!
//! Nothing is kept for a reader: a stream is a place in the ledger, and the records behind it are read
//! when the reader has taken what was told before. Who is slow is let go by the watch over connections
//! and goes on with `Last-Event-ID`, so no reader costs more than one batch of memory. Whether they may
//! still read is asked before each batch and at each heartbeat, of the credential that opened the stream.

use core::convert::Infallible;
use core::fmt::Write as _;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_core::Stream;
use keyledger_domain::{Actor, PasswordHash, Position, Proof, Refusal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::ToSchema;

use super::filter::{EventQuery, StreamQuery};
use super::view::EventView;
use super::{Filter, Log, gone};
use crate::answer::Page;
use crate::app::App;
use crate::caller::Caller;
use crate::places::Places;
use crate::problem::{Problem, ProblemBody};
use crate::seats::{Account, Seat, Seats};

/// How many may follow at once. Each holds a connection.
const STREAMS_MAX: usize = 64;
/// How many of them may be one account's.
const STREAMS_OF_ACCOUNT_MAX: usize = 8;
/// How many events are read and told at once.
const BATCH_EVENTS_MAX: usize = 100;
/// How long nothing is said at most. Connections on which nothing happens are closed after 75 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream rests between two looks: where much is written, it is told in batches.
const PAUSE: Duration = Duration::from_millis(200);
/// When a client is to come again after the end, in milliseconds.
const RETRY_MILLIS: u64 = 2_000;

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Has nginx pass on what comes at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Those who follow the audit log.
pub(crate) struct Streams {
    /// A thread of their own: who follows does not stand before those who ask once.
    readers: Places<()>,
    seats: Arc<Seats>,
    is_ending: watch::Sender<bool>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            readers: Places::new(1, STREAMS_MAX),
            seats: Seats::new(STREAMS_MAX, STREAMS_OF_ACCOUNT_MAX),
            is_ending: watch::Sender::new(false),
        }
    }

    /// Ends all of them, because the server ends.
    pub(crate) fn end(&self) {
        self.is_ending.send_replace(true);
    }

    /// Takes a seat for one more.
    ///
    /// # Errors
    /// 503 when there is none.
    fn seat(&self, account: Account) -> Result<Seat, Problem> {
        self.seats.take(account).ok_or_else(|| {
            Problem::unavailable(
                "Too many follow the audit log; end one of your streams, or try again.",
            )
        })
    }
}

/// A stream: who follows what, and how far they are.
struct Following {
    app: web::Data<App>,
    caller: Caller,
    /// Their password when they showed it: the stream ends with it.
    password: Option<PasswordHash>,
    query: EventQuery,
    after: Position,
    seconds: u64,
    _seat: Seat,
}

/// An event of the stream, as a client reads it from the lines (WHATWG HTML §9.2.6).
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it stands in the definition; what is sent is text"
)]
pub(super) struct StreamedEvent {
    /// The position of the event: the `Last-Event-ID` to go on behind it.
    id: String,
    /// The event in JSON, as `GET /v1/events` tells it.
    data: String,
    /// Always this, since none is named.
    #[schema(example = "message")]
    event: Option<String>,
}

/// What there is to tell.
struct Batch {
    text: String,
    /// Whether there is more already.
    is_more: bool,
}

impl Following {
    /// What there is behind the last that was told.
    ///
    /// # Errors
    /// When the credential or the right has ended, or a record cannot be read.
    async fn next(&mut self) -> Result<Batch, Problem> {
        let (log, filter) = self.look()?;
        let last = log.last;
        if self.after >= last {
            return Ok(Batch {
                text: String::new(),
                is_more: false,
            });
        }
        let orgs: Vec<_> = log.orgs.iter().map(|(org, _)| *org).collect();
        let after = self.after;
        let busy = "Too many follow the audit log; try again.";
        let readers = &self.app.streams().readers;
        let page = readers
            .work(busy, move |()| {
                log.page(&Filter {
                    after,
                    limit: BATCH_EVENTS_MAX,
                    ..filter
                })
            })
            .await??;
        if !page.items.is_empty() {
            let count = orgs.len();
            let noted = self.app.note_audit_read(&self.caller, orgs).await?;
            if noted.len() < count {
                // Something of one that they lost may be on the page.
                return Ok(Batch {
                    text: String::new(),
                    is_more: true,
                });
            }
        }
        self.told(&page, last)
    }

    /// Whether they may still read, and what there is to read now.
    fn look(&self) -> Result<(Log, Filter), Problem> {
        let directory = self.app.directory();
        let authority = self.caller.authority();
        directory.check_standing(authority, self.app.now())?;
        if let Proof::Credential { id, .. } = authority.proof {
            let key = directory.api_key(id);
            let source = self.caller.origin().source();
            if !key.is_some_and(|key| key.admits(source)) {
                return Err(Problem::invalid_token());
            }
        }
        if password_of(&directory, authority.actor, authority.proof) != self.password {
            return Err(Refusal::CredentialEnded.into());
        }
        let log = Log::of(
            &self.app,
            &directory,
            &self.caller,
            self.query.organization(),
        )?;
        let orgs: Vec<_> = log.orgs.iter().map(|(org, _)| *org).collect();
        let filter = self.query.check(&directory, &orgs)?;
        Ok((log, filter))
    }

    /// Writes a page, and goes on behind it: behind `last` where there was nothing more up to there.
    fn told(&mut self, page: &Page<EventView>, last: Position) -> Result<Batch, Problem> {
        let mut text = String::new();
        for event in &page.items {
            // JSON of one line: no entry can end early or begin another.
            let data = serde_json::to_string(event).map_err(|_| Problem::internal())?;
            let _ = write!(text, "id: {}\ndata: {data}\n\n", event.position());
        }
        let next = page.next.as_deref().and_then(|next| next.parse().ok());
        let told = page
            .items
            .last()
            .map(|event| Position::new(event.position()));
        let reached = next.map_or(last, Position::new);
        self.after = self.after.max(reached).max(told.unwrap_or_default());
        Ok(Batch {
            text,
            is_more: next.is_some(),
        })
    }

    /// A comment, and how far they are though nothing of it was for them.
    fn heartbeat(&self) -> String {
        format!(": here\nid: {}\n\n", self.after)
    }

    /// Tells until the reader, the right, the time or the server ends.
    async fn follow(mut self, first: Batch, telling: mpsc::Sender<Bytes>) {
        let over_at = Instant::now() + Duration::from_secs(self.seconds);
        let mut is_ending = self.app.streams().is_ending.subscribe();
        let mut shown = self.app.shown();
        let mut batch = first;
        let mut said_at = Instant::now();
        loop {
            if !batch.text.is_empty() {
                said_at = Instant::now();
                let text = Bytes::from(core::mem::take(&mut batch.text));
                tokio::select! {
                    sent = telling.send(text) => if sent.is_err() {
                        return;
                    },
                    _ = is_ending.wait_for(|is_ending| *is_ending) => return,
                }
            }
            if batch.is_more {
                // What is looked through may be long and tell nothing.
                let is_over = self.seconds > 0 && Instant::now() >= over_at;
                if is_over || telling.is_closed() || *is_ending.borrow() {
                    return;
                }
                if said_at.elapsed() >= HEARTBEAT {
                    batch.text = self.heartbeat();
                }
            } else {
                if self.seconds == 0 {
                    return;
                }
                let mut is_quiet = false;
                tokio::select! {
                    _ = is_ending.wait_for(|is_ending| *is_ending) => return,
                    () = telling.closed() => return,
                    () = sleep_until(over_at) => return,
                    () = sleep(HEARTBEAT) => is_quiet = true,
                    changed = shown.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        sleep(PAUSE).await;
                    }
                }
                if is_quiet {
                    batch.text = self.heartbeat();
                }
            }
            shown.borrow_and_update();
            let Ok(next) = self.next().await else {
                // They come again and are told why.
                return;
            };
            batch.text.push_str(&next.text);
            batch.is_more = next.is_more;
        }
    }
}

/// The password that stands behind a proof, if it is one.
fn password_of(
    directory: &keyledger_domain::Directory,
    actor: Actor,
    proof: Proof,
) -> Option<PasswordHash> {
    match (actor, proof) {
        (Actor::User(id), Proof::Password) => {
            let user = directory.user(id)?;
            user.password.known().cloned()
        }
        _ => None,
    }
}

/// Whether a client waits for events. One that does not say so would wait for the end of the answer.
fn stays(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(ACCEPT);
    accepted
        .filter_map(|accepted| accepted.to_str().ok())
        .flat_map(|accepted| accepted.split(','))
        .filter_map(|media_type| media_type.split(';').next())
        .any(|media_type| media_type.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// The body of the answer: what is sent, as it is sent.
struct Telling(mpsc::Receiver<Bytes>);

impl Stream for Telling {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(Ok))
    }
}

/// Follow what happens: server-sent events, each with its position as `id` and the event as `GET
/// /v1/events` tells it as `data`. Goes on behind `Last-Event-ID`, or `after`, or begins now. Quiet streams
/// say `: here` every 15 s. It ends when the credential or its audit:read does, after an hour, and when the
/// server stops; a client then comes again with the last id and misses nothing. To a client without `Accept:
/// text/event-stream` it tells what is there, and ends.
///
/// # Errors
/// 401, 403 without audit:read, 404 for an organization that the caller is not in, 410 where the events were
/// archived, 422, 503 when too many follow.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<u64>, Header, format = "uint64", description = "The last event that was told; goes before `after`.")),
    responses(
        (status = 200, content_type = "text/event-stream", body = StreamedEvent, description = "Events, as they happen, each of this shape."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "What comes next was archived."),
        (status = 422, body = ProblemBody, description = "A filter is invalid; `fields` says which."),
        (status = 503, body = ProblemBody, description = "Too many follow.")))]
pub async fn stream_events(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
    query: web::Query<StreamQuery>,
) -> Result<HttpResponse, Problem> {
    let last_event_id = request.headers().get(LAST_EVENT_ID);
    let last_event_id = last_event_id.map(|id| id.to_str().unwrap_or_default());
    // Who may not follow at all is told so first.
    Log::of(&app, &app.directory(), &caller, query.organization())?;
    let (query, seconds) = query.into_inner().check(last_event_id)?;
    let seconds = if stays(&request) { seconds } else { 0 };
    let authority = *caller.authority();
    let seat = app.streams().seat(app.account_of(&caller))?;
    let (password, begun) = {
        let directory = app.directory();
        let password = password_of(&directory, authority.actor, authority.proof);
        (password, directory.position())
    };
    let mut following = Following {
        after: begun,
        app,
        caller,
        password,
        query,
        seconds,
        _seat: seat,
    };
    let (_, filter) = following.look()?;
    if following.query.has_beginning() {
        following.after = filter.after;
        // Whoever comes again is not to believe that nothing happened meanwhile.
        let archived = following.app.reader().archived();
        if filter.after > Position::ZERO && filter.after < archived {
            return Err(gone(filter.after.next()));
        }
    }
    // The first batch is read before the answer begins, so that what is wrong has its status.
    let mut first = following.next().await?;
    // It is there at once, also where nothing happened yet.
    first.text = format!("retry: {RETRY_MILLIS}\n: here\n\n{}", first.text);
    let (telling, told) = mpsc::channel(1);
    actix_web::rt::spawn(following.follow(first, telling));
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, EVENT_STREAM))
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(Telling(told)))
}
