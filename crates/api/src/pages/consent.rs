//! The page on which a person is asked whether an app may act for them.
//!
//! What it says is what is decided: it names the app, whose it is, who is signed in, each right in
//! words, for how long, and where the answer is sent to. Names that others chose are only ever text.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use askama::Template;
use keyledger_domain::id::OrgId;
use keyledger_domain::redirect_uri::RedirectUri;
use keyledger_domain::scope::{Access, find_built_in};
use keyledger_domain::{Directory, Scope};

use super::content_security_policy;
use super::layout::{PageError, show};
use super::local_path::LocalPath;
use crate::problem::Problem;

/// The page.
#[derive(Template)]
#[template(path = "consent.html")]
pub(super) struct ConsentPage {
    /// The hidden field against forged forms.
    pub(super) csrf: String,
    /// What the form names its request by.
    pub(super) request: String,
    /// Where to come back to after signing in as somebody else, unless it is too long.
    pub(super) next: Option<LocalPath>,
    /// The app's name, as whoever registered it chose it.
    pub(super) client: String,
    /// The organization that registered it.
    pub(super) organization: String,
    /// Whether it is of the environment `test`.
    pub(super) is_test: bool,
    /// The person's name.
    pub(super) name: String,
    /// The person's address.
    pub(super) email: String,
    /// Why they cannot allow it, if they cannot.
    pub(super) barred: Option<&'static str>,
    /// What the app gets.
    pub(super) rights: Vec<RightRow>,
    /// What it asked for and does not get, because the person may not do it.
    pub(super) withheld: Vec<String>,
    /// For how long, as a sentence.
    pub(super) lasts: String,
    /// For which servers besides this one's own API.
    pub(super) resources: Vec<String>,
    /// Where the answer is sent to.
    pub(super) destination: Destination,
}

impl ConsentPage {
    /// The page, whose form may be answered with a redirect to the app.
    ///
    /// # Errors
    /// 500 if the policy cannot be written as a header.
    pub(super) fn show(&self, form_action: &str) -> Result<HttpResponse, PageError> {
        let mut response = show(StatusCode::OK, self);
        allow_form_action(&mut response, form_action)?;
        Ok(response)
    }
}

/// Lets the form of a page be redirected to an app. Browsers hold `form-action` against the redirect
/// that follows a form too, and would silently stay on the page.
///
/// # Errors
/// 500 if it is no source that a policy can name; a registered address always gives one.
pub(super) fn allow_form_action(
    response: &mut HttpResponse,
    form_action: &str,
) -> Result<(), PageError> {
    // Nothing that ends the directive or begins another.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".:/-*".contains(&b);
    if !form_action.bytes().all(plain) {
        tracing::error!("a redirect address gives no source for a policy");
        return Err(Problem::internal().into());
    }
    let policy = content_security_policy(form_action);
    let policy = HeaderValue::try_from(policy).map_err(|_| Problem::internal())?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    Ok(())
}

/// A right in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RightRow {
    /// What it lets somebody do.
    words: String,
    /// Its name.
    scope: String,
    /// Whether it looks or changes: the class of its mark.
    access: &'static str,
}

impl RightRow {
    /// A right as an organization's catalogue describes it.
    pub(super) fn of(directory: &Directory, org: OrgId, scope: &Scope) -> Self {
        let name = scope.as_str();
        let added = directory.org(org).and_then(|org| org.scopes.get(name));
        let (words, access) = match (find_built_in(name), added) {
            (Some(entry), _) => (
                words_of_built_in(entry.name, entry.description),
                entry.access,
            ),
            (None, Some(entry)) => (entry.description.as_str(), entry.access),
            (None, None) => ("", Access::Write),
        };
        Self {
            // A catalogue may leave the description out; then the name must do.
            words: if words.is_empty() { name } else { words }.to_owned(),
            scope: name.to_owned(),
            access: match access {
                Access::Read => "read",
                Access::Write => "write",
            },
        }
    }
}

/// The catalogue speaks to those who write programs; this one scope means something else to whoever
/// is asked.
fn words_of_built_in(name: &'static str, description: &'static str) -> &'static str {
    if name == "offline_access" {
        "Go on without you being there, without asking again"
    } else {
        description
    }
}

/// How long what is allowed lasts.
pub(super) struct Lasts {
    /// The life of an access token, in seconds.
    pub(super) access_seconds: u64,
    /// The life of what renews it, and how long that may lie unused, in seconds; `None` if the app
    /// gets no such thing.
    pub(super) refresh_seconds: Option<(u64, u64)>,
}

impl Lasts {
    /// As a sentence.
    pub(super) fn words(&self) -> String {
        let access = duration(self.access_seconds);
        match self.refresh_seconds {
            None => format!("For {access}. Then it has to ask you again."),
            Some((whole, idle)) if idle < whole => format!(
                "Until you take it back: at most {}, and less if the app is not used for {}. Each \
                 token it gets is good for {access}.",
                duration(whole),
                duration(idle),
            ),
            Some((whole, _)) => format!(
                "Until you take it back, at most {}. Each token it gets is good for {access}.",
                duration(whole),
            ),
        }
    }
}

/// Seconds in the largest unit that they fill exactly.
fn duration(seconds: u64) -> String {
    let units = [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let fits = |(unit, _): &(u64, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1, "second"));
    let count = seconds / unit;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {name}{plural}")
}

/// Where the answer is sent to, as far as somebody can judge it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// The origin, or the scheme of an app on the device.
    pub(super) address: String,
    /// What that is, where it is no address of the web.
    pub(super) place: Option<&'static str>,
    /// What to beware of.
    pub(super) warning: Option<&'static str>,
}

impl Destination {
    /// Of an address that was asked for and is registered.
    pub(super) fn of(uri: &RedirectUri) -> Self {
        let (place, warning) = if uri.is_https() {
            (None, None)
        } else if uri.is_loopback() {
            (
                Some("A program on this computer."),
                Some(
                    "Any program that runs here can ask in this name. Allow it only if you have \
                     just started the app yourself and expect it to ask.",
                ),
            )
        } else {
            (
                Some("An app on this device that opens such links."),
                Some(
                    "Another app on this device can open the same links. Allow it only if you have \
                     just come from the app yourself and got it from somewhere you trust.",
                ),
            )
        };
        Self {
            address: uri.origin_for_display().to_owned(),
            place,
            warning,
        }
    }
}

/// What a policy must name for a form to be redirected to this address.
pub(super) fn form_action(uri: &RedirectUri) -> String {
    let source = uri.form_action_source();
    // No policy can name an IPv6 address (CSP 3 §2.3.1); its scheme must do.
    match source.split_once("//[") {
        Some((scheme, _)) => scheme.to_owned(),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        text.parse().unwrap()
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (3_600, "1 hour"),
            (5_400, "90 minutes"),
            (86_400, "1 day"),
            (90 * 86_400, "90 days"),
        ] {
            assert_eq!(duration(seconds), words);
        }
        let lasts = |refresh_seconds| {
            let access_seconds = 3_600;
            Lasts {
                access_seconds,
                refresh_seconds,
            }
            .words()
        };
        assert_eq!(lasts(None), "For 1 hour. Then it has to ask you again.");
        assert!(lasts(Some((7_776_000, 2_592_000))).contains("at most 90 days, and less if"));
        assert!(lasts(Some((86_400, 86_400))).contains("at most 1 day. Each"));
    }

    #[test]
    fn people_are_told_where_they_go_and_warned_of_what_no_certificate_vouches_for() {
        let web = Destination::of(&uri("https://app.example:8443/cb"));
        assert_eq!(web.address, "https://app.example:8443");
        assert_eq!(web.warning, None);
        for (text, address, place) in [
            (
                "http://127.0.0.1:8123/cb",
                "http://127.0.0.1:8123",
                "this computer",
            ),
            ("http://[::1]/cb", "http://[::1]", "this computer"),
            ("com.example.app:/cb", "com.example.app:", "this device"),
        ] {
            let shown = Destination::of(&uri(text));
            assert_eq!(shown.address, address);
            assert!(
                shown.place.is_some_and(|words| words.contains(place)),
                "{text}"
            );
            assert!(shown.warning.is_some(), "{text}");
        }
    }

    #[test]
    fn a_policy_names_where_the_form_leads_and_nothing_ends_it() {
        for (text, source) in [
            ("https://app.example/cb", "https://app.example"),
            ("https://[2001:db8::1]/cb", "https:"),
            ("http://[::1]:8080/cb", "http:"),
            ("com.example.app:/cb", "com.example.app:"),
        ] {
            let source_of = form_action(&uri(text));
            assert_eq!(source_of, source);
            let mut response = HttpResponse::Ok().finish();
            allow_form_action(&mut response, &source_of).unwrap();
            let policy = response.headers().get(CONTENT_SECURITY_POLICY).unwrap();
            let policy = policy.to_str().unwrap();
            assert!(policy.contains(&format!(
                "form-action 'self' {source}; frame-ancestors 'none'"
            )));
            assert!(!policy.contains("unsafe"));
        }
        for bad in [
            "https://a.example; script-src *",
            "a b",
            "x,y",
            "'unsafe-inline'",
            "\u{e4}",
        ] {
            let mut response = HttpResponse::Ok().finish();
            assert!(allow_form_action(&mut response, bad).is_err(), "{bad}");
        }
    }
}
