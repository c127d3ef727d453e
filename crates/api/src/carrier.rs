//! The four ways to carry a credential, of which a request uses exactly one.
//!
//! ```text
//! Authorization: Basic base64(email:password)      a person
//! Authorization: Basic base64(service-slug:key)    a service
//! Authorization: Bearer key      Authorization: token key      X-Api-Key: key
//! ```

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::passwords::Password;
use crate::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request carries.
pub(crate) enum Carried<'r> {
    /// Nothing.
    Nothing,
    /// A key or token.
    Key(&'r str),
    /// A name and a password, or a service's slug and key.
    Basic {
        /// Who they say they are.
        username: String,
        /// What they show for it.
        password: Password,
        /// The same, if it has the form of a key.
        key: Option<String>,
    },
}

impl<'r> Carried<'r> {
    /// Reads what a request carries. Nothing is looked up yet.
    ///
    /// # Errors
    /// 400 for more than one credential, whichever and however equal: a proxy and we might pick
    /// different ones. 401 for one that is in no known form.
    pub(crate) fn of(request: &'r HttpRequest) -> Result<Self, Problem> {
        let headers = request.headers();
        let mut values = headers
            .get_all(AUTHORIZATION)
            .map(|value| (true, value))
            .chain(headers.get_all(X_API_KEY).map(|value| (false, value)));
        let Some((authorization, value)) = values.next() else {
            return Ok(Self::Nothing);
        };
        if values.next().is_some() {
            return Err(Problem::several_credentials());
        }
        let bytes = value.as_bytes();
        // Lists of credentials, joined by somebody on the way.
        if bytes.contains(&b',') {
            return Err(Problem::several_credentials());
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Problem::invalid_token())?;
        if !authorization {
            return Ok(Self::Key(text));
        }
        let (scheme, rest) = text.split_once(' ').ok_or_else(Problem::invalid_token)?;
        if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
            return Ok(Self::Key(rest));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest.trim()).ok_or_else(Problem::invalid_password);
        }
        Err(Problem::invalid_token())
    }
}

/// RFC 7617 §2: the user-id ends at the first colon; the text is UTF-8 (§2.1).
fn basic(encoded: &str) -> Option<Carried<'static>> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (username, password) = decoded.split_once(':')?;
    if username.is_empty() && password.is_empty() {
        return None;
    }
    let key = keyledger_domain::credential::parse(password)
        .is_ok()
        .then(|| password.to_owned());
    let password = Password::new(password.to_owned());
    Some(Carried::Basic {
        username: username.to_owned(),
        password,
        key,
    })
}
