//! nginx in front of an API, configured by the very files in `data/examples/nginx`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use keyledger_tests::{
    Client, Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, Server, free_port, skip_loudly,
};
use serde_json::json;

const MODULE: &str = "modules/ngx_http_js_module.so";

/// An API that trusts what stands in front of it: it answers with the headers that reached it.
fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a reader"));
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                let low = line.to_lowercase();
                if let Some(text) = low.strip_prefix("content-length:") {
                    length = text.trim().parse().expect("a length");
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&low);
            }
            let _ = reader.take(length).read_to_end(&mut Vec::new());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{head}",
                head.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

struct Nginx {
    process: Child,
    _folder: tempfile::TempDir,
    client: Client,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// `None` where nginx or its module cannot be had.
    fn start(server: &Server, gateway_key: &str) -> Option<Self> {
        let has_module = Path::new("/usr/lib/nginx").join(MODULE).exists();
        if !has_module || !Path::new("/usr/sbin/nginx").exists() {
            skip_loudly("nginx", "apt-get install nginx-light libnginx-mod-http-js");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/examples/nginx");
        let (port, api) = (free_port(), upstream());
        let read = |name: &str| fs::read_to_string(examples.join(name)).expect("an example");
        // One process, which ends when it is killed. Only addresses, places and the key differ from what an operator copies.
        let script = read("keyledger.js")
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", server.port()))
            .replace("put-the-key-of-your-gateway-service-here", gateway_key);
        let at = folder.path().display();
        let settings = read("nginx.conf")
            .replace("modules/", "/usr/lib/nginx/modules/")
            .replace("/etc/nginx/keyledger/", &format!("{at}/"))
            .replace("127.0.0.1:8081", &format!("127.0.0.1:{port}"))
            .replace("127.0.0.1:8082", &format!("127.0.0.1:{api}"));
        let settings = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\n{settings}"
        );
        fs::write(folder.path().join("keyledger.js"), script).expect("written");
        fs::write(folder.path().join("nginx.conf"), settings).expect("written");
        let process = Command::new("/usr/sbin/nginx")
            .args(["-p", &at.to_string(), "-c", &format!("{at}/nginx.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx");
        let is_there = || keyledger_tests::raw::status_of(port, "/").is_some();
        let came = (0..600).any(|_| {
            let is_there = is_there();
            if !is_there {
                thread::sleep(Duration::from_millis(50));
            }
            is_there
        });
        let said = || fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
        assert!(came, "nginx does not answer: {}", said());
        Some(Self {
            process,
            _folder: folder,
            client: Client::new(port),
        })
    }
}

#[test]
fn n138_nginx_asks_keyledger_and_lets_nobody_say_who_they_are() {
    let mut server = Launch::new().start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let services = format!("/v1/orgs/{OWNER_ORG}/services");
    let gateway = owner
        .post(
            &services,
            &json!({ "name": "Gateway", "scopes": ["keys:verify"] }),
        )
        .expect(201);
    let Some(nginx) = Nginx::start(&server, &gateway.string("key")) else {
        return;
    };
    let through = &nginx.client;
    let body = json!({ "handle": "reader", "scopes": ["files:read"] });
    let key = owner.post("/user/keys", &body).expect(201).string("token");
    let clients = format!("/v1/orgs/{OWNER_ORG}/clients");
    let body = json!({ "name": "Worker", "grant_types": ["client_credentials"], "scopes": ["files:read"] });
    let client = owner.post(&clients, &body).expect(201);
    let form: Vec<(String, String)> = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", client.string("client_id")),
        ("client_secret", client.string("client_secret")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let given = server.client().post_form("/oauth/token", &form).expect(200);
    let token = given.string("access_token");

    // Nobody, and whoever is nobody.
    let refused = through.get("/files/a").expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    through.bearer("nonsense").get("/files/a").expect(401);
    through
        .bearer(&key)
        .x_api_key(&key)
        .get("/files/a")
        .expect(401);
    through.bearer(&key).get("/elsewhere").expect(404);
    through.bearer(&key).get("/_keyledger").expect(404);

    // A test key is nobody where the API is live.
    let body = json!({ "handle": "tester", "scopes": ["files:read"], "environment": "test" });
    let tester = owner.post("/user/keys", &body).expect(201).string("token");
    through.bearer(&tester).get("/files/a").expect(401);

    // Somebody: the API learns who from nginx, whatever the client says, and never sees the key.
    for shown in [&key, &token] {
        let reply = through
            .bearer(shown)
            .header("X-Keyledger-Owner", "user:root")
            .header("X-Keyledger-Scopes", "everything")
            .get("/files/a")
            .expect(200);
        let head = reply.text();
        assert!(
            head.contains("x-keyledger-scopes: files:read\r\n"),
            "{head}"
        );
        assert_eq!(head.matches("x-keyledger-owner:").count(), 1, "{head}");
        assert!(
            !head.contains("root") && !head.contains("everything"),
            "{head}"
        );
        assert!(!head.contains("authorization:") && !head.contains("x-api-key:"));
        assert!(!head.contains(&shown.to_lowercase()));
        through
            .bearer(shown)
            .post("/files/a", &json!({}))
            .expect(403);
    }

    // Too often is not nobody: whoever waits is let in again. Nor is who comes from elsewhere.
    let limit = json!({ "requests": 2, "per_seconds": 3_600 });
    let body = json!({ "handle": "eager", "scopes": ["files:read"], "rate_limit": limit });
    let eager = owner.post("/user/keys", &body).expect(201).string("token");
    for status in [200, 200] {
        through.bearer(&eager).get("/files/a").expect(status);
    }
    let refused = through.bearer(&eager).get("/files/a").expect(429);
    let seconds = refused.header("retry-after").expect("when to come again");
    assert!(
        (1..=1_800).contains(&seconds.parse().expect("seconds")),
        "{seconds}"
    );
    let body =
        json!({ "handle": "bound", "scopes": ["files:read"], "allowed_cidrs": ["192.0.2.0/24"] });
    let bound = owner.post("/user/keys", &body).expect(201).string("token");
    let refused = through.bearer(&bound).get("/files/a").expect(403);
    assert_eq!(refused.header("retry-after"), None);

    // The API does the method and the path that were asked about, and no others.
    let reply = through
        .bearer(&key)
        .header("X-HTTP-Method-Override", "DELETE")
        .get("/elsewhere/../files/b")
        .expect(200);
    let head = reply.text();
    assert!(head.starts_with("get /files/b http/"), "{head}");
    assert!(!head.contains("method-override"), "{head}");

    // Ended at the next request.
    owner.delete("/user/keys/reader").expect(204);
    through.bearer(&key).get("/files/a").expect(401);

    // Without Keyledger nothing passes.
    through.bearer(&token).get("/files/a").expect(200);
    server.kill();
    through.bearer(&token).get("/files/a").expect(500);
}
