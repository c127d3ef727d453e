//! Access tokens in the form of a JWT (RFC 9068): writing them, and reading one that was shown.
//!
//! What keeps a forged token out is not here: the ledger has a keyed digest of each token that was
//! issued, and lets in nothing but these very bytes. This is the second wall (RFC 8725), and it
//! reads as narrowly as we write: what we would never have written is not understood but refused.
//! Nothing in a token is ever fetched, and its header chooses nothing but a key of ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyledger_domain::signing::{PublicKey, SigningAlgorithm, SigningKeyId};
use keyledger_domain::{CredentialId, Directory, Environment, Timestamp};
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// What a header calls an access token, so that no other kind of JWT passes for one (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

/// The longest token that is read, in bytes; ours have some six hundred. No more is decoded or hashed
/// for whoever shows something longer.
const JWT_BYTES_MAX: usize = 8 * 1024;

/// How far another server's clock may be ahead of ours, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// What an access token says (RFC 9068 §2.2), in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Who issued it: this server.
    pub iss: String,
    /// For whom it acts: a person's id, or the client's own.
    pub sub: String,
    /// For which servers it is; at least one.
    #[serde(serialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// When it ends, in seconds since 1970: it is good while now is before.
    pub exp: i64,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// Its public id.
    pub jti: CredentialId,
    /// The client that it was issued to.
    pub client_id: String,
    /// What it may do, with blanks between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where it belongs. The same keys sign for both, so that a server that checks tokens by itself tells
    /// test from live by this (or by its `aud`) alone. Tokens from before this was said have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
}

/// One audience is a text, several are a list (RFC 7519 §4.1.3).
fn one_or_many<S: Serializer>(audience: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match audience {
        [one] => one.serialize(serializer),
        _ => audience.serialize(serializer),
    }
}

/// The header, which has these members and no other: no `crit`, and none that brings a key along
/// (`jku`, `jwk`, `x5u`, `x5c`; RFC 8725 §3.10).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// The claims of a token that was shown. Members that stand twice, and those that we never write, are
/// refused by the reading itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownClaims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    jti: CredentialId,
    client_id: String,
    scope: Option<String>,
    environment: Option<Environment>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A signed token. Whoever has it is let in, so it is wiped, and nothing prints it.
pub struct Jwt(Zeroizing<String>);

impl Jwt {
    /// The bytes, of which the ledger keeps a digest.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, for the one answer that tells it.
    pub fn expose_once(self) -> String {
        self.0.as_str().to_owned()
    }
}

/// A token before its signature.
pub struct Unsigned(Zeroizing<String>);

impl Unsigned {
    /// Writes header and claims.
    ///
    /// # Errors
    /// 500 if they cannot be written as JSON, which these always can.
    pub fn new(
        kid: SigningKeyId,
        algorithm: SigningAlgorithm,
        claims: &Claims,
    ) -> Result<Self, Problem> {
        let header = Header {
            alg: algorithm.as_str().to_owned(),
            kid: kid.as_str().to_owned(),
            typ: TYPE.to_owned(),
        };
        let header = serde_json::to_vec(&header).map_err(|_| Problem::internal())?;
        let claims = serde_json::to_vec(claims).map_err(|_| Problem::internal())?;
        // Room for the signature too, so that nothing moves and no copy is left behind.
        let mut text = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 700);
        URL_SAFE_NO_PAD.encode_string(header, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut text);
        Ok(Self(Zeroizing::new(text)))
    }

    /// What is signed (RFC 7515 §5.1).
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The token with its signature.
    pub fn signed(mut self, signature: &[u8]) -> Jwt {
        self.0.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut self.0);
        Jwt(self.0)
    }
}

/// Why a token that was shown is refused. For the log and for those who may ask; whoever showed it is
/// told what a stranger is told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadJwt {
    /// Not three parts in base64url, each in its one spelling (RFC 7515 §7.1).
    #[error("it is no JWT in its compact form")]
    Malformed,
    /// Its header is not the one that we write.
    #[error("its header is not that of an access token of this server")]
    Header,
    /// No key that is published has this name, or it signs otherwise than the header says.
    #[error("it names no signing key of this server that is published")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("its signature is wrong")]
    Signature,
    /// Its claims are not those that we write.
    #[error("its claims are not those of an access token")]
    Claims,
    /// Another server issued it, or it says so.
    #[error("it says that another server issued it")]
    Issuer,
    /// It is for another server.
    #[error("it is for another server")]
    Audience,
    /// Its time is over.
    #[error("its time is over")]
    Expired,
    /// It says that it was issued in the future.
    #[error("it says that it was issued in the future")]
    NotYet,
}

/// What a token must say to be let in.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer: this server, to the byte.
    pub issuer: &'a str,
    /// For which server it must be; `None` where whoever asks is told for which it is.
    pub audience: Option<&'a str>,
}

/// Reads a token that was shown, and checks all that it says.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify_shown(
    jwt: &str,
    directory: &Directory,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Claims, BadJwt> {
    let [header, claims, signature] = parts(jwt)?;
    let read: Header = serde_json::from_slice(&decode(header)?).map_err(|_| BadJwt::Header)?;
    let algorithm: SigningAlgorithm = read.alg.parse().map_err(|_| BadJwt::Header)?;
    if read.typ != TYPE {
        return Err(BadJwt::Header);
    }
    // A name of any other form is none of ours, and is looked for nowhere.
    let kid: SigningKeyId = read.kid.parse().map_err(|_| BadJwt::UnknownKey)?;
    let key = directory
        .signing_key(kid, now)
        .filter(|key| key.algorithm() == algorithm)
        .ok_or(BadJwt::UnknownKey)?;
    let signed = jwt.get(..header.len() + 1 + claims.len());
    let signed = signed.ok_or(BadJwt::Malformed)?.as_bytes();
    if !is_signed(&key.public_key, signed, &decode(signature)?) {
        return Err(BadJwt::Signature);
    }
    let claims: ShownClaims =
        serde_json::from_slice(&decode(claims)?).map_err(|_| BadJwt::Claims)?;
    claims.check(expected, now)
}

/// The public id that a text claims to have, if it has the form of a JWT. Nothing of it is checked: it
/// says where to look.
pub fn jti_of(jwt: &str) -> Option<CredentialId> {
    #[derive(Deserialize)]
    struct Named {
        jti: CredentialId,
    }

    let [_, claims, _] = parts(jwt).ok()?;
    let claims: Named = serde_json::from_slice(&decode(claims).ok()?).ok()?;
    Some(claims.jti)
}

/// The three parts of the compact form, none of them empty.
fn parts(jwt: &str) -> Result<[&str; 3], BadJwt> {
    if jwt.len() > JWT_BYTES_MAX {
        return Err(BadJwt::Malformed);
    }
    let mut parts = jwt.split('.');
    match [parts.next(), parts.next(), parts.next(), parts.next()] {
        [Some(header), Some(claims), Some(signature), None]
            if ![header, claims, signature].contains(&"") =>
        {
            Ok([header, claims, signature])
        }
        [..] => Err(BadJwt::Malformed),
    }
}

/// Base64url without padding, and no second spelling of the same bytes.
fn decode(part: &str) -> Result<Vec<u8>, BadJwt> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| BadJwt::Malformed)
}

fn is_signed(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let checked = match key {
        PublicKey::P256 { x, y } => {
            let point = [&[4][..], x, y].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        PublicKey::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
        PublicKey::Rsa { modulus, exponent } => {
            let (n, e) = (&**modulus, &**exponent);
            PublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        }
    };
    checked.is_ok()
}

impl ShownClaims {
    fn check(self, expected: Expected<'_>, now: Timestamp) -> Result<Claims, BadJwt> {
        if self.iss != expected.issuer {
            return Err(BadJwt::Issuer);
        }
        let aud = match self.aud {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        let is_for = |audience: &str| aud.iter().any(|one| one == audience);
        if aud.is_empty() || expected.audience.is_some_and(|audience| !is_for(audience)) {
            return Err(BadJwt::Audience);
        }
        let now = now.seconds();
        if self.exp <= now {
            return Err(BadJwt::Expired);
        }
        let latest = now.saturating_add(CLOCK_SKEW_SECONDS);
        if self.iat > latest || self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(BadJwt::NotYet);
        }
        Ok(Claims {
            iss: self.iss,
            sub: self.sub,
            aud,
            exp: self.exp,
            iat: self.iat,
            jti: self.jti,
            client_id: self.client_id,
            scope: self.scope,
            environment: self.environment,
        })
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::event::{Event, Record};
    use keyledger_domain::id::RequestId;
    use keyledger_domain::signing::{SigningKeyCreated, SigningKeyRetired};
    use keyledger_domain::{Origin, SealedSecret};
    use ring::hmac;
    use ring::rand::SystemRandom;
    use serde_json::{Value, json};

    use super::*;
    use crate::oauth::signing::Drawn;

    const ISSUER: &str = "https://auth.example";
    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
    const NOW_SECONDS: i64 = 1_800_000_000;
    const EXPECTED: Expected<'_> = Expected {
        issuer: ISSUER,
        audience: Some(ISSUER),
    };
    const RSA_PEM: &str = include_str!("test-only-not-a-secret.rsa.pem");

    /// A server with a key of each algorithm.
    struct World {
        directory: Directory,
        keys: Vec<Drawn>,
        rng: SystemRandom,
    }

    impl World {
        fn new() -> Self {
            let rng = SystemRandom::new();
            let keys = vec![
                Drawn::draw(SigningAlgorithm::Es256, &rng).unwrap(),
                Drawn::draw(SigningAlgorithm::EdDsa, &rng).unwrap(),
                Drawn::rsa_of_pem(RSA_PEM, &rng).unwrap(),
            ];
            let mut world = Self {
                directory: Directory::default(),
                keys,
                rng,
            };
            for number in 0..world.keys.len() {
                world.create(number, None);
            }
            world
        }

        fn create(&mut self, number: usize, previous_retires_at: Option<Timestamp>) {
            let key = &self.keys[number];
            let event = SigningKeyCreated {
                kid: key.kid,
                public_key: key.public_key.clone(),
                sealed: SealedSecret::from_bytes(vec![0]),
                previous_retires_at,
            };
            self.record(Event::SigningKeyCreated(event));
        }

        fn record(&mut self, event: Event) {
            self.directory.apply(&Record {
                position: self.directory.position().next(),
                at: NOW,
                clock_behind_micros: 0,
                origin: Origin::system(RequestId::from_bytes([0; 16])),
                organizations: Vec::new(),
                event,
            });
        }

        fn verify(&self, jwt: &str) -> Result<Claims, BadJwt> {
            verify_shown(jwt, &self.directory, EXPECTED, NOW)
        }

        /// A token as the server writes it.
        fn good(&self, key: &Drawn) -> String {
            let unsigned = Unsigned::new(key.kid, key.public_key.algorithm(), &claims()).unwrap();
            let signature = key
                .private_key
                .sign(unsigned.as_bytes(), &self.rng)
                .unwrap();
            unsigned.signed(&signature).expose_once()
        }

        /// A token with this header and these claims, rightly signed: by somebody who has the key.
        fn forged(&self, key: &Drawn, header: &str, claims: &str) -> String {
            let message = format!("{}.{}", encode(header), encode(claims));
            let signature = key.private_key.sign(message.as_bytes(), &self.rng).unwrap();
            format!("{message}.{}", encode(signature))
        }

        /// The same with one claim changed, or taken away.
        fn claiming(&self, name: &str, value: Option<Value>) -> String {
            let key = &self.keys[0];
            let mut told = serde_json::to_value(claims()).unwrap();
            let members = told.as_object_mut().unwrap();
            match value {
                Some(value) => members.insert(name.to_owned(), value),
                None => members.remove(name),
            };
            self.forged(key, &header(key).to_string(), &told.to_string())
        }
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            sub: "0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10".to_owned(),
            aud: vec![ISSUER.to_owned()],
            exp: NOW_SECONDS + 3_600,
            iat: NOW_SECONDS,
            jti: "3kTMd9wQx".parse().unwrap(),
            client_id: "5e0f2b5c-53f7-4d2a-a1d5-5b8b2f0d7c11".to_owned(),
            scope: Some("files:read files:write".to_owned()),
            environment: Some(Environment::Live),
        }
    }

    fn header(key: &Drawn) -> Value {
        json!({ "alg": key.public_key.algorithm().as_str(), "kid": key.kid.as_str(), "typ": TYPE })
    }

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn a_token_says_what_rfc_9068_wants_and_is_read_again() {
        let world = World::new();
        for key in &world.keys {
            let jwt = world.good(key);
            assert_eq!(world.verify(&jwt), Ok(claims()));
            assert_eq!(jti_of(&jwt), Some(claims().jti));
            let [head, body, _] = parts(&jwt).unwrap();
            let head: Value = serde_json::from_slice(&decode(head).unwrap()).unwrap();
            assert_eq!(head, header(key));
            let body: Value = serde_json::from_slice(&decode(body).unwrap()).unwrap();
            assert_eq!(body["aud"], ISSUER, "one audience is a text");
            assert_eq!(body["exp"], NOW_SECONDS + 3_600);
            assert_eq!(body["jti"], "3kTMd9wQx");
        }
        // The helpers of the tables below make good tokens, unless told otherwise.
        assert!(
            world
                .verify(&world.claiming("sub", Some(json!("x"))))
                .is_ok()
        );
    }

    #[test]
    fn n061_no_algorithm_and_no_signature() {
        let world = World::new();
        let key = &world.keys[0];
        let body = serde_json::to_string(&claims()).unwrap();
        for alg in [
            "none", "None", "nOnE", "NONE", "", "HS256", "ES384", "es256", " ES256",
        ] {
            let mut head = header(key);
            head["alg"] = json!(alg);
            let forged = world.forged(key, &head.to_string(), &body);
            assert_eq!(world.verify(&forged), Err(BadJwt::Header), "{alg}");
            let (unsigned, _) = forged.rsplit_once('.').unwrap();
            assert_eq!(
                world.verify(&format!("{unsigned}.")),
                Err(BadJwt::Malformed)
            );
            assert_eq!(world.verify(unsigned), Err(BadJwt::Malformed));
        }
        for wrong in [
            json!(null),
            json!(["ES256"]),
            json!({ "ES256": null }),
            json!(1),
        ] {
            let mut head = header(key);
            head["alg"] = wrong;
            let forged = world.forged(key, &head.to_string(), &body);
            assert_eq!(world.verify(&forged), Err(BadJwt::Header));
        }
    }

    #[test]
    fn n062_a_public_key_is_no_secret_to_sign_with() {
        let world = World::new();
        let body = encode(serde_json::to_string(&claims()).unwrap());
        for key in &world.keys {
            let secret = match &key.public_key {
                PublicKey::P256 { x, y } => [&[4][..], x, y].concat(),
                PublicKey::Ed25519 { x } => x.to_vec(),
                PublicKey::Rsa { modulus, .. } => modulus.to_vec(),
            };
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            for alg in ["HS256", key.public_key.algorithm().as_str()] {
                let mut head = header(key);
                head["alg"] = json!(alg);
                let message = format!("{}.{body}", encode(head.to_string()));
                let tag = hmac::sign(&secret, message.as_bytes());
                let forged = format!("{message}.{}", encode(tag));
                assert!(world.verify(&forged).is_err(), "{alg}");
            }
            // Nor does the key of one algorithm sign for another.
            for other in &world.keys {
                if other.kid != key.kid {
                    let mut head = header(key);
                    head["alg"] = json!(other.public_key.algorithm().as_str());
                    let forged = world.forged(key, &head.to_string(), "{}");
                    assert_eq!(world.verify(&forged), Err(BadJwt::UnknownKey));
                    let mut head = header(key);
                    head["kid"] = json!(other.kid.as_str());
                    let forged = world.forged(key, &head.to_string(), "{}");
                    assert_eq!(world.verify(&forged), Err(BadJwt::UnknownKey));
                    let claims = serde_json::to_string(&claims()).unwrap();
                    let forged = world.forged(key, &header(other).to_string(), &claims);
                    assert_eq!(world.verify(&forged), Err(BadJwt::Signature));
                }
            }
        }
    }

    #[test]
    fn n063_the_name_of_a_key_leads_nowhere_else() {
        let world = World::new();
        let key = &world.keys[0];
        let body = serde_json::to_string(&claims()).unwrap();
        for kid in [
            json!("../../dev/null"),
            json!("' OR 1=1 --"),
            json!("https://evil.example/jwks"),
            json!(""),
            json!("A".repeat(43)),
            json!(format!("{} ", key.kid)),
            json!(key.kid.as_str().to_ascii_lowercase()),
        ] {
            let mut head = header(key);
            head["kid"] = kid;
            let forged = world.forged(key, &head.to_string(), &body);
            assert_eq!(world.verify(&forged), Err(BadJwt::UnknownKey));
        }
        let mut head = header(key);
        head["kid"] = json!("A".repeat(1 << 20));
        let forged = world.forged(key, &head.to_string(), &body);
        assert_eq!(world.verify(&forged), Err(BadJwt::Malformed), "a megabyte");
        assert_eq!(jti_of(&forged), None);
        let without = format!(r#"{{"alg":"ES256","typ":"{TYPE}"}}"#);
        let forged = world.forged(key, &without, &body);
        assert_eq!(world.verify(&forged), Err(BadJwt::Header));
    }

    /// The attacker signs with a key of their own and brings it along.
    #[test]
    fn n064_a_header_brings_no_key_along() {
        let world = World::new();
        let own = Drawn::draw(SigningAlgorithm::Es256, &world.rng).unwrap();
        let body = serde_json::to_string(&claims()).unwrap();
        let PublicKey::P256 { x, y } = own.public_key else {
            panic!("it is of P-256");
        };
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        for (name, value) in [
            ("jwk", jwk),
            ("jku", json!("https://evil.example/jwks")),
            ("x5u", json!("https://evil.example/certificate")),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("x")),
        ] {
            for signer in [&own, &world.keys[0]] {
                let mut head = header(&world.keys[0]);
                head[name] = value.clone();
                let forged = world.forged(signer, &head.to_string(), &body);
                assert_eq!(world.verify(&forged), Err(BadJwt::Header), "{name}");
            }
        }
        let forged = world.forged(&own, &header(&own).to_string(), &body);
        assert_eq!(world.verify(&forged), Err(BadJwt::UnknownKey));
    }

    #[test]
    fn n065_nothing_is_critical_that_is_not_understood() {
        let world = World::new();
        let key = &world.keys[0];
        let body = serde_json::to_string(&claims()).unwrap();
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
        ] {
            let mut head = header(key);
            head[name] = value;
            let forged = world.forged(key, &head.to_string(), &body);
            assert_eq!(world.verify(&forged), Err(BadJwt::Header), "{name}");
        }
    }

    #[test]
    fn n066_the_issuer_and_the_audience_are_compared_to_the_byte() {
        let world = World::new();
        for iss in [
            json!("https://auth.example/"),
            json!("https://AUTH.example"),
            json!("http://auth.example"),
            json!("https://auth.example.evil.example"),
            json!(""),
        ] {
            let forged = world.claiming("iss", Some(iss.clone()));
            assert_eq!(world.verify(&forged), Err(BadJwt::Issuer), "{iss}");
        }
        for aud in [
            json!("https://files.example"),
            json!("https://auth.example/"),
            json!([]),
            json!(["https://files.example", "https://auth.example.evil.example"]),
        ] {
            let forged = world.claiming("aud", Some(aud.clone()));
            assert_eq!(world.verify(&forged), Err(BadJwt::Audience), "{aud}");
        }
        for name in ["iss", "aud", "sub", "jti", "client_id", "iat"] {
            let forged = world.claiming(name, None);
            assert_eq!(world.verify(&forged), Err(BadJwt::Claims), "without {name}");
        }
        for wrong in [json!(null), json!(1), json!([1]), json!({ "a": 1 })] {
            for name in ["iss", "aud", "sub"] {
                let forged = world.claiming(name, Some(wrong.clone()));
                assert_eq!(world.verify(&forged), Err(BadJwt::Claims), "{name} {wrong}");
            }
        }
        let both = json!(["https://files.example", ISSUER]);
        let several = world.claiming("aud", Some(both));
        assert_eq!(world.verify(&several).unwrap().aud.len(), 2);
        // Whoever asks about a token of another server is told for which it is.
        let other = world.claiming("aud", Some(json!("https://files.example")));
        let anywhere = Expected {
            audience: None,
            ..EXPECTED
        };
        let told = verify_shown(&other, &world.directory, anywhere, NOW).unwrap();
        assert_eq!(told.aud, ["https://files.example"]);
    }

    #[test]
    fn n067_no_other_kind_of_token_is_an_access_token() {
        let world = World::new();
        let key = &world.keys[0];
        let body = serde_json::to_string(&claims()).unwrap();
        for typ in [
            json!("JWT"),
            json!("jwt"),
            json!("logout+jwt"),
            json!("dpop+jwt"),
            json!("AT+JWT"),
            json!("at+jwt "),
            json!(""),
            json!(null),
        ] {
            let mut head = header(key);
            head["typ"] = typ.clone();
            let forged = world.forged(key, &head.to_string(), &body);
            assert_eq!(world.verify(&forged), Err(BadJwt::Header), "{typ}");
        }
        // What an ID token has, an access token has not.
        for name in ["nonce", "auth_time", "events"] {
            let forged = world.claiming(name, Some(json!("x")));
            assert_eq!(world.verify(&forged), Err(BadJwt::Claims), "{name}");
        }
    }

    #[test]
    fn n068_times_are_whole_numbers_and_in_order() {
        let world = World::new();
        let huge = json!(1e308);
        for (name, value, expected) in [
            ("exp", None, BadJwt::Claims),
            ("exp", Some(json!("1800003600")), BadJwt::Claims),
            ("exp", Some(json!(1_800_003_600.5)), BadJwt::Claims),
            ("exp", Some(huge), BadJwt::Claims),
            ("exp", Some(json!(u64::MAX)), BadJwt::Claims),
            ("exp", Some(json!(null)), BadJwt::Claims),
            ("exp", Some(json!(true)), BadJwt::Claims),
            ("exp", Some(json!(-1)), BadJwt::Expired),
            ("exp", Some(json!(i64::MIN)), BadJwt::Expired),
            ("exp", Some(json!(0)), BadJwt::Expired),
            ("exp", Some(json!(NOW_SECONDS - 1)), BadJwt::Expired),
            ("exp", Some(json!(NOW_SECONDS)), BadJwt::Expired),
            ("iat", Some(json!(NOW_SECONDS + 61)), BadJwt::NotYet),
            ("iat", Some(json!(i64::MAX)), BadJwt::NotYet),
            ("iat", Some(json!("1800000000")), BadJwt::Claims),
            ("nbf", Some(json!(NOW_SECONDS + 61)), BadJwt::NotYet),
            ("nbf", Some(json!("soon")), BadJwt::Claims),
        ] {
            let forged = world.claiming(name, value.clone());
            assert_eq!(world.verify(&forged), Err(expected), "{name} {value:?}");
        }
        for (name, value) in [
            ("exp", NOW_SECONDS + 1),
            ("iat", NOW_SECONDS + 60),
            ("nbf", NOW_SECONDS + 60),
        ] {
            let good = world.claiming(name, Some(json!(value)));
            assert!(world.verify(&good).is_ok(), "{name} {value}");
        }
    }

    #[test]
    fn n069_a_token_has_one_spelling_and_says_nothing_twice() {
        let world = World::new();
        let key = &world.keys[0];
        let good = world.good(key);
        let [head, body, signature] = parts(&good).unwrap();
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            format!("{good}."),
            format!(".{good}"),
            format!("{good}.{signature}"),
            format!("{good}.."),
            // Encrypted, in five parts.
            format!("{head}.{body}.{body}.{body}.{signature}"),
            format!("{head}.{body}"),
            format!("{head}..{signature}"),
            format!(".{body}.{signature}"),
            format!("{good}="),
            format!("{good}=="),
            format!("{head}=.{body}.{signature}"),
            format!("{head}.{body}.{signature}\n"),
            format!(" {good}"),
            format!("{head} .{body}.{signature}"),
            good.replace('.', ","),
            format!("{head}.{body}.{signature}\u{e9}"),
        ] {
            assert_eq!(world.verify(&bad), Err(BadJwt::Malformed), "{bad}");
        }
        // 64 bytes are 86 characters; the last has four bits that mean nothing.
        let (rest, last) = signature.split_at(85);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let others = alphabet.split("").filter(|c| !c.is_empty() && *c != last);
        for other in others {
            let respelt = format!("{head}.{body}.{rest}{other}");
            assert!(world.verify(&respelt).is_err(), "{other} for {last}");
        }
        let twice = |text: &str| {
            let (name, _) = text[1..].split_once(',').unwrap();
            format!("{{{name},{}", &text[1..])
        };
        let head = header(key).to_string();
        let body = serde_json::to_string(&claims()).unwrap();
        let forged = world.forged(key, &twice(&head), &body);
        assert_eq!(world.verify(&forged), Err(BadJwt::Header));
        let forged = world.forged(key, &head, &twice(&body));
        assert_eq!(world.verify(&forged), Err(BadJwt::Claims));
        for (name, value) in [("jti", "3kTMd9wQy"), ("sub", "ada"), ("aud", "x")] {
            let again = format!(
                r#"{},"{name}":"{value}"}}"#,
                body.strip_suffix('}').unwrap()
            );
            let forged = world.forged(key, &head, &again);
            assert_eq!(world.verify(&forged), Err(BadJwt::Claims), "{name} twice");
        }
        for trailing in [format!("{body}{body}"), format!("{body}x"), "[]".to_owned()] {
            let forged = world.forged(key, &head, &trailing);
            assert_eq!(world.verify(&forged), Err(BadJwt::Claims));
        }
    }

    #[test]
    fn n070_no_signature_but_the_right_one() {
        let world = World::new();
        for key in &world.keys {
            let good = world.good(key);
            let [head, body, signature] = parts(&good).unwrap();
            let signature = decode(signature).unwrap();
            let with = |bytes: &[u8]| world.verify(&format!("{head}.{body}.{}", encode(bytes)));
            assert!(with(&signature).is_ok());
            let length = signature.len();
            assert_eq!(with(&vec![0; length]), Err(BadJwt::Signature), "r = s = 0");
            assert_eq!(with(&vec![0xff; length]), Err(BadJwt::Signature));
            assert_eq!(with(&signature[1..]), Err(BadJwt::Signature));
            assert_eq!(with(&signature[..length - 1]), Err(BadJwt::Signature));
            assert_eq!(
                with(&[&signature[..], &[0]].concat()),
                Err(BadJwt::Signature)
            );
            assert_eq!(
                with(&[&[0], &signature[..]].concat()),
                Err(BadJwt::Signature)
            );
            for at in [0, length / 2, length - 1] {
                for bit in [0x80, 1] {
                    let mut flipped = signature.clone();
                    flipped[at] ^= bit;
                    assert_eq!(with(&flipped), Err(BadJwt::Signature), "byte {at}");
                }
            }
            // One half of an ECDSA signature is zero, or the other's.
            if length == 64 {
                let half = length / 2;
                let swapped = [&signature[half..], &signature[..half]].concat();
                assert_eq!(with(&swapped), Err(BadJwt::Signature));
                let no_r = [&vec![0; half], &signature[half..]].concat();
                assert_eq!(with(&no_r), Err(BadJwt::Signature));
            }
            let other = encode(
                serde_json::to_string(&Claims {
                    exp: i64::MAX,
                    ..claims()
                })
                .unwrap(),
            );
            let moved = format!("{head}.{other}.{}", encode(&signature));
            assert_eq!(world.verify(&moved), Err(BadJwt::Signature), "other claims");
        }
    }

    #[test]
    fn n071_a_token_is_good_as_long_as_its_key() {
        let mut world = World::new();
        let old = world.good(&world.keys[0]);
        let hour = NOW.plus_seconds(3_000);
        let new = Drawn::draw(SigningAlgorithm::Es256, &world.rng).unwrap();
        world.keys.push(new);
        world.create(3, Some(hour));
        let young = world.good(&world.keys[3]);
        let at = |world: &World, jwt: &str, now| {
            verify_shown(jwt, &world.directory, EXPECTED, now).map(drop)
        };
        let last = Timestamp::from_micros(hour.micros() - 1);
        assert_eq!(at(&world, &old, last), Ok(()));
        assert_eq!(at(&world, &old, hour), Err(BadJwt::UnknownKey));
        assert_eq!(at(&world, &young, hour), Ok(()));
        let kid = world.keys[3].kid;
        world.record(Event::SigningKeyRetired(SigningKeyRetired { kid }));
        assert_eq!(at(&world, &young, NOW), Err(BadJwt::UnknownKey));
        assert_eq!(
            at(&world, &old, NOW),
            Ok(()),
            "the other one is as good as before"
        );
    }

    #[test]
    fn a_claimed_id_is_read_from_nothing_else() {
        let body = |claims: &str| format!("e30.{}.AA", encode(claims));
        assert_eq!(
            jti_of(&body(r#"{"jti":"3kTMd9wQx","x":1}"#)),
            Some("3kTMd9wQx".parse().unwrap())
        );
        for bad in [
            "",
            "sk_live_3kTMd9wQx",
            "a.b",
            &body("{}"),
            &body(r#"{"jti":"3kTMd9wQ"}"#),
            &body(r#"{"jti":"3kTMd9wQx","jti":"3kTMd9wQy"}"#),
            &body(r#"{"jti":["3kTMd9wQx"]}"#),
            &body(&"[".repeat(3_000)),
        ] {
            assert_eq!(jti_of(bad), None, "{bad}");
        }
    }
}
