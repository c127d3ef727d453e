//! A browser without JavaScript: it keeps cookies, fills in the forms that it is shown, and follows no
//! redirect by itself.

use std::collections::BTreeMap;

use crate::{Client, Reply};

/// One browser, with its cookies. No `Debug`: they are sessions. A clone is the same browser with the cookies
/// that it had then.
#[derive(Clone)]
pub struct Browser {
    nobody: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A new one, by a client without credentials.
    pub fn new(nobody: &Client) -> Self {
        Self {
            nobody: nobody.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// The cookie of this name, if there is one.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Puts a cookie there, as an attacker on a neighbouring host might.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Follows a link or redirect.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Reply {
        let reply = self.client().get(path);
        self.keep(&reply);
        reply
    }

    /// Follows a redirect to a page of the same server.
    #[track_caller]
    pub fn follow(&mut self, reply: &Reply) -> Reply {
        assert_eq!(reply.status(), 303, "{reply:?}");
        let location = reply.header("location").expect("a way");
        assert!(location.starts_with('/'), "it leads away: {reply:?}");
        self.get(location)
    }

    /// Posts fields, as the form of a page does.
    #[track_caller]
    pub fn post(&mut self, path: &str, fields: &[(String, String)]) -> Reply {
        let origin = self.nobody.origin();
        let client = self.client().header("Origin", &origin);
        let client = client.header("Sec-Fetch-Site", "same-origin");
        let reply = client.post_form(path, fields);
        self.keep(&reply);
        reply
    }

    /// Sends the form of a page that goes to `action`: its fields as they came, but for what is filled in.
    #[track_caller]
    pub fn submit(&mut self, page: &Reply, action: &str, filled: &[(&str, &str)]) -> Reply {
        let fields = filled_in(form(page, action), filled);
        self.post(action, &fields)
    }

    /// Signs in, on the page that asks for it.
    #[track_caller]
    pub fn sign_in(&mut self, login: &Reply, (email, password): (&str, &str)) -> Reply {
        let filled = [("email", email), ("password", password)];
        self.submit(login, "/login", &filled).expect(303)
    }

    fn client(&self) -> Client {
        if self.cookies.is_empty() {
            return self.nobody.clone();
        }
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.nobody.header("Cookie", &pairs.join("; "))
    }

    fn keep(&mut self, reply: &Reply) {
        for line in reply.headers("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The inputs of the form of a page that goes to `action`, with the values that they come with.
#[track_caller]
pub fn form(page: &Reply, action: &str) -> Vec<(String, String)> {
    assert_eq!(page.status(), 200, "{page:?}");
    let marker = format!("action=\"{action}\"");
    let mut forms = page.text().split("<form").skip(1);
    let form = forms.find(|form| {
        form.split('>')
            .next()
            .is_some_and(|tag| tag.contains(&marker))
    });
    let form = form.unwrap_or_else(|| panic!("no form to {action} in {page:?}"));
    let form = form.split("</form").next().unwrap_or(form);
    let inputs = form.split("<input").skip(1);
    let inputs = inputs.map(|input| input.split('>').next().unwrap_or(input));
    inputs
        .filter_map(|input| {
            let value = attribute(input, "value").unwrap_or_default();
            Some((attribute(input, "name")?, value))
        })
        .collect()
}

/// The fields with these in place of what they came with; a button that was pressed comes as well.
pub fn filled_in(fields: Vec<(String, String)>, filled: &[(&str, &str)]) -> Vec<(String, String)> {
    let is_other = |(name, _): &(String, String)| filled.iter().all(|(its, _)| its != name);
    let filled = filled
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    fields.into_iter().filter(is_other).chain(filled).collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!(" {name}=\""))?.1;
    let value = rest.split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#34;", "\"")
            .replace("&#x27;", "'")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&#60;", "<")
            .replace("&gt;", ">")
            .replace("&#62;", ">")
            .replace("&#38;", "&")
            .replace("&amp;", "&"),
    )
}
