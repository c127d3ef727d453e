//! Guessing: passwords and keys are tried until the server no longer looks at them, and whoever has
//! the right one elsewhere is not kept out.

use std::time::{Duration, Instant};

use keyledger_tests::{
    Client, INVALID_PASSWORD, INVALID_TOKEN, Launch, OWNER_EMAIL, OWNER_PASSWORD, Reply,
    credential, raw, say,
};
use serde_json::json;

use crate::world::{World, make_key, unique, world};

/// Where attackers sit: none of it is 127.0.0.1, where the owner is.
const ATTACKER: [u8; 4] = [127, 0, 7, 9];
const ANOTHER: [u8; 4] = [127, 0, 8, 9];
/// A key that anybody may ask who they are with.
const ME: &str = "/v1/me";

/// A world of its own, with the limits that hold where nothing is said.
fn guarded() -> World {
    World::on(Launch::new().start())
}

fn wait_of(reply: &Reply) -> u64 {
    assert_eq!(reply.status(), 429, "{reply:?}");
    let seconds = reply.header("Retry-After").expect("a Retry-After");
    seconds.parse().expect("whole seconds")
}

/// How many of the answers have this status.
fn count(replies: &[Reply], status: u16) -> usize {
    replies
        .iter()
        .filter(|reply| reply.status() == status)
        .count()
}

/// Seconds that have begun since then.
fn seconds_since(then: Instant) -> usize {
    usize::try_from(then.elapsed().as_secs()).expect("a short while") + 1
}

#[test]
fn n88_guesses_at_one_key_are_throttled_by_id_and_source_and_the_key_goes_on() {
    let world = guarded();
    let body = json!({ "handle": unique("guessed") });
    let key = make_key(&world.owner(), &body).string("token");
    let attacker = world.anonymous().at(ATTACKER);
    let guess = |from: &Client, id: &str| {
        from.x_api_key(&credential::forged("sk", "live", id))
            .get(ME)
    };

    let began = Instant::now();
    let guesses: Vec<Reply> = (0..80)
        .map(|_| guess(&attacker, credential::id_of(&key)))
        .collect();
    let looked_at = count(&guesses, 401);
    assert!(guesses[..60].iter().all(|reply| reply.status() == 401));
    assert!(looked_at <= 60 + seconds_since(began), "{looked_at} of 80");
    assert_eq!(count(&guesses, 429), 80 - looked_at);
    let refused = guesses.iter().find(|reply| reply.status() == 429);
    assert!(wait_of(refused.expect("one that was refused")) >= 1);

    // By source: another id, from there.
    let others: Vec<Reply> = (0..5).map(|_| guess(&attacker, "000000000")).collect();
    assert!(count(&others, 429) > 0, "{others:?}");
    // By id: the same one, from elsewhere; whereas another one is looked at.
    let another = world.anonymous().at(ANOTHER);
    let spread: Vec<Reply> = (0..5)
        .map(|_| guess(&another, credential::id_of(&key)))
        .collect();
    assert!(count(&spread, 429) > 0, "{spread:?}");
    guess(&another, "000000000").expect_401(INVALID_TOKEN);
    // The key itself, from everywhere.
    for client in [&attacker, &another, &world.anonymous()] {
        client.x_api_key(&key).get(ME).expect(200);
    }
}

#[test]
fn n88_who_asks_about_wrong_keys_is_not_who_guesses() {
    let world = guarded();
    let body = json!({ "handle": unique("asked-about") });
    let key = make_key(&world.owner(), &body).string("token");
    let forged = credential::forged("sk", "live", credential::id_of(&key));
    let verify = |key: &str| {
        let answer = world
            .owner()
            .post("/v1/keys/verify", &json!({ "key": key }))
            .expect(200);
        answer.string("code")
    };
    for _ in 0..100 {
        assert_eq!(verify(&forged), "not_found");
    }
    assert_eq!(verify(&key), "valid");
    // The asker's address has its own budget whole.
    let stranger = credential::forged("sk", "live", "000000000");
    let asker = world.anonymous().x_api_key(&stranger);
    asker.get(ME).expect_401(INVALID_TOKEN);
    // The id's is spent.
    let from_elsewhere = world.anonymous().at(ATTACKER).x_api_key(&forged);
    let guesses: Vec<Reply> = (0..5).map(|_| from_elsewhere.get(ME)).collect();
    assert!(count(&guesses, 429) > 0, "{guesses:?}");
}

#[test]
fn n89_a_hundred_wrong_passwords_wait_longer_and_longer_and_the_owner_comes_in() {
    let world = guarded();
    let attacker = world.anonymous().at(ATTACKER);
    let wrong = |n: usize| {
        attacker
            .basic(OWNER_EMAIL, &format!("wrong password {n}"))
            .get(ME)
    };

    let began = Instant::now();
    let tries: Vec<Reply> = (0..100).map(wrong).collect();
    assert!(tries[..5].iter().all(|reply| reply.status() == 401));
    let looked_at = count(&tries, 401);
    assert!(looked_at <= 5 + seconds_since(began), "{looked_at} of 100");
    assert_eq!(count(&tries, 429), 100 - looked_at, "{tries:?}");

    // The first second may be over by now, where a hundred requests take as long.
    let refused = tries.iter().rev().find(|reply| reply.status() == 429);
    std::thread::sleep(Duration::from_secs(wait_of(refused.expect("one"))));
    wrong(150).expect_401(INVALID_PASSWORD);
    let mut waits = Vec::new();
    for n in 0..2 {
        let wait = wait_of(&wrong(100 + n));
        // The right password from where the wrong ones came is not looked at either.
        let right = attacker.basic(OWNER_EMAIL, OWNER_PASSWORD);
        assert_eq!(right.get(ME).status(), 429);
        // The owner, meanwhile: by password where it was right before, by key from everywhere.
        world.owner_by_password().get(ME).expect(200);
        world.owner().at(ATTACKER).get(ME).expect(200);
        std::thread::sleep(Duration::from_secs(wait));
        wrong(200 + n).expect_401(INVALID_PASSWORD);
        waits.push(wait_of(&wrong(300 + n)));
    }
    assert!(waits[1] > waits[0] && waits[0] > 1, "{waits:?}");

    // Waited for, the right one comes in, and is counted from nought again.
    std::thread::sleep(Duration::from_secs(waits[1]));
    attacker
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get(ME)
        .expect(200);
    for n in 0..5 {
        wrong(400 + n).expect_401(INVALID_PASSWORD);
    }
    assert_eq!(wrong(500).status(), 429);
}

#[test]
fn n89_the_login_page_says_when_to_come_again() {
    let world = guarded();
    let there = world.anonymous().at(ATTACKER);
    for n in 0..5 {
        let body = json!({ "email": OWNER_EMAIL, "password": format!("wrong {n}") });
        there
            .post("/user/token", &body)
            .expect_401(INVALID_PASSWORD);
    }
    let page = crate::pages::login::log_in(&world, &there, OWNER_EMAIL, OWNER_PASSWORD);
    assert_eq!(wait_of(&page), 1);
    assert!(
        page.contains("name=\"password\""),
        "the form is shown again"
    );
    let here = world.anonymous();
    crate::pages::login::log_in(&world, &here, OWNER_EMAIL, OWNER_PASSWORD).expect(303);
}

#[test]
fn n90_one_password_at_many_accounts_is_stopped_by_network_and_all_over() {
    let world = World::on(
        Launch::new()
            .env("KEYLEDGER_LOGIN_NETWORK_FAILURES_PER_HOUR", "6")
            .env("KEYLEDGER_LOGIN_FAILURES_PER_HOUR", "12")
            .start(),
    );
    let mut users = 0;
    let mut stuff = |source: [u8; 4]| {
        users += 1;
        let email = format!("user{users}@example.com");
        let client = world.anonymous().at(source);
        client.basic(&email, "Summer2026!").get(ME)
    };
    let from_one: Vec<Reply> = (0..10).map(|_| stuff([127, 1, 1, 1])).collect();
    assert_eq!((count(&from_one, 401), count(&from_one, 429)), (6, 4));
    assert!(wait_of(&from_one[9]) > 60);
    assert_eq!(stuff([127, 1, 1, 2]).status(), 429, "its whole network");

    let from_many: Vec<Reply> = (0..10).map(|n| stuff([127, 2, n, 1])).collect();
    assert_eq!((count(&from_many, 401), count(&from_many, 429)), (6, 4));
    assert_eq!(stuff([127, 9, 9, 9]).status(), 429, "from all over");

    world.owner_by_password().get(ME).expect(200);
    world.owner().at([127, 1, 1, 1]).get(ME).expect(200);
}

/// An answer byte by byte, without what is another one in each: the values of three headers, the id of
/// a decision, and the order of the headers, which the HTTP library draws by lot for each answer.
fn bytes_of(port: u16, user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let head = format!("GET /v1/me HTTP/1.1\r\nAuthorization: Basic {pair}");
    let sent = raw::send(port, head.as_bytes(), b"").expect("a connection");
    let answer = String::from_utf8(sent.answer()).expect("text");
    let volatile = ["date: ", "x-request-id: ", "keyledger-decision: "];
    let lines = answer.split("\r\n").map(|line| {
        let lower = line.to_ascii_lowercase();
        let name = volatile.into_iter().find(|name| lower.starts_with(name));
        name.map_or_else(|| without_decision(line), str::to_owned)
    });
    let mut lines: Vec<String> = lines.collect();
    // The first line is the status, the last the body, and the one before it is empty.
    let headers = 1..lines.len() - 2;
    lines[headers].sort();
    lines.join("\n")
}

/// A line without the id of a decision, of which every refusal has its own.
fn without_decision(line: &str) -> String {
    match line.split_once("\"decision\":\"") {
        Some((before, rest)) => {
            let behind = rest.split_once('"').map_or("", |(_, behind)| behind);
            format!("{before}\"decision\":{behind}")
        }
        None => line.to_owned(),
    }
}

#[test]
fn n91_an_unknown_user_and_a_wrong_password_are_answered_alike() {
    let port = world().server().port();
    let person = world().person("member");
    let known = bytes_of(port, &person.email, "a wrong password");
    assert!(known.starts_with("HTTP/1.1 401"), "{known}");
    let unknown = bytes_of(port, "nobody.at.all@example.com", "a wrong password");
    assert_eq!(unknown, known);

    // In turn, so that whatever else the machine does meets both.
    let time = |user: &str| {
        let began = Instant::now();
        let client = world().anonymous().basic(user, "a wrong password");
        client.get(ME).expect_401(INVALID_PASSWORD);
        began.elapsed()
    };
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..20 {
        samples[0].push(time(&person.email));
        samples[1].push(time("nobody.at.all@example.com"));
    }
    let [known, unknown] = samples.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    say(&format!(
        "median of 20 wrong logins: known user {known:?}, unknown user {unknown:?}"
    ));
    // That the work is the same is shown where it is done; here, that it is done at all: a hash takes
    // many times what the rest of a request does.
    assert!(unknown * 4 > known && known * 4 > unknown);
}

#[test]
fn n92_the_forms_for_newcomers_tell_nothing_and_bear_no_guessing() {
    let world = guarded();
    let invite = |email: &str| {
        let body = json!({ "email": email, "role": "member" });
        let answer = world
            .owner()
            .post("/v1/orgs/acme/members", &body)
            .expect(201);
        let invitation = answer.member("invitation");
        let text = |name: &str| invitation[name].as_str().expect("a text").to_owned();
        (text("id"), text("token"))
    };
    let (_, open) = invite("open@example.com");
    let (revoked_id, revoked) = invite("revoked@example.com");
    let path = format!("/v1/orgs/acme/invitations/{revoked_id}");
    world.owner().delete(&path).expect(204);
    let kind = open.split('_').next().expect("a kind");
    let attacker = world.anonymous().at(ATTACKER);
    let follow = |from: &Client, token: &str| {
        let body = json!({ "token": token, "password": "a long passphrase 7" });
        from.post("/v1/invitations/accept", &body)
    };
    let wrong_secret = credential::forged(kind, "live", credential::id_of(&open));
    let unknown = credential::forged(kind, "live", "000000000");
    let likeness = follow(&attacker, &unknown).expect(404).likeness();
    for token in [&wrong_secret, &revoked, "nonsense"] {
        assert_eq!(follow(&attacker, token).expect(404).likeness(), likeness);
    }
    let set_up = json!({ "code": "a wrong code", "email": "a@example.com",
        "password": "a long passphrase 7", "organization": "mine" });
    attacker.post("/v1/setup", &set_up).expect(404);

    let guesses: Vec<Reply> = (0..70).map(|_| follow(&attacker, &unknown)).collect();
    assert!(count(&guesses, 429) > 0, "none of 70 was refused");
    let codes: Vec<Reply> = (0..5)
        .map(|_| attacker.post("/v1/setup", &set_up))
        .collect();
    assert!(count(&codes, 429) > 0, "{codes:?}");
    follow(&attacker, &open).expect(201);
}

#[test]
fn n93_passwords_are_whole_or_refused() {
    let world = world();
    let email = format!("{}@example.com", unique("long"));
    let register = |password: &str| {
        let body = json!({ "email": email, "password": password, "role": "member" });
        world.owner().post("/v1/orgs/acme/members", &body)
    };
    let longest = "x".repeat(1_024);
    register(&format!("{longest}x")).expect_field("password");
    register(&longest).expect(201);
    let log_in = |password: &str| world.anonymous().basic(&email, password).get(ME);
    log_in(&longest).expect(200);
    for wrong in [
        format!("{longest}x"),
        longest[1..].to_owned(),
        format!("{}y{}", "x".repeat(72), "x".repeat(951)),
        format!("{}y", "x".repeat(1_023)),
    ] {
        log_in(&wrong).expect_401(INVALID_PASSWORD);
    }
}

#[test]
fn n104_a_session_that_is_left_alone_ends() {
    let world = World::on(
        Launch::new()
            .env("KEYLEDGER_SESSION_IDLE_SECONDS", "3")
            .start(),
    );
    let browser = crate::pages::login::browser_of(&world, OWNER_EMAIL, OWNER_PASSWORD);
    let is_in = || browser.get("/dashboard").status() == 200;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        assert!(is_in(), "it is in use");
        std::thread::sleep(Duration::from_millis(500));
    }
    std::thread::sleep(Duration::from_millis(3_100));
    assert!(!is_in(), "it was left alone");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!is_in(), "and does not come back");
}

#[test]
fn n090_guesses_under_email_and_slug_share_a_budget_and_do_not_tell_of_each_other() {
    let world = guarded();
    let person = world.person("member");
    let stranger = "nobody@example.com";
    let at = |n: u8| world.anonymous().at([127, 0, 100 + n, 1]);
    // Five go free, then one a second, and then every two: four seconds are left.
    for (name, first) in [(person.email.as_str(), 0), (stranger, 20)] {
        for n in 0..7 {
            if n >= 5 {
                std::thread::sleep(Duration::from_secs(1 << (n - 5)));
            }
            let wrong = format!("wrong password {n}");
            let reply = at(first + n).basic(name, &wrong).get(ME);
            reply.expect_401(INVALID_PASSWORD);
        }
        if name == person.email {
            // The right one under the other name, from where nobody was yet, is not compared.
            let under_slug = at(10).basic(person.slug(), &person.password);
            under_slug.get(ME).expect_401(INVALID_PASSWORD);
            assert_eq!(at(11).basic(name, &person.password).get(ME).status(), 429);
        }
    }
    // As with a name that nobody has: the other one is not told to wait.
    at(30)
        .basic("nobody", "wrong password")
        .get(ME)
        .expect_401(INVALID_PASSWORD);
    // Once the delay is over, it is looked at as if nothing had been.
    std::thread::sleep(Duration::from_secs(4));
    let under_slug = at(31).basic(person.slug(), &person.password);
    under_slug.get(ME).expect(200);
    // From there it is a known address, under both names.
    at(31)
        .basic(&person.email, &person.password)
        .get(ME)
        .expect(200);
}
