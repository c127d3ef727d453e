//! Every way of asking for events, by somebody who names what another organization has.

use keyledger_tests::Client;
use keyledger_tests::credential::id_of;
use serde_json::{Value, json};

use super::{all, items, position};
use crate::world::{unique, world};

/// An organization with something of each kind, all of it done from one address.
struct Org {
    slug: String,
    /// Its owner, who did it.
    boss: Client,
    email: String,
    user_slug: String,
    user: String,
    credential: String,
    /// A service, as an event tells it, its slug and its name.
    service: String,
    service_slug: String,
    service_name: String,
    /// The event of a team that went.
    deletion: Value,
}

impl Org {
    /// `part` is the third of the address's numbers.
    fn make(part: u8) -> Self {
        let (slug, person) = world().other_org();
        let boss = world().with_key(&person.key).at([127, 0, part, 7]);
        let name = unique("Of one only");
        let path = format!("/v1/orgs/{slug}/services");
        let made = boss.post(&path, &json!({ "name": name })).expect(201);
        let teams = format!("/v1/orgs/{slug}/teams");
        let team = boss
            .post(&teams, &json!({ "name": "Short" }))
            .expect(201)
            .string("slug");
        boss.delete(&format!("{teams}/{team}")).expect(204);
        let deletion = items(&boss.get("/v1/events?type=TeamDeleted").expect(200)).remove(0);
        Self {
            user: boss.get("/v1/me").expect(200).string("id"),
            email: person.email.clone(),
            user_slug: person.slug().to_owned(),
            credential: id_of(&person.key).to_owned(),
            service: format!("service:{}", made.string("id")),
            service_slug: made.string("slug"),
            service_name: name,
            deletion,
            slug,
            boss,
        }
    }

    /// What would tell of it, wherever it stood.
    fn marks(&self) -> [&str; 7] {
        [
            &self.slug,
            &self.email,
            &self.user,
            &self.credential,
            &self.service,
            &self.service_slug,
            &self.service_name,
        ]
    }

    #[track_caller]
    fn assert_not_in(&self, what: &str, text: &str) {
        for mark in self.marks() {
            assert!(!text.contains(mark), "{what} tells {mark}");
        }
    }
}

/// The lines of a stream that hold events.
fn streamed(client: &Client, query: &str) -> Vec<String> {
    let path = format!("/v1/events/stream?after=0&seconds=0&{query}");
    let told = client.get(&path).expect(200);
    let events = told
        .text()
        .lines()
        .filter(|line| line.starts_with("data: "));
    events.map(str::to_owned).collect()
}

#[test]
fn n121_no_filter_finds_another_organizations_events() {
    let (ours, theirs) = (Org::make(81), Org::make(82));
    let nobody = "00000000-0000-4000-8000-000000000000";
    // What names something of theirs, and the same of what is not there at all.
    let rows = [
        (
            "actor",
            theirs.email.clone(),
            "nobody@example.net".to_owned(),
        ),
        ("actor", theirs.user_slug.clone(), "nobody-here".to_owned()),
        (
            "actor",
            format!("user:{}", theirs.user),
            format!("user:{nobody}"),
        ),
        (
            "target",
            theirs.service.clone(),
            format!("service:{nobody}"),
        ),
        (
            "credential",
            theirs.credential.clone(),
            "000000000".to_owned(),
        ),
        ("source", "127.0.82.7".to_owned(), "127.0.83.7".to_owned()),
        (
            "source",
            "127.0.82.0/24".to_owned(),
            "127.0.83.0/24".to_owned(),
        ),
    ];
    for (filter, there, nowhere) in &rows {
        let asked = format!("{filter}={there}");
        for direction in ["", "&order=asc", "&order=desc"] {
            let page = |value: &str, direction: &str| {
                let path = format!("/v1/events?{filter}={value}&limit=1000{direction}");
                ours.boss.get(&path).expect(200).json()
            };
            let answer = page(there, direction);
            assert_eq!(answer, page(nowhere, direction), "{asked}");
            assert_eq!(answer, json!({ "items": [], "next": null }), "{asked}");
            let path = format!("/v1/events?{asked}{direction}");
            let found = items(&theirs.boss.get(&path).expect(200));
            assert!(!found.is_empty(), "{asked}: they find it themselves");
        }
        assert_eq!(
            streamed(&ours.boss, &asked),
            streamed(&ours.boss, &format!("{filter}={nowhere}"))
        );
        assert_eq!(streamed(&ours.boss, &asked), [""; 0], "{asked}");
        assert!(!streamed(&theirs.boss, &asked).is_empty(), "{asked}");
    }
    // What names nothing of anybody's, and would find theirs beside ours.
    let at = position(&theirs.deletion);
    let when = theirs.deletion["time"].as_str().expect("a time");
    let shared = [
        "type=TeamDeleted".to_owned(),
        "type=Team*".to_owned(),
        "type=*".to_owned(),
        "source=127.0.0.0/8".to_owned(),
        "source=127.0.80.0/20".to_owned(),
        "after=0".to_owned(),
        "order=desc".to_owned(),
        format!("after={}&before={}", at - 1, at + 1),
        format!("before={}&order=desc", at + 1),
        format!("since={when}"),
        format!("since={when}&order=desc"),
        format!("type=Team*&since={when}&after={}", at - 1),
    ];
    for query in &shared {
        let path = format!("/v1/events?limit=1000&{query}");
        let found = ours.boss.get(&path).expect(200);
        theirs.assert_not_in(query, found.text());
        for event in items(&found) {
            assert_eq!(event["organization"], *ours.slug, "{query}");
        }
        let found = theirs.boss.get(&path).expect(200);
        assert!(
            items(&found).contains(&theirs.deletion),
            "{query}: they find it themselves"
        );
        ours.assert_not_in(query, found.text());
    }
    for query in shared
        .iter()
        .filter(|query| query.starts_with(['t', 's']) && !query.contains("since"))
    {
        let told = streamed(&ours.boss, query).join("\n");
        assert!(!told.is_empty(), "{query}");
        theirs.assert_not_in(query, &told);
    }
    let one = format!("/v1/events?after={}&before={}", at - 1, at + 1);
    assert!(items(&ours.boss.get(&one).expect(200)).is_empty());
}

#[test]
fn n121_another_organization_is_not_there_whatever_is_asked_of_it() {
    let (ours, theirs) = (Org::make(84), Org::make(85));
    let like = |there: &str, nowhere: &str| {
        let refused = ours.boss.get(there).expect(404);
        assert_eq!(
            refused.likeness(),
            ours.boss.get(nowhere).expect(404).likeness(),
            "{there}"
        );
        let found = theirs.boss.get(there).status();
        assert_eq!(found, 200, "{there}: they find it themselves");
    };
    // Not as an organization,
    let ends = [
        "",
        "&order=desc",
        "&type=TeamDeleted",
        "&after=0",
        "&since=2026-01-01T00:00:00Z",
        "&source=127.0.0.0/8",
    ];
    for end in ends {
        let path = |org: &str| format!("/v1/events?organization={org}{end}");
        like(&path(&theirs.slug), &path("never-made"));
    }
    let stream = |org: &str| format!("/v1/events/stream?organization={org}&after=0&seconds=0");
    like(&stream(&theirs.slug), &stream("never-made"));
    // not by any position,
    for event in all(&theirs.boss, 1_000) {
        let at = position(&event);
        for end in ["", "/record", "/proof"] {
            like(
                &format!("/v1/events/{at}{end}"),
                &format!("/v1/events/999999999999{end}"),
            );
        }
    }
    // not in what was,
    let at = position(&theirs.deletion);
    for list in ["services", "members", "teams", "clients", "entitlements"] {
        let path = |org: &str| format!("/v1/orgs/{org}/{list}?at={at}");
        like(&path(&theirs.slug), &path("never-made"));
    }
    let service = |org: &str| format!("/v1/orgs/{org}/services/{}?at={at}", theirs.service_slug);
    like(&service(&theirs.slug), &service("never-made"));
    let credential = |id: &str| format!("/v1/credentials/{id}?at={at}");
    like(&credential(&theirs.credential), &credential("000000000"));
    let differences = |org: &str| format!("/v1/orgs/{org}/differences?from=1&to={at}");
    like(&differences(&theirs.slug), &differences("never-made"));
    // and not beside ours.
    for path in [
        format!("/v1/orgs/{}/services?at={at}", ours.slug),
        format!("/v1/orgs/{}/members?at={at}", ours.slug),
        format!("/v1/orgs/{}/differences?from=1&to={at}", ours.slug),
    ] {
        let told = ours.boss.get(&path).expect(200);
        theirs.assert_not_in(&path, told.text());
    }
    let beside = format!(
        "/v1/orgs/{}/services/{}?at={at}",
        ours.slug, theirs.service_slug
    );
    ours.boss.get(&beside).expect(404);
}
