//! The listener and the edge over real sockets, with a handler that does what no route of ours does.

use std::io::{Read, Write};
use std::net::TcpStream;

use actix_web::web::{self, Bytes};
use actix_web::{App as Application, HttpResponse};

use super::*;
use crate::edge::{Edge, RequestIds};
use crate::gate::Gate;

/// A server with handlers that panic, and its address.
struct Panicky {
    port: u16,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<io::Result<()>>>,
}

impl Panicky {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let listening = Listening {
                    listener,
                    tls: None,
                    workers: 1,
                    connections_max: 10,
                    shutdown_seconds: 0,
                    heeds_signals: false,
                    when_ending: Box::new(|| ()),
                };
                let ids = Arc::new(RequestIds::new([7; 32]));
                let gate = Arc::new(Gate::default());
                let server = serve(listening, move || {
                    Application::new()
                        .wrap(Edge::new(Arc::clone(&ids)).with_gate(Arc::clone(&gate)))
                        .route("/good", web::get().to(|| async { "good" }))
                        .route("/panic", web::to(panic_with))
                        .route("/panic-later", web::to(panic_later))
                })?;
                send.send(server.handle()).unwrap();
                server.await
            })
        });
        Self {
            port,
            handle: receive.recv().unwrap(),
            thread: Some(thread),
        }
    }
}

impl Drop for Panicky {
    fn drop(&mut self) {
        let stop = self.handle.stop(false);
        actix_web::rt::System::new().block_on(stop);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

async fn panic_with(body: Bytes) -> HttpResponse {
    panic!("the body is {body:?}");
}

async fn panic_later() -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(20)).await;
    let nothing = std::env::args_os()
        .nth(usize::MAX)
        .map(|_| HttpResponse::Ok().finish());
    nothing.expect("something")
}

/// Head and body of the next answer on a connection.
fn answer(connection: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut one).unwrap();
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn n132_a_panic_in_a_handler_is_a_plain_500_and_the_connection_lives() {
    let server = Panicky::start();
    let mut connection = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut ask = |request: &str| {
        connection.write_all(request.as_bytes()).unwrap();
        answer(&mut connection)
    };
    let secret = "sk_live_not-for-anybody";
    let post = format!(
        "POST /panic HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{secret}",
        secret.len()
    );
    for request in [&post, "GET /panic-later HTTP/1.1\r\nHost: a\r\n\r\n", &post] {
        let (head, body) = ask(request);
        assert!(head.starts_with("http/1.1 500 "), "{head}");
        for header in [
            "content-type: application/problem+json",
            "x-request-id: ",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(head.contains(header), "no {header} in {head}");
        }
        assert!(!head.contains("connection: close"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], 500);
        for word in [secret, "panic", ".rs", "something"] {
            assert!(!body.contains(word), "{body}");
        }
        // The same connection, and what is behind it, goes on.
        let (head, body) = ask("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(body, "good");
    }
}
