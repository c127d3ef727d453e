//! Every operation of the served definition, tried by everybody there is: [`table::TABLE`] says what
//! each gets. An operation that is not in the table fails here by its name, and so does a row that
//! is not in the definition; so no route comes in without a word on who may use it.
//!
//! A row that is new: copy the line that the failure prints, and look at each cell. A thing that its
//! path or its body needs and nobody makes yet goes into `things.rs`.
//!
//! What a refused request was about is looked for in the ledger afterwards: nothing may be there.

mod callers;
mod table;
mod things;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use keyledger_tests::{INVALID_PASSWORD, INVALID_TOKEN, NOT_PROVIDED, Reply};
use serde_json::Value;

use callers::{Board, COLUMNS, Caller};
use table::Row;
use things::Things;

/// Addresses that speak RFC 6749 to clients, not to the callers of this table; `tests/e2e/oauth` has
/// them.
const OF_CLIENTS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

/// An operation of the definition: where it is, and which address says what happens there.
struct Operation {
    method: String,
    path: String,
    canonical: String,
}

fn operations(definition: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in definition["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path's operations") {
            if operation.get("responses").is_none() || OF_CLIENTS.contains(&path.as_str()) {
                continue;
            }
            let summary = operation["summary"].as_str().unwrap_or_default();
            let alias_of = summary
                .rsplit_once("(alias of ")
                .and_then(|(_, rest)| rest.strip_suffix(')'));
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                canonical: alias_of.unwrap_or(path).to_owned(),
            });
        }
    }
    found
}

/// Sends one request of a row.
fn send(caller: &Caller, row: &Row, path: &str, body: Option<&Value>) -> Reply {
    caller.client.any(&row.method, path, body)
}

/// A request is refused with what a stranger must be told, and with nothing else.
fn check_refusal(caller: &Caller, reply: &Reply) -> Result<(), String> {
    if reply.status() != 401 {
        return Ok(());
    }
    let detail = match caller.name {
        "nobody" => &[NOT_PROVIDED, INVALID_PASSWORD][..],
        "wrong Basic" => &[INVALID_PASSWORD],
        _ => &[INVALID_TOKEN],
    };
    let said = reply.string("detail");
    if !detail.contains(&said.as_str()) {
        return Err(format!("{} is told {said:?}", caller.name));
    }
    if reply.header("WWW-Authenticate").is_none() {
        return Err(format!("{} gets a 401 without a challenge", caller.name));
    }
    Ok(())
}

/// Tries a row at one of its addresses and tells what is not as the table says.
fn try_row(board: &mut Board, things: &mut Things, row: &Row, address: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut got: Vec<String> = vec![String::from("  -"); COLUMNS.len()];
    // The refusals first: they leave everything as it was, so that one thing does for them all.
    for refusals in [true, false] {
        for place in 0..board.callers.len() {
            let (column, caller) = &board.callers[place];
            let (column, caller) = (*column, caller.clone());
            let Some(expected) = row.cells[column] else {
                continue;
            };
            if (expected >= 400) != refusals {
                continue;
            }
            let path = things.fill_path(board, &caller, row, address);
            let body = things.fill_body(board, &caller, row);
            let reply = send(&caller, row, &path, body.as_ref());
            got[column] = reply.status().to_string();
            if reply.status() != expected {
                wrong.push(format!(
                    "    {}: {expected} is expected of {reply:?}",
                    caller.name
                ));
            }
            if let Err(reason) = check_refusal(&caller, &reply) {
                wrong.push(format!("    {reason}: {reply:?}"));
            }
            if reply.status() < 400 {
                // A GET may leave something too: that a secret was shown is an event.
                board.settle();
                if row.method != "GET" {
                    things.forget();
                }
            }
        }
        if refusals {
            let left = board.left_behind();
            wrong
                .extend(left.iter().map(|event| {
                    format!("    a refused request left this in the ledger: {event}")
                }));
        }
    }
    if !wrong.is_empty() {
        let cells = got.iter().fold(String::new(), |mut cells, cell| {
            let _ = write!(cells, " {cell:>3}");
            cells
        });
        wrong.insert(
            0,
            format!("{:<6} {:<46}{cells}  is what came:", row.method, address),
        );
    }
    wrong
}

#[test]
fn everybody_gets_what_the_table_says_and_a_refusal_changes_nothing() {
    let mut board = Board::set_up();
    let rows = table::rows();
    let mut things = Things::default();
    let operations = operations(&board.definition());
    let mut wrong: Vec<String> = Vec::new();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for operation in &operations {
        let row = rows
            .iter()
            .find(|row| row.method == operation.method && row.path == operation.canonical);
        let Some(row) = row else {
            wrong.push(format!(
                "{} {} is in the definition, and matrix/table.rs has no row for it. Add one:\n\
                 {:<6} {:<46}{}  {{}}\n    and set each cell to what the caller above it is to get",
                operation.method,
                operation.path,
                operation.method,
                operation.canonical,
                " 401".repeat(COLUMNS.len()),
            ));
            continue;
        };
        *seen
            .entry((row.method.clone(), row.path.clone()))
            .or_default() += 1;
        things.forget();
        wrong.extend(try_row(&mut board, &mut things, row, &operation.path));
    }
    for row in &rows {
        if !seen.contains_key(&(row.method.clone(), row.path.clone())) {
            wrong.push(format!(
                "{} {} is in matrix/table.rs, and the definition does not have it",
                row.method, row.path
            ));
        }
    }
    assert!(
        operations.len() >= 75,
        "only {} operations in the definition",
        operations.len()
    );
    assert!(
        wrong.is_empty(),
        "the table and the server disagree:\n{:<53} {}\n{}",
        "",
        COLUMNS.map(|name| name.get(..3).unwrap_or(name)).join(" "),
        wrong.join("\n")
    );
}

/// What an answer says, without the name that was asked for: names differ, and nothing else may.
fn without_name(reply: &Reply, names: &[String]) -> (u16, String, Vec<String>) {
    let (status, body, headers) = reply.likeness();
    let mut text = body.to_string();
    for name in names {
        text = text.replace(name.as_str(), "NAME");
    }
    (status, text, headers)
}

/// Two requests that must be answered alike, for the first names what another organization has and
/// the second what never was.
fn check_alike(
    caller: &Caller,
    row: &Row,
    foreign: &Asked,
    never: &Asked,
    wrong: &mut Vec<String>,
) {
    let send = |asked: &Asked| send(caller, row, &asked.path, asked.body.as_ref());
    let (first, second) = (send(foreign), send(never));
    let refused = match first.status() {
        404 => true,
        // Who may not do it anywhere is told so before anything is looked for; and a list of names
        // in a body is a body that is not right.
        403 | 422 => foreign.in_own_org,
        _ => false,
    };
    let likeness = |reply| {
        without_name(
            reply,
            &foreign
                .names
                .iter()
                .chain(&never.names)
                .cloned()
                .collect::<Vec<_>>(),
        )
    };
    if !refused {
        wrong.push(format!("{} reaches into acme: {first:?}", caller.name));
    } else if likeness(&first) != likeness(&second) {
        wrong.push(format!(
            "{} can tell what acme has from what never was: {first:?} / {second:?}",
            caller.name
        ));
    }
}

/// A request, and the names in it that belong to acme or to nobody.
struct Asked {
    path: String,
    body: Option<Value>,
    names: Vec<String>,
    in_own_org: bool,
}

#[test]
fn n110_what_another_organization_has_is_answered_like_what_never_was() {
    let mut board = Board::set_up();
    let rows = table::rows();
    let mut things = Things::default();
    let strangers = board.strangers();
    let mut wrong = Vec::new();
    let mut pairs = 0;
    for operation in operations(&board.definition()) {
        let row = rows
            .iter()
            .find(|row| row.method == operation.method && row.path == operation.canonical);
        // The test above names what is missing.
        let Some(row) = row else { continue };
        // The tree is over all that the server has recorded; its hashes tell nothing of it.
        if row.path == "/v1/log/tile/{level}/{index}" {
            continue;
        }
        things.forget();
        let owner = board.owner();
        let body = things.fill_body(&mut board, &owner, row);
        let real = things.names_in(&mut board, &owner, row, &operation.path);
        let in_body = things.names_in_body(&mut board, &owner, row);
        for stranger in &strangers {
            let mut compare = |foreign: Asked, never: Asked| {
                check_alike(stranger, row, &foreign, &never, &mut wrong);
                pairs += 1;
            };
            let ask = |org: &str, names: &[String], body: Option<Value>| Asked {
                path: things::with_names(&operation.path, org, names),
                body,
                names: [names, &[org.to_owned()]].concat(),
                in_own_org: org == board.rival(),
            };
            let never: Vec<String> = real.iter().map(|_| things::never_made()).collect();
            if operation.path.contains("{org}") {
                compare(
                    ask("acme", &real, body.clone()),
                    ask("never-made", &real, body.clone()),
                );
            }
            // Handles are each user's own: the stranger asks for one that somebody else has.
            if !real.is_empty() {
                compare(
                    ask(board.rival(), &real, body.clone()),
                    ask(board.rival(), &never, body.clone()),
                );
            }
            if let Some(text) = body.as_ref().map(Value::to_string)
                && !in_body.is_empty()
                && operation.path.contains("{org}")
            {
                let made_up = in_body.iter().fold(text.clone(), |text, name| {
                    text.replace(name.as_str(), &things::never_made())
                });
                let with = |text: &str| serde_json::from_str(text).ok();
                let mut foreign = ask(board.rival(), &never, with(&text));
                let mut never = ask(board.rival(), &never, with(&made_up));
                foreign.names.extend(in_body.iter().cloned());
                never.names.push(things::never_made());
                compare(foreign, never);
            }
        }
    }
    let owner = board.owner();
    let service = things.thing(&mut board, &owner, "services");
    let member = things.thing(&mut board, &owner, "members");
    let never = things::never_made();
    for (query, foreign) in [
        ("organization=", "acme"),
        ("actor=user:", &member),
        ("actor=", &service),
        ("target=user:", &member),
    ] {
        for stranger in &strangers {
            let ask = |name: &str| stranger.client.get(&format!("/v1/events?{query}{name}"));
            let (first, second) = (ask(foreign), ask(&never));
            let names = [foreign.to_owned(), never.clone()];
            if without_name(&first, &names) != without_name(&second, &names)
                || first.status() == 200 && first.json()["items"] != serde_json::json!([])
            {
                wrong.push(format!("{}: {first:?} / {second:?}", stranger.name));
            }
            pairs += 1;
        }
    }
    let left = board.left_behind();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(left.is_empty(), "a refused request left {left:?}");
    assert!(pairs >= 150, "only {pairs} pairs were compared");
}

/// What a key that only reads may send all the same: it asks, or it proves itself by its body.
const ASKED_BY_POST: &[&str] = &[
    "/v1/keys/verify",
    "/v1/user/token",
    "/v1/invitations/accept",
    "/v1/setup",
];

#[test]
fn n108_a_key_that_only_reads_changes_nothing_anywhere() {
    let mut board = Board::set_up();
    let rows = table::rows();
    let mut things = Things::default();
    let reader = board.reader();
    let owner = board.owner();
    let entitlement = COLUMNS.iter().position(|name| *name == "entitlement");
    let entitlement = entitlement.expect("a column");
    let mut count = 0;
    for operation in operations(&board.definition()) {
        let row = rows
            .iter()
            .find(|row| row.method == operation.method && row.path == operation.canonical);
        let Some(row) = row else { continue };
        if row.method == "GET" || ASKED_BY_POST.contains(&row.path.as_str()) {
            continue;
        }
        // What it gets is tried above; that it gets no change is said here.
        let cell = row.cells[entitlement];
        assert!(cell.is_some_and(|status| status >= 400), "{}", row.path);
        things.forget();
        let path = things.fill_path(&mut board, &owner, row, &operation.path);
        let body = things.fill_body(&mut board, &owner, row);
        send(&reader, row, &path, body.as_ref()).expect(403);
        for header in [
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
        ] {
            let disguised = reader.client.header(header, "GET");
            disguised.any(&row.method, &path, body.as_ref()).expect(403);
            let disguised = reader.client.header(header, &row.method);
            for method in ["GET", "HEAD", "OPTIONS"] {
                let reply = disguised.any(method, &path, None);
                reply.expect_one_of(&[200, 204, 403, 404, 405]);
            }
        }
        let left = board.left_behind();
        assert!(left.is_empty(), "{} {path} left {left:?}", row.method);
        count += 1;
    }
    assert!(count >= 40, "only {count} changes were tried");
}
