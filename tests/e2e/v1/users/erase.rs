//! `POST /v1/users/{id}/erase`.

use std::path::{Path, PathBuf};

use keyledger_tests::{
    Client, INVALID_PASSWORD, INVALID_TOKEN, Launch, OWNER_EMAIL, OWNER_PASSWORD, Server,
};
use serde_json::{Value, json};

use crate::pages::login::{is_signed_in, signed_in};
use crate::world::{Person, World, make_key, unique, world};

/// The identifier of somebody in acme.
fn id_of(world: &World, person: &Person) -> String {
    let path = format!("/v1/orgs/acme/members/{}", person.slug());
    world.owner().get(&path).expect(200).string("id")
}

fn erase_path(named: &str) -> String {
    format!("/v1/users/{named}/erase")
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_under(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Which file below a folder has these words in it.
fn file_with(folder: &Path, words: &str) -> Option<PathBuf> {
    files_under(folder).into_iter().find(|path| {
        let bytes = std::fs::read(path).expect("a file that can be read");
        let mut windows = bytes.windows(words.len());
        windows.any(|part| part.eq_ignore_ascii_case(words.as_bytes()))
    })
}

fn owner_of(server: &Server) -> Client {
    server.client().basic(OWNER_EMAIL, OWNER_PASSWORD)
}

fn copy_folder(from: &Path, to: &Path) {
    for path in files_under(from) {
        let copy = to.join(path.strip_prefix(from).expect("below it"));
        std::fs::create_dir_all(copy.parent().expect("a folder")).expect("made");
        std::fs::copy(path, copy).expect("copied");
    }
}

#[test]
fn whoever_is_erased_is_signed_out_and_gone_and_their_name_is_free() {
    let person = world().person("member");
    let (browser, _) = signed_in(&person);
    let id = id_of(world(), &person);
    let reply = world()
        .owner()
        .post(&erase_path(&id), &json!({ "confirm": person.email }))
        .expect(200);
    assert_eq!(reply.string("id"), id);
    assert!(reply.header("Keyledger-Position").is_some());

    world()
        .with_key(&person.key)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    let themselves = world().anonymous().basic(&person.email, &person.password);
    themselves.get("/v1/me").expect_401(INVALID_PASSWORD);
    assert!(!is_signed_in(&browser));
    let owner = world().owner();
    for named in [&id, person.slug()] {
        let path = format!("/v1/orgs/acme/members/{named}");
        owner.get(&path).expect(404);
        let again = owner.post(&erase_path(named), &json!({ "confirm": person.email }));
        again.expect(404);
    }
    let verdict = json!({ "key": person.key });
    let verdict = owner.post("/v1/keys/verify", &verdict).expect(200);
    // As the key of anybody who is in none of the asker's organizations.
    assert_eq!(verdict.string("code"), "not_found");

    let body =
        json!({ "email": person.email, "password": "quite another passphrase", "role": "member" });
    let new = owner.post("/v1/orgs/acme/members", &body).expect(201);
    assert_eq!(new.string("slug"), person.slug(), "the name is free again");
    assert_ne!(new.string("id"), id);
}

#[test]
fn it_takes_their_name_once_more_and_all_their_organizations() {
    let person = world().person("manager");
    let path = erase_path(person.slug());
    let owner = world().owner();
    owner.post(&path, &json!({})).expect_field("confirm");
    let wrong = json!({ "confirm": "somebody else" });
    owner.post(&path, &wrong).expect_field("confirm");
    let confirm = json!({ "confirm": person.slug() });
    let (slug, other) = world().owners_other_org();
    let stranger = world().with_key(&other.key);
    stranger.post(&path, &confirm).expect(404);
    let manager = world().person("manager");
    let manager = world().with_key(&manager.key);
    manager.post(&path, &confirm).expect(403);
    manager.post(&path, &json!({})).expect(403);
    let own_key = world().with_key(&person.key);
    own_key.post(&path, &confirm).expect(403);

    let body = json!({ "email": person.email, "role": "member" });
    let invited = stranger.post(&format!("/v1/orgs/{slug}/members"), &body);
    let token = invited.expect(201).member("invitation")["token"].clone();
    let token = json!({ "token": token });
    own_key.post("/v1/invitations/accept", &token).expect(201);
    owner.post(&path, &confirm).expect(200);
    // The owner of acme owns the other organization too, because they made it.
    assert_eq!(world().with_key(&person.key).get("/v1/me").status(), 401);

    let two = world().person("member");
    let alone = world().person("owner");
    let alone_key = world().with_key(&alone.key);
    let theirs = alone_key
        .post("/v1/workspaces", &json!({ "name": unique("Alone") }))
        .expect(201)
        .string("slug");
    let confirm = json!({ "confirm": alone.slug() });
    let refused = owner.post(&erase_path(alone.slug()), &confirm).expect(409);
    assert!(refused.string("detail").contains("other organizations"));
    let themselves = world().anonymous().basic(&alone.email, &alone.password);
    let refused = themselves.post(&erase_path(alone.slug()), &confirm);
    assert!(refused.expect(409).string("detail").contains("owner"));
    assert!(!theirs.is_empty());

    let themselves = world().anonymous().basic(&two.email, &two.password);
    let confirm = json!({ "confirm": two.email });
    themselves
        .post(&erase_path(two.slug()), &confirm)
        .expect(200);
}

const MARIE: &str = "marie.sklodowska@example.com";
/// All that is known of her.
const WORDS: [&str; 4] = [MARIE, "marie-sklodowska", "Marie Curie", "MariesLaptop"];

/// Fills everything that may hold her name or address: invitations that are taken back and followed, an
/// account, a key that is used and rotated.
fn let_marie_in(server: &Server) {
    let owner = owner_of(server);
    let invite = || {
        let body = json!({ "email": MARIE, "role": "member" });
        let invited = owner.post("/v1/orgs/acme/members", &body).expect(201);
        invited.member("invitation")
    };
    let taken_back = invite()["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/orgs/acme/invitations/{taken_back}");
    owner.delete(&path).expect(204);
    let accept = json!({
        "token": invite()["token"],
        "password": "polonium and radium",
        "name": "Marie Curie",
    });
    let nobody = server.client().header("User-Agent", "MariesLaptop/1.0");
    nobody.post("/v1/invitations/accept", &accept).expect(201);
    let marie = nobody.basic(MARIE, "polonium and radium");
    let key = make_key(&marie, &json!({ "handle": "lab" })).string("token");
    nobody.x_api_key(&key).get("/v1/me").expect(200);
    let grace = json!({ "grace_seconds": 60 });
    marie.post("/user/keys/lab/rotate", &grace).expect(200);
    let events = owner.get("/v1/events?limit=1000").expect(200);
    for words in [MARIE, "Marie Curie", "MariesLaptop/1.0"] {
        assert!(events.contains(words), "{words} is told before");
    }
}

/// No answer tells of her; the events, which do say that there was somebody.
fn events_without_marie(server: &Server) -> Vec<Value> {
    let owner = owner_of(server);
    for path in [
        "/v1/events?limit=1000",
        "/v1/orgs/acme/members",
        "/v1/orgs/acme/invitations",
        "/v1/orgs/acme/usage",
        "/v1/orgs/acme/hygiene",
    ] {
        let reply = owner.get(path).expect(200);
        for words in WORDS {
            assert!(!reply.contains(words), "{path} tells {words}");
        }
    }
    let events = owner.get("/v1/events?limit=1000").expect(200);
    let events = events.member("items");
    let events = events.as_array().expect("a list").clone();
    let mut accepted = events.iter();
    let accepted = accepted.find(|event| event["type"] == "InvitationAccepted");
    let accepted = accepted.expect("she came in");
    assert_eq!(accepted["data"]["registered"]["email"], "erased");
    assert_eq!(accepted["source"], "erased");
    assert_eq!(accepted["client"], "erased");
    let mut used = events.iter();
    let is_hers =
        |event: &&Value| event["type"] == "ApiKeyFirstUsed" && event["client"] == "erased";
    assert!(
        used.any(|event| is_hers(&event)),
        "from where her key was used"
    );
    events
}

/// Goal: after an erasure nothing of a person can be read, by nobody and nowhere, while every record and
/// every proof is as it was. Method: all answers and files are searched, also after a restart, and a copy
/// of the store of before is put back under the keys of now.
#[test]
fn n123_nothing_of_an_erased_person_is_left_and_the_ledger_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let launch = Launch::new().data_dir(&data);
    let mut server = launch.env("KEYLEDGER_SNAPSHOT_EVERY", "5").start();
    let_marie_in(&server);
    server.stop();
    let before = folder.path().join("before");
    copy_folder(&data, &before);

    server.start_again();
    let path = erase_path("marie-sklodowska");
    let confirm = json!({ "confirm": MARIE });
    owner_of(&server).post(&path, &confirm).expect(200);
    let told = events_without_marie(&server);
    server.stop();
    server.assert_ledger_verifies();
    for words in WORDS {
        assert_eq!(file_with(&data, words), None, "{words}");
        assert_eq!(file_with(&before, words), None, "{words}, sealed before");
    }
    server.start_again();
    let again = events_without_marie(&server);
    assert_eq!(again[..told.len()], told[..], "every record is as it was");
    server.stop();

    for keys in ["people.key", "master.key"] {
        let now = data.join("keys").join(keys);
        std::fs::copy(now, before.join("keys").join(keys)).expect("put in");
    }
    let server = Launch::new().data_dir(&before).start();
    let owner = owner_of(&server);
    let members = owner.get("/v1/orgs/acme/members").expect(200);
    let members = members.member("items");
    assert_eq!(members.as_array().expect("a list").len(), 2, "she was in");
    events_without_marie(&server);
    let marie = server.client().basic(MARIE, "polonium and radium");
    marie.get("/v1/me").expect_401(INVALID_PASSWORD);
}
