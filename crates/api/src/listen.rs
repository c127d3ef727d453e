//! From a socket to requests: plain or TLS, HTTP/1.1, every connection watched.
//!
//! This is what the framework's own server does, with two things put under it: each connection is
//! [`Watched`], and the certificate is asked for anew by each, so that a new one needs no restart.
//! HTTP/2 is not offered: one connection with many requests would need limits for each of them
//! (streams, resets, windows), and callers of a key server gain nothing from it.

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::outbox::Outbox;
use crate::tls::Certificates;
use crate::watched::{Crowd, Watched};

/// How long the head of a connection's first request may take to arrive.
const HEAD_SECONDS: u64 = 10;
/// How long the TLS handshake may take.
const HANDSHAKE_SECONDS: u64 = 5;
/// How long a connection that is being closed may take to notice.
const DISCONNECT_SECONDS: u64 = 1;

/// Where to listen, and how.
pub(crate) struct Listening {
    /// The socket, bound and listening.
    pub(crate) listener: TcpListener,
    /// The certificates, if this server speaks TLS itself.
    pub(crate) tls: Option<Arc<Certificates>>,
    /// The number of workers.
    pub(crate) workers: usize,
    /// How many connections may be open at once.
    pub(crate) connections_max: usize,
    /// How long running requests may take to finish at the end, in seconds.
    pub(crate) shutdown_seconds: u64,
    /// Whether a signal ends it.
    pub(crate) heeds_signals: bool,
    /// What to do when it begins to end: what would go on for ever is to stop.
    pub(crate) when_ending: Box<dyn FnOnce()>,
}

/// Answers what comes through the socket with the application that `factory` makes, once a worker.
///
/// # Errors
/// When the socket fails.
pub(crate) fn serve<F, I, S, B>(listening: Listening, factory: F) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Future: 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let crowd = Arc::new(Crowd::new(listening.connections_max));
    let mut builder = Server::build()
        .workers(listening.workers)
        .max_concurrent_connections(listening.connections_max.div_ceil(listening.workers))
        .shutdown_timeout(listening.shutdown_seconds);
    if !listening.heeds_signals {
        builder = builder.disable_signals();
    }
    let draining = builder.graceful_shutdown_signal();
    let address = listening.listener.local_addr()?;
    let (ending, when_ending) = (draining.clone(), listening.when_ending);
    actix_web::rt::spawn(async move {
        ending.notified().await;
        when_ending();
    });
    // What a worker answers requests with, over whichever kind of connection.
    macro_rules! http {
        () => {{
            let draining = draining.clone();
            let application = factory()
                .into_factory()
                .map_err(|error| error.into().error_response());
            HttpService::build()
                // Idle connections are closed where they are watched.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::from_secs(HEAD_SECONDS))
                .client_disconnect_timeout(Duration::from_secs(DISCONNECT_SECONDS))
                .local_addr(address)
                .graceful_shutdown_signal(move || {
                    let draining = draining.clone();
                    async move { draining.notified().await }
                })
                .h1(map_config(application, |()| AppConfig::default()))
        }};
    }
    let server = match listening.tls {
        None => builder.listen("plain", listening.listener, move || {
            let (crowd, outbox) = (Arc::clone(&crowd), Rc::<Outbox>::default());
            let watched = fn_service(move |connection: TcpStream| {
                let peer = connection.peer_addr().ok();
                let watched = Watched::new(outbox.connect(connection), Arc::clone(&crowd));
                core::future::ready(Ok::<_, DispatchError>((watched, peer)))
            });
            watched.and_then(http!())
        })?,
        Some(certificates) => builder.listen("tls", listening.listener, move || {
            let (crowd, certificates) = (Arc::clone(&crowd), Arc::clone(&certificates));
            let outbox = Rc::<Outbox>::default();
            let secured = fn_service(move |connection: TcpStream| {
                let peer = connection.peer_addr().ok();
                let watched = Watched::new(outbox.connect(connection), Arc::clone(&crowd));
                let handshake = TlsAcceptor::from(certificates.current()).accept(watched);
                let patience = Duration::from_secs(HANDSHAKE_SECONDS);
                async move {
                    let secured = tokio::time::timeout(patience, handshake).await;
                    let secured = secured.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                    Ok::<_, DispatchError>((secured.map_err(DispatchError::Io)?, peer))
                }
            });
            secured.and_then(http!())
        })?,
    };
    Ok(server.run())
}

#[cfg(test)]
mod tests;
