//! A person in a browser without JavaScript, who is asked whether an app may act for them.

use crate::Client;
use crate::browser::Browser;

/// Follows an app's address (a path with a query): logs in, answers `allow` or `deny`, and gives where the
/// app is called at.
#[track_caller]
pub fn answer(nobody: &Client, who: (&str, &str), path: &str, decision: &str) -> String {
    let mut browser = Browser::new(nobody);
    let to_login = browser.get(path);
    let login = browser.follow(&to_login);
    let signed_in = browser.sign_in(&login, who);
    let asked = browser.follow(&signed_in);
    // Somebody who said yes before is not asked again.
    let back = if asked.status() == 303 {
        asked
    } else {
        let filled = [("decision", decision)];
        browser
            .submit(&asked, "/oauth/authorize", &filled)
            .expect(303)
    };
    back.header("location").expect("a way back").to_owned()
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
