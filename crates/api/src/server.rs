//! The HTTP server: one while the ledger is replayed, which only says so, and then the real one on
//! the same socket.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, PayloadConfig};
use actix_web::{App as Application, HttpResponse};
use keyledger_ledger::Committer;
use tokio::sync::oneshot;

use crate::app::App;
use crate::body::{BODY_BYTES_MAX, unreadable_query};
use crate::caller::{Origin, Visitor};
use crate::edge::{Edge, RequestIds};
use crate::gate::Gate;
use crate::listen::{self, Listening};
use crate::problem::Problem;
use crate::routes::set_up::FirstOwner;
use crate::tls::Certificates;
use crate::{idle_keys, pages, routes};

/// How many connections may be open while the ledger is replayed.
const STARTING_CONNECTIONS_MAX: usize = 256;

/// How the server is to run.
pub struct ServerOptions {
    /// The socket, bound and listening.
    pub listener: TcpListener,
    /// The certificates, if this server speaks TLS itself.
    pub tls: Option<Arc<Certificates>>,
    /// The number of HTTP workers.
    pub workers: usize,
    /// How many connections may be open at once.
    pub connections_max: usize,
    /// What is decided about requests as such.
    pub gate: Gate,
    /// How long running requests may take to finish once the server is told to stop, in seconds.
    pub shutdown_seconds: u64,
}

/// Serves until a signal comes or the committer ends; which of the two, its thread tells.
///
/// # Errors
/// When the socket fails.
pub fn run(
    options: ServerOptions,
    app: App,
    ids: RequestIds,
    committer: Committer,
) -> io::Result<()> {
    let app = web::Data::new(app);
    let watched = app.clone();
    let streams = Arc::clone(app.streams());
    let edge = Edge::new(Arc::new(ids)).with_gate(Arc::new(options.gate));
    actix_web::rt::System::new().block_on(async move {
        let listening = Listening {
            listener: options.listener,
            tls: options.tls,
            workers: options.workers,
            connections_max: options.connections_max,
            shutdown_seconds: options.shutdown_seconds,
            heeds_signals: true,
            when_ending: Box::new(move || streams.end()),
        };
        let server = listen::serve(listening, move || {
            Application::new()
                .app_data(app.clone())
                .app_data(PayloadConfig::new(BODY_BYTES_MAX))
                .app_data(
                    web::QueryConfig::default()
                        .error_handler(|error, _| unreadable_query(&error).into()),
                )
                .wrap(edge.clone())
                .configure(routes::configure)
                .configure(pages::configure)
                .default_service(web::to(async |_: Visitor| {
                    Err::<HttpResponse, _>(Problem::not_found())
                }))
        })?;
        let handle = server.handle();
        actix_web::rt::spawn(idle_keys::watch(watched));
        actix_web::rt::spawn(async move {
            let _ = committer.ended().await;
            handle.stop(true).await;
        });
        server.await
    })
}

/// Answers while the ledger is replayed: alive, but ready for nothing.
pub struct Starting {
    handle: ServerHandle,
    thread: JoinHandle<io::Result<()>>,
}

impl Starting {
    /// Begins to answer on a socket.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn begin(listener: TcpListener, tls: Option<Arc<Certificates>>) -> io::Result<Self> {
        let (send, receive) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("starting".to_owned())
            .spawn(move || {
                actix_web::rt::System::new().block_on(async move {
                    let listening = Listening {
                        listener,
                        tls,
                        workers: 1,
                        connections_max: STARTING_CONNECTIONS_MAX,
                        shutdown_seconds: 0,
                        heeds_signals: false,
                        when_ending: Box::new(|| ()),
                    };
                    let server = listen::serve(listening, || {
                        Application::new()
                            .route("/health/live", web::get().to(routes::health::read_live))
                            .default_service(web::to(async || {
                                Err::<HttpResponse, _>(Problem::unavailable(
                                    "The ledger is being replayed; try again.",
                                ))
                            }))
                    })?;
                    // Nobody waits any more only if the start itself has failed.
                    let _ = send.send(server.handle());
                    server.await
                })
            })?;
        match receive.blocking_recv() {
            Ok(handle) => Ok(Self { handle, thread }),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) | Err(_) => Err(io::Error::other("the first server did not start")),
            },
        }
    }

    /// Hands the socket over.
    ///
    /// # Errors
    /// When the socket failed meanwhile.
    pub fn end(self) -> io::Result<()> {
        actix_web::rt::System::new().block_on(self.handle.stop(false));
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the first server panicked")))
    }
}

/// Makes the first owner from the environment, before anybody is served.
///
/// # Errors
/// What the set-up form would say.
pub fn bootstrap(
    app: &App,
    email: String,
    password: &str,
    organization: String,
) -> Result<(), Problem> {
    let owner = FirstOwner {
        code: None,
        email: Some(email),
        password: Some(password.to_owned()),
        organization: Some(organization),
        name: None,
    };
    let origin = Origin::of_the_server(app.random()?);
    actix_web::rt::System::new()
        .block_on(app.make_first_owner(origin, owner))
        .map(|_| ())
}
