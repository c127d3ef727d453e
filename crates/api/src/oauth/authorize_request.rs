//! What a browser brings to `/oauth/authorize` (RFC 6749 §4.1.1), and the address that it is sent
//! back to. Pure: who the client is comes in, and nothing goes out but a text.
//!
//! The order is the protection. Until the client is known and the address is one that it registered,
//! nobody is sent anywhere: an error is a page of ours ([`Unusable`]). From there on, every error goes
//! back to the client ([`SentBack`]) with its `state` and our name (RFC 9207).

use keyledger_domain::client::{Client, GrantType, PkcePolicy};
use keyledger_domain::id::ClientId;
use keyledger_domain::{RedirectUri, Resource, Scopes};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::oauth::error::{ErrorCode, Refused};
use crate::oauth::narrowing::{resources_within, scopes_within};
use crate::oauth::parameters::{RESOURCE, first_repeated, form_pairs};
use crate::oauth::pkce::{self, S256};

/// The longest `state`, in bytes. It comes back percent-encoded, and proxies cut long heads.
pub const STATE_BYTES_MAX: usize = 8 * 1024;

/// What must be known of a client to judge its request.
#[derive(Clone, Copy, Debug)]
pub struct KnownClient<'c> {
    /// Its identifier.
    pub id: ClientId,
    /// Where it may get its codes.
    pub redirect_uris: &'c [RedirectUri],
    /// The scopes that it may have at most, and has if it names none.
    pub scopes: &'c Scopes,
    /// The servers that its tokens may be for, besides this one.
    pub resources: &'c [Resource],
    /// Whether it may ask for codes at all.
    pub may_have_codes: bool,
    /// Whether its request must have a challenge.
    pub must_have_challenge: bool,
}

impl<'c> From<&'c Client> for KnownClient<'c> {
    fn from(client: &'c Client) -> Self {
        let settings = &client.settings;
        Self {
            id: client.id,
            redirect_uris: &settings.redirect_uris,
            scopes: &settings.scopes,
            resources: &settings.resources,
            may_have_codes: client.has_grant(GrantType::AuthorizationCode),
            must_have_challenge: settings.pkce == PkcePolicy::Required,
        }
    }
}

/// Whether the person is to be asked (OIDC Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Nobody may be asked for anything; then nothing else is named.
    pub is_none: bool,
    /// They are to sign in again.
    pub is_login: bool,
    /// They are to consent again.
    pub is_consent: bool,
}

/// A request that is right in itself. Whoever is asked, and what they say, is still open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// The client.
    pub client: ClientId,
    /// Where to send the browser, as it was asked for; of a loopback address with its port.
    pub redirect_uri: String,
    /// The registered address that it is.
    pub registered_uri: RedirectUri,
    /// Whether the request named it; the token endpoint then wants it again (RFC 6749 §4.1.3).
    pub was_redirect_uri_sent: bool,
    /// What the client asks for.
    pub scopes: Scopes,
    /// For which servers; none for this one.
    pub resources: Vec<Resource>,
    /// The client's own word, echoed as it is.
    pub state: Option<String>,
    /// What the verifier's hash must be.
    pub code_challenge: Option<[u8; 32]>,
    /// Whether the person is to be asked.
    pub prompt: Prompt,
}

/// Why nobody can be sent back: a page of ours, with status 400, says it to the person.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unusable {
    /// The query is no form.
    #[error("The address that brought you here cannot be read.")]
    Unreadable,
    /// No client, or more than one.
    #[error("The address that brought you here does not name one application (client_id).")]
    NoClient,
    /// No client of this name, or none that is switched on.
    #[error("There is no such application (client_id).")]
    UnknownClient,
    /// More than one address to go back to.
    #[error("The application names more than one address to go back to (redirect_uri).")]
    RedirectUriRepeated,
    /// None was named, and it is not clear which is meant.
    #[error("The application does not say where to go back to (redirect_uri).")]
    RedirectUriMissing,
    /// It is none of those that are registered.
    #[error(
        "The application asks to go back to an address that is not registered for it (redirect_uri). Registered \
         addresses are compared character by character."
    )]
    UnknownRedirectUri,
    /// What is to be echoed does not fit into an address.
    #[error("The address that brought you here is too long (state).")]
    StateTooLong,
}

/// An error that the client is told, by sending the browser back to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBack {
    /// The whole address, for `Location`.
    pub location: String,
    /// What it says.
    pub refused: Refused,
}

/// Why a request is not one that a person could be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRequest {
    /// A page of ours says it.
    Page(Unusable),
    /// The client is told.
    Back(SentBack),
}

impl From<Unusable> for NoRequest {
    fn from(reason: Unusable) -> Self {
        Self::Page(reason)
    }
}

/// Where the browser goes back to, and what it brings in any case.
#[derive(Clone, Copy)]
struct WayBack<'w> {
    redirect_uri: &'w str,
    state: Option<&'w str>,
    issuer: &'w str,
}

impl WayBack<'_> {
    fn with(self, answer: &[(&str, &str)]) -> String {
        let answer = answer.iter().copied();
        let state = self.state.map(|state| ("state", state));
        let more = answer.chain(state).chain([("iss", self.issuer)]);
        let mut location = self.redirect_uri.to_owned();
        for (name, value) in more {
            // A query that was registered stays (RFC 6749 §3.1.2).
            location.push_str(if !location.contains('?') {
                "?"
            } else if location.ends_with(['?', '&']) {
                ""
            } else {
                "&"
            });
            push_parameter(&mut location, name, value);
        }
        location
    }

    fn refused(self, refused: Refused) -> SentBack {
        let location = self.with(&[
            ("error", refused.code.as_str()),
            ("error_description", &refused.description),
        ]);
        SentBack { location, refused }
    }
}

/// Everything but what is never reserved is encoded (RFC 3986 §2.3), a blank as `%20`: every decoder
/// reads that alike, and no line break, quote or bracket gets into a header or a page.
fn push_parameter(location: &mut String, name: &str, value: &str) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    location.push_str(name);
    location.push('=');
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            location.push(char::from(byte));
        } else {
            location.push('%');
            location.push(HEX[usize::from(byte >> 4)]);
            location.push(HEX[usize::from(byte & 15)]);
        }
    }
}

impl AuthorizeRequest {
    /// Reads a query. `find` gives what is known of a client, if there is one that is switched on.
    ///
    /// # Errors
    /// [`NoRequest::Page`] until it is known where to send the browser, [`NoRequest::Back`] from
    /// there on.
    pub fn read<'c>(
        query: &str,
        find: impl FnOnce(&str) -> Option<KnownClient<'c>>,
        issuer: &str,
    ) -> Result<Self, NoRequest> {
        let pairs = form_pairs(query.as_bytes()).map_err(|_| Unusable::Unreadable)?;
        let query = Query(&pairs);
        let client_id = query.only("client_id").map_err(|_| Unusable::NoClient)?;
        let client_id = client_id.ok_or(Unusable::NoClient)?;
        let client = find(client_id).ok_or(Unusable::UnknownClient)?;
        let sent = query.only("redirect_uri");
        let sent = sent.map_err(|_| Unusable::RedirectUriRepeated)?;
        let registered_uri = registered(client.redirect_uris, sent)?;
        let redirect_uri = sent.unwrap_or(registered_uri.as_str());
        // Of two states, none is the client's.
        let state = query.only("state").unwrap_or_default();
        if state.is_some_and(|state| state.len() > STATE_BYTES_MAX) {
            return Err(Unusable::StateTooLong.into());
        }
        let way_back = WayBack {
            redirect_uri,
            state,
            issuer,
        };
        let asked = query.judge(&client, issuer);
        let asked = asked.map_err(|refused| NoRequest::Back(way_back.refused(refused)))?;
        Ok(Self {
            client: client.id,
            redirect_uri: redirect_uri.to_owned(),
            registered_uri: registered_uri.clone(),
            was_redirect_uri_sent: sent.is_some(),
            scopes: asked.scopes,
            resources: asked.resources,
            state: state.map(str::to_owned),
            code_challenge: asked.code_challenge,
            prompt: asked.prompt,
        })
    }

    /// The address that brings the client its code (RFC 6749 §4.1.2).
    pub fn granted(&self, code: &str, issuer: &str) -> String {
        self.way_back(issuer).with(&[("code", code)])
    }

    /// The address that tells the client why it gets none (RFC 6749 §4.1.2.1).
    pub fn refused(&self, refused: Refused, issuer: &str) -> SentBack {
        self.way_back(issuer).refused(refused)
    }

    fn way_back<'w>(&'w self, issuer: &'w str) -> WayBack<'w> {
        WayBack {
            redirect_uri: &self.redirect_uri,
            state: self.state.as_deref(),
            issuer,
        }
    }
}

/// The registered address that is meant. Without one in the request there must be only one
/// (RFC 6749 §3.1.2.3).
fn registered<'c>(
    registered: &'c [RedirectUri],
    sent: Option<&str>,
) -> Result<&'c RedirectUri, Unusable> {
    match (sent, registered) {
        (Some(sent), _) => {
            let mut meant = registered.iter().filter(|uri| uri.matches(sent));
            meant.next().ok_or(Unusable::UnknownRedirectUri)
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(Unusable::RedirectUriMissing),
    }
}

/// A parameter stands more than once.
struct Repeated;

/// The parameters of a query, in their order.
struct Query<'q>(&'q [(String, Zeroizing<String>)]);

/// What a client asks for, once it is known.
struct Asked {
    scopes: Scopes,
    resources: Vec<Resource>,
    code_challenge: Option<[u8; 32]>,
    prompt: Prompt,
}

impl<'q> Query<'q> {
    /// The value of a parameter; one without a value counts as left out (RFC 6749 §3.1).
    fn only(&self, name: &str) -> Result<Option<&'q str>, Repeated> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(Repeated);
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn all(&self, wanted: &str) -> impl Iterator<Item = &'q str> {
        let pairs = self.0.iter().filter(move |(name, _)| name == wanted);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A parameter of which it is known that it stands at most once.
    fn get(&self, name: &str) -> Option<&'q str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// Everything that the client is told if it is not right.
    fn judge(&self, client: &KnownClient<'_>, issuer: &str) -> Result<Asked, Refused> {
        let invalid = |words: &'static str| Refused::new(ErrorCode::InvalidRequest, words);
        if first_repeated(self.0).is_some() {
            return Err(invalid("A parameter stands more than once."));
        }
        // What these bring would stand in the place of all that follows (RFC 9101), so that nothing
        // else of the request would be true.
        if self.get("request").is_some() {
            let code = ErrorCode::RequestNotSupported;
            return Err(Refused::new(code, "Request objects are not read."));
        }
        if self.get("request_uri").is_some() {
            let code = ErrorCode::RequestUriNotSupported;
            return Err(Refused::new(code, "Request objects are not fetched."));
        }
        match self.get("response_type") {
            Some("code") => {}
            Some(_) => {
                let code = ErrorCode::UnsupportedResponseType;
                return Err(Refused::new(code, "The only response_type is code."));
            }
            None => return Err(invalid("The parameter response_type is missing.")),
        }
        if self
            .get("response_mode")
            .is_some_and(|mode| mode != "query")
        {
            return Err(invalid("The only response_mode is query."));
        }
        if !client.may_have_codes {
            return Err(Refused::new(
                ErrorCode::UnauthorizedClient,
                "The grant authorization_code is not registered for this client.",
            ));
        }
        let code_challenge = self.code_challenge(client.must_have_challenge)?;
        let scopes = scopes_within(self.get("scope"), client.scopes)?;
        let named = self.all(RESOURCE).filter(|resource| !resource.is_empty());
        let resources = resources_within(named, client.resources, issuer)?;
        let prompt = prompt(self.get("prompt").unwrap_or_default())?;
        Ok(Asked {
            scopes,
            resources,
            code_challenge,
            prompt,
        })
    }

    /// RFC 7636 §4.3. Without a method the challenge would be plain (§4.3): then what the browser
    /// brings would be all that a thief of the code needs.
    fn code_challenge(&self, is_required: bool) -> Result<Option<[u8; 32]>, Refused> {
        let invalid = |words| Err(Refused::new(ErrorCode::InvalidRequest, words));
        match (
            self.get("code_challenge"),
            self.get("code_challenge_method"),
        ) {
            (Some(text), Some(S256)) => match pkce::challenge(text) {
                Ok(challenge) => Ok(Some(challenge)),
                Err(reason) => invalid(reason.to_string()),
            },
            (Some(_), _) => invalid("The only code_challenge_method is S256; name it.".to_owned()),
            (None, Some(_)) => invalid("The parameter code_challenge is missing.".to_owned()),
            (None, None) if is_required => invalid(
                "This client must send a code_challenge by the method S256 (RFC 7636).".to_owned(),
            ),
            (None, None) => Ok(None),
        }
    }
}

fn prompt(text: &str) -> Result<Prompt, Refused> {
    let invalid = |words: &'static str| Refused::new(ErrorCode::InvalidRequest, words);
    let mut prompt = Prompt::default();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.is_none = true,
            "login" => prompt.is_login = true,
            "consent" => prompt.is_consent = true,
            _ => return Err(invalid("A prompt is none, login or consent.")),
        }
    }
    if prompt.is_none && (prompt.is_login || prompt.is_consent) {
        return Err(invalid("The prompt none stands alone."));
    }
    Ok(prompt)
}

#[cfg(test)]
mod tests {
    use keyledger_domain::Scope;
    use proptest::prelude::*;

    use super::*;

    const ISSUER: &str = "https://keys.example";
    const REDIRECT: &str = "https://app.example/cb";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    /// Without `redirect_uri`, `state` and challenge.
    const ASKS: &str = "client_id=app&response_type=code&scope=files:read";

    struct Registered {
        redirect_uris: Vec<RedirectUri>,
        scopes: Scopes,
        resources: Vec<Resource>,
        may_have_codes: bool,
        must_have_challenge: bool,
    }

    fn app(redirect_uris: &[&str]) -> Registered {
        let scope = |text: &&str| text.parse::<Scope>().unwrap();
        Registered {
            redirect_uris: redirect_uris
                .iter()
                .map(|uri| uri.parse().unwrap())
                .collect(),
            scopes: ["files:read", "files:write", "offline_access"]
                .iter()
                .map(scope)
                .collect(),
            resources: vec!["https://api.example/files".parse().unwrap()],
            may_have_codes: true,
            must_have_challenge: false,
        }
    }

    impl Registered {
        fn read(&self, query: &str) -> Result<AuthorizeRequest, NoRequest> {
            let known = KnownClient {
                id: ClientId::from_bytes([7; 16]),
                redirect_uris: &self.redirect_uris,
                scopes: &self.scopes,
                resources: &self.resources,
                may_have_codes: self.may_have_codes,
                must_have_challenge: self.must_have_challenge,
            };
            AuthorizeRequest::read(query, |id| (id == "app").then_some(known), ISSUER)
        }
    }

    fn read(query: &str) -> Result<AuthorizeRequest, NoRequest> {
        app(&[REDIRECT]).read(query)
    }

    fn encoded(text: &str) -> String {
        let mut encoded = String::new();
        push_parameter(&mut encoded, "", text);
        encoded.split_off(1)
    }

    #[track_caller]
    fn check_page(app: &Registered, query: &str, why: Unusable) {
        assert_eq!(app.read(query), Err(NoRequest::Page(why)), "{query}");
    }

    /// Goal: an error goes back with its code, the state and our name, to the registered address.
    #[track_caller]
    fn check_back(app: &Registered, more: &str, code: &str) {
        let query = format!(
            "{ASKS}&redirect_uri={}&state=x%20y&{more}",
            encoded(REDIRECT)
        );
        let Err(NoRequest::Back(back)) = app.read(&query) else {
            panic!("{query} was {:?}", app.read(&query));
        };
        assert_eq!(back.refused.code.as_str(), code, "{query}");
        let start = format!("{REDIRECT}?error={code}&error_description=");
        assert!(back.location.starts_with(&start), "{}", back.location);
        let end = "&state=x%20y&iss=https%3A%2F%2Fkeys.example";
        assert!(back.location.ends_with(end), "{}", back.location);
    }

    #[test]
    fn what_is_right_is_read_whole() {
        let query = format!(
            "{ASKS}+files:write&redirect_uri={}&state=a%26b&code_challenge={CHALLENGE}&code_challenge_method=S256\
             &resource=https://api.example/files&prompt=login+consent&response_mode=query&nonce=1&unknown=2",
            encoded(REDIRECT)
        );
        let request = read(&query).unwrap();
        let scopes: Vec<&str> = request.scopes.iter().map(Scope::as_str).collect();
        assert_eq!(scopes, ["files:read", "files:write"]);
        assert_eq!(request.client, ClientId::from_bytes([7; 16]));
        assert_eq!(request.redirect_uri, REDIRECT);
        assert!(request.was_redirect_uri_sent);
        assert_eq!(request.state.as_deref(), Some("a&b"));
        assert_eq!(request.code_challenge, pkce::challenge(CHALLENGE).ok());
        assert_eq!(request.resources.len(), 1);
        assert!(request.prompt.is_login && request.prompt.is_consent && !request.prompt.is_none);
        assert_eq!(
            request.granted("ac_live_x", ISSUER),
            "https://app.example/cb?code=ac_live_x&state=a%26b&iss=https%3A%2F%2Fkeys.example"
        );

        let least =
            read("client_id=app&response_type=code&state=&scope=&prompt=&code_challenge=").unwrap();
        assert_eq!(least.redirect_uri, REDIRECT);
        assert!(!least.was_redirect_uri_sent);
        assert_eq!((least.state.as_deref(), least.code_challenge), (None, None));
        assert_eq!(least.scopes.len(), 3, "the client's default");
        assert_eq!(least.prompt, Prompt::default());
        assert_eq!(
            least.granted("c", ISSUER),
            "https://app.example/cb?code=c&iss=https%3A%2F%2Fkeys.example"
        );
    }

    #[test]
    fn n021_an_unknown_client_is_a_page_of_ours() {
        let back = format!("&redirect_uri={REDIRECT}&response_type=code");
        for (id, why) in [
            ("client_id=other", Unusable::UnknownClient),
            ("client_id=APP", Unusable::UnknownClient),
            ("client_id=app%20", Unusable::UnknownClient),
            ("client_id=app%00", Unusable::UnknownClient),
            ("client_id=", Unusable::NoClient),
            ("client_id", Unusable::NoClient),
            ("", Unusable::NoClient),
            ("client_id=app&client_id=app", Unusable::NoClient),
            ("client_id=app&client_id=", Unusable::NoClient),
            ("client_id=%ff", Unusable::Unreadable),
            ("client_id=%", Unusable::Unreadable),
        ] {
            check_page(&app(&[REDIRECT]), &format!("{id}{back}"), why);
        }
        let many = "a=b&".repeat(101);
        check_page(&app(&[REDIRECT]), &many, Unusable::Unreadable);
    }

    #[test]
    fn n022_an_address_that_is_not_registered_is_a_page_of_ours() {
        for uri in [
            "https://evil.example/cb",
            "https://app.example/cb/",
            "https://app.example/cb/..",
            "https://app.example/cb?x",
            "https://app.example/cb#f",
            "https://app.example/%2e%2e/cb",
            "https://app@evil.example/cb",
            "https://app.example/CB",
            "https://app.example:443/cb",
            "https://app.example./cb",
            "https://\u{430}pp.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "http://app.example/cb",
            "//app.example/cb",
            "/cb",
            "https://*.example/cb",
            "https://app.example/cb\r\nX: y",
            "https://app.example/cb\0",
        ] {
            // Whatever else is wrong with the request: nobody is sent there.
            for rest in [
                "",
                "&response_type=token",
                "&scope=x&scope=y",
                "&prompt=none",
            ] {
                let query = format!("{ASKS}{rest}&redirect_uri={}", encoded(uri));
                check_page(&app(&[REDIRECT]), &query, Unusable::UnknownRedirectUri);
            }
        }
    }

    #[test]
    fn n025_of_two_addresses_none_is_followed() {
        for second in [REDIRECT, "https://evil.example/cb", ""] {
            for both in [[REDIRECT, second], [second, REDIRECT]] {
                let [one, two] = both.map(encoded);
                let query = format!("{ASKS}&redirect_uri={one}&redirect_uri={two}");
                check_page(&app(&[REDIRECT]), &query, Unusable::RedirectUriRepeated);
            }
        }
    }

    #[test]
    fn n026_of_two_registered_addresses_one_must_be_named() {
        let two = app(&[REDIRECT, "https://app.example/other"]);
        check_page(&two, ASKS, Unusable::RedirectUriMissing);
        check_page(
            &two,
            &format!("{ASKS}&redirect_uri="),
            Unusable::RedirectUriMissing,
        );
        check_page(&app(&[]), ASKS, Unusable::RedirectUriMissing);
        let query = format!("{ASKS}&redirect_uri=https://app.example/other");
        assert_eq!(
            two.read(&query).unwrap().redirect_uri,
            "https://app.example/other"
        );
        assert!(!read(ASKS).unwrap().was_redirect_uri_sent);
    }

    #[test]
    fn n027_a_loopback_address_is_answered_at_the_port_that_asked() {
        let native = app(&["http://127.0.0.1/cb"]);
        let query = format!("{ASKS}&redirect_uri=http://127.0.0.1:51004/cb");
        let request = native.read(&query).unwrap();
        assert_eq!(request.redirect_uri, "http://127.0.0.1:51004/cb");
        assert_eq!(request.registered_uri.as_str(), "http://127.0.0.1/cb");
        assert!(
            request
                .granted("c", ISSUER)
                .starts_with("http://127.0.0.1:51004/cb?code=c&")
        );
        for other in [
            "http://localhost.evil/cb",
            "http://127.0.0.1.nip.io/cb",
            "http://127.0.0.1:51004/x",
        ] {
            let query = format!("{ASKS}&redirect_uri={other}");
            check_page(&native, &query, Unusable::UnknownRedirectUri);
        }
    }

    #[test]
    fn n028_only_codes_are_given() {
        let app = app(&[REDIRECT]);
        for response_type in [
            "token",
            "id_token",
            "code token",
            "token code",
            "none",
            "CODE",
            "code ",
            "code,",
        ] {
            let query = format!(
                "client_id=app&redirect_uri={REDIRECT}&state=s&response_type={}",
                encoded(response_type)
            );
            let Err(NoRequest::Back(back)) = app.read(&query) else {
                panic!("{query}");
            };
            assert_eq!(
                back.location,
                "https://app.example/cb?error=unsupported_response_type&error_description=The%20only%20\
                 response_type%20is%20code.&state=s&iss=https%3A%2F%2Fkeys.example"
            );
        }
        let Err(NoRequest::Back(back)) = app.read("client_id=app") else {
            panic!("a request without response_type");
        };
        assert_eq!(back.refused.code, ErrorCode::InvalidRequest);
        for mode in ["fragment", "form_post", "query.jwt", "QUERY"] {
            check_back(&app, &format!("response_mode={mode}"), "invalid_request");
        }
        let mut machine = self::app(&[REDIRECT]);
        machine.may_have_codes = false;
        check_back(&machine, "", "unauthorized_client");
    }

    #[test]
    fn n029_a_challenge_is_asked_of_those_who_must_have_one() {
        let mut public = app(&[REDIRECT]);
        public.must_have_challenge = true;
        check_back(&public, "", "invalid_request");
        check_back(&public, "code_challenge=", "invalid_request");
        check_back(&public, "code_challenge_method=S256", "invalid_request");
        let query = format!("{ASKS}&code_challenge={CHALLENGE}&code_challenge_method=S256");
        assert!(public.read(&query).unwrap().code_challenge.is_some());
    }

    #[test]
    fn n043_n044_a_challenge_is_a_hash_by_s256_also_where_none_is_needed() {
        for more in [
            format!("code_challenge={CHALLENGE}"),
            format!("code_challenge={CHALLENGE}&code_challenge_method="),
            format!("code_challenge={CHALLENGE}&code_challenge_method=plain"),
            format!("code_challenge={CHALLENGE}&code_challenge_method=s256"),
            format!("code_challenge={CHALLENGE}&code_challenge_method=S512"),
            "code_challenge_method=S256".to_owned(),
            "code_challenge_method=plain".to_owned(),
            format!("code_challenge={CHALLENGE}=&code_challenge_method=S256"),
            format!("code_challenge={CHALLENGE}A&code_challenge_method=S256"),
            "code_challenge=short&code_challenge_method=S256".to_owned(),
            format!(
                "code_challenge={}&code_challenge_method=S256",
                "%2B".repeat(43)
            ),
        ] {
            check_back(&app(&[REDIRECT]), &more, "invalid_request");
        }
    }

    #[test]
    fn n003_what_stands_twice_is_sent_back() {
        for more in [
            "scope=files:read",
            "response_type=code",
            "code_challenge=a&code_challenge=a",
            "code_challenge_method=S256&code_challenge_method=S256",
            "prompt=login&prompt=none",
            "unknown=1&unknown=1",
        ] {
            check_back(&app(&[REDIRECT]), more, "invalid_request");
        }
        // Of two states none is echoed.
        let query = format!("{ASKS}&state=a&state=b");
        let Err(NoRequest::Back(back)) = read(&query) else {
            panic!("{query}");
        };
        assert!(!back.location.contains("state="), "{}", back.location);
        let query = format!("{ASKS}&resource=https://api.example/files&resource={ISSUER}/");
        assert!(matches!(read(&query), Err(NoRequest::Back(_))));
        let twice = "resource=https://api.example/files&resource=https://api.example/files";
        assert_eq!(read(&format!("{ASKS}&{twice}")).unwrap().resources.len(), 1);
    }

    #[test]
    fn what_is_asked_for_is_the_clients() {
        let app = app(&[REDIRECT]);
        for scope in [
            "users:read",
            "files:read users:read",
            "openid",
            "%22",
            "keys:write",
        ] {
            let query = format!("client_id=app&response_type=code&scope={}", encoded(scope));
            let Err(NoRequest::Back(back)) = app.read(&query) else {
                panic!("{query}");
            };
            assert_eq!(back.refused.code, ErrorCode::InvalidScope, "{scope}");
        }
        for resource in [
            "https://other.example",
            "https://api.example/files%23f",
            "files",
        ] {
            check_back(&app, &format!("resource={resource}"), "invalid_target");
        }
    }

    #[test]
    fn n036_prompts_are_told_apart() {
        let app = app(&[REDIRECT]);
        for (text, is_none, is_login, is_consent) in [
            ("none", true, false, false),
            ("login", false, true, false),
            ("consent", false, false, true),
            ("consent+login", false, true, true),
        ] {
            let request = app.read(&format!("{ASKS}&prompt={text}")).unwrap();
            let expected = Prompt {
                is_none,
                is_login,
                is_consent,
            };
            assert_eq!(request.prompt, expected, "{text}");
        }
        for text in [
            "none+login",
            "consent+none",
            "NONE",
            "create",
            "login,consent",
        ] {
            check_back(&app, &format!("prompt={text}"), "invalid_request");
        }
        let request = app.read(&format!("{ASKS}&prompt=none&state=s")).unwrap();
        let refused = Refused::new(ErrorCode::LoginRequired, "Nobody is signed in.");
        assert_eq!(
            request.refused(refused, ISSUER).location,
            "https://app.example/cb?error=login_required&error_description=Nobody%20is%20signed%20in.&state=s&iss=\
             https%3A%2F%2Fkeys.example"
        );
    }

    #[test]
    fn n039_request_objects_are_neither_read_nor_fetched() {
        let app = app(&[REDIRECT]);
        check_back(
            &app,
            "request=eyJhbGciOiJub25lIn0.e30.",
            "request_not_supported",
        );
        check_back(
            &app,
            "request_uri=https://evil.example/r",
            "request_uri_not_supported",
        );
        check_back(
            &app,
            "request_uri=urn:ietf:params:oauth:request_uri:x",
            "request_uri_not_supported",
        );
    }

    #[test]
    fn n030_a_state_is_echoed_encoded_and_splits_no_header() {
        for state in [
            "random_state_string",
            "a b+c&d=e#f?g/h%20",
            "\r\nSet-Cookie: a=b",
            "\"><script>alert(1)</script>",
            "'",
            "\u{0}\u{7f}\u{80}\u{202e}\u{1f600}",
            &"\u{e9}".repeat(STATE_BYTES_MAX / 2),
        ] {
            let query = format!("{ASKS}&state={}", encoded(state));
            let request = read(&query).unwrap();
            assert_eq!(request.state.as_deref(), Some(state));
            let location = request.granted("c", ISSUER);
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?=&%".contains(&b);
            assert!(location.bytes().all(plain), "{location}");
            let expected = format!("&state={}&iss=", encoded(state));
            assert!(location.contains(&expected), "{location}");
        }
        let long = format!("{ASKS}&state={}", "x".repeat(STATE_BYTES_MAX + 1));
        check_page(&app(&[REDIRECT]), &long, Unusable::StateTooLong);
        let bytes = format!("{ASKS}&state=%ff");
        check_page(&app(&[REDIRECT]), &bytes, Unusable::Unreadable);
    }

    #[test]
    fn n038_every_answer_says_whose_it_is() {
        let request = read(&format!("{ASKS}&state=s&iss=https://evil.example")).unwrap();
        for issuer in ["https://keys.example", "https://other.example/tenant"] {
            let end = format!("&state=s&iss={}", encoded(issuer));
            assert!(request.granted("c", issuer).ends_with(&end));
            let refused = Refused::new(ErrorCode::AccessDenied, "No.");
            assert!(request.refused(refused, issuer).location.ends_with(&end));
        }
    }

    #[test]
    fn a_registered_query_stays() {
        for (registered, answer) in [
            (
                "https://app.example/cb?tenant=7",
                "https://app.example/cb?tenant=7&code=c&iss=i",
            ),
            (
                "https://app.example/cb?",
                "https://app.example/cb?code=c&iss=i",
            ),
            (
                "https://app.example/cb?a&",
                "https://app.example/cb?a&code=c&iss=i",
            ),
            ("https://app.example", "https://app.example?code=c&iss=i"),
            ("com.example.app:/cb", "com.example.app:/cb?code=c&iss=i"),
        ] {
            let request = app(&[registered]).read(ASKS).unwrap();
            assert_eq!(request.granted("c", "i"), answer);
        }
    }

    proptest! {
        #[test]
        fn nobody_is_ever_sent_elsewhere(query in "(client_id=app&)?(redirect_uri=(https://app.example/cb|https://evil.example|[%a-z0-9/:.@]{0,20})&?){0,2}(state|scope|response_type|prompt)?=?\\PC{0,20}") {
            if let Err(NoRequest::Back(back)) = read(&query) {
                prop_assert!(back.location.starts_with("https://app.example/cb?error="));
            }
        }
    }
}
