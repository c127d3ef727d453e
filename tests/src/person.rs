//! A person in a browser without JavaScript, who is asked whether an app may act for them.

use crate::{Client, Reply};

/// The value of a hidden field of a page.
pub fn field(page: &Reply, name: &str) -> Option<String> {
    let marker = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.text().split_once(&marker)?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}

fn cookie_of(reply: &Reply, name: &str) -> String {
    let all = reply.headers("set-cookie");
    let line = all.iter().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no cookie {name}"));
    line.split(';').next().unwrap_or_default().to_owned()
}

#[track_caller]
fn post(browser: &Client, path: &str, fields: &[(&str, String)]) -> Reply {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    browser.post_form(path, &fields).expect(303)
}

/// Follows an app's address (a path with a query): logs in, answers `allow` or `deny`, and gives where the
/// app is called at.
#[track_caller]
pub fn answer(nobody: &Client, who: (&str, &str), path: &str, decision: &str) -> String {
    let login = nobody.get(path).expect(303);
    let login = nobody
        .get(login.header("location").expect("a way"))
        .expect(200);
    let visitor = nobody.header("Cookie", &cookie_of(&login, "__Host-keyledger-visit"));
    let signed_in = post(
        &visitor,
        "/login",
        &[
            ("csrf", field(&login, "csrf").expect("a field")),
            ("next", field(&login, "next").expect("a field")),
            ("email", who.0.to_owned()),
            ("password", who.1.to_owned()),
        ],
    );
    let cookie = cookie_of(&signed_in, "__Host-keyledger-session");
    let session = nobody.header("Cookie", &cookie);
    let asked = session.get(signed_in.header("location").expect("a way"));
    // Somebody who said yes before is not asked again.
    if asked.status() == 303 {
        return asked.header("location").expect("a way back").to_owned();
    }
    let sent = post(
        &session,
        "/oauth/authorize",
        &[
            ("csrf", field(&asked, "csrf").expect("a field")),
            ("request", field(&asked, "request").expect("a field")),
            ("decision", decision.to_owned()),
        ],
    );
    sent.header("location").expect("a way back").to_owned()
}

/// The value of a parameter in an address that an app is called at.
#[track_caller]
pub fn parameter(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').expect("a query");
    let found = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("no {name}")).to_owned()
}
