//! `keyledger audit at` and `audit diff`, on the folder of a server that was stopped.

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD, Program};
use serde_json::{Value, json};

use crate::world::make_key;

#[test]
fn the_command_line_tells_what_a_credential_could_do_and_what_changed() {
    let mut server = Launch::new().start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let body = json!({ "name": "Then", "scopes": ["files:read"] });
    let service = owner.post("/v1/orgs/acme/services", &body).expect(201);
    let made = service.header("Keyledger-Position").expect("a position");
    let made = made.to_owned();
    let told = owner.get(&format!("/v1/credentials/{}", service.string("id")));
    let credential = told.expect(200).string("id");
    owner.delete("/v1/orgs/acme/services/then").expect(204);

    let words = ["audit", "at", "--credential", &credential, "--at", &made];
    let key = make_key(&owner, &json!({ "handle": "cli" })).string("token");
    let url = format!("http://127.0.0.1:{}", server.port());
    let asked_server = |words: &[&str]| -> Vec<Value> {
        let program = Program::new(words).with(&["--url", &url]);
        let told = program.env("KEYLEDGER_API_KEY", &key).run().ok();
        let lines = told.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let told_by_server = asked_server(&words);
    assert_eq!(told_by_server[0]["standing"], "valid");
    let differences = [
        "audit",
        "diff",
        "--from",
        "1",
        "--to",
        &made,
        "--organization",
        "acme",
    ];
    let differences_by_server = asked_server(&differences);
    let refused = server.command(&words);
    assert_ne!(refused.code, Some(0), "{}", refused.output);
    assert!(refused.output.contains("a server has this folder"));
    server.stop();

    let json_of = |words: &[&str]| -> Vec<Value> {
        let done = server.command(words);
        assert_eq!(done.code, Some(0), "{}", done.output);
        let lines = done.output.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let was = &json_of(&words)[0];
    assert_eq!(
        was, &told_by_server[0],
        "a folder tells what its server told"
    );
    assert_eq!(
        (&was["standing"], &was["position"].to_string()),
        (&json!("valid"), &made)
    );
    assert_eq!(was["organizations"][0]["scopes"], json!(["files:read"]));
    let now = &json_of(&words[..4])[0];
    assert_eq!(now["standing"], "revoked");
    let unknown = server.command(&["audit", "at", "--credential", &credential, "--at", "1"]);
    assert_ne!(unknown.code, Some(0));
    assert!(
        unknown.output.contains("no such credential"),
        "{}",
        unknown.output
    );

    let came = json_of(&["audit", "diff", "--from", "1", "--to", &made]);
    let service = came.iter().find(|line| line["kind"] == "service");
    let service = service.expect("it came");
    assert_eq!(
        (&service["organization"], &service["change"]),
        (&json!("acme"), &json!("added"))
    );
    let went = json_of(&["audit", "diff", "--from", &made]);
    let mut services = went.iter().filter(|line| line["kind"] == "service");
    assert_eq!(services.next().expect("it went")["change"], "removed");
    assert!(services.next().is_none());
    assert_eq!(json_of(&differences), differences_by_server);
    let wrong = server.command(&["audit", "diff", "--from", "2", "--to", "1"]);
    assert_ne!(wrong.code, Some(0));
    assert!(wrong.output.contains("before"), "{}", wrong.output);
    server.assert_ledger_verifies();
}
