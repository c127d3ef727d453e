//! `keyledger audit at` and `audit diff`, on the folder of a server that was stopped.

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD};
use serde_json::{Value, json};

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
    let changes: Vec<_> = went.iter().map(|line| &line["change"]).collect();
    assert_eq!(changes, ["removed"]);
    let wrong = server.command(&["audit", "diff", "--from", "2", "--to", "1"]);
    assert_ne!(wrong.code, Some(0));
    assert!(wrong.output.contains("before"), "{}", wrong.output);
    server.assert_ledger_verifies();
}
