//! Public keys as everybody reads them (RFC 7517), and the names that this gives them (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyledger_domain::signing::{PublicKey, SigningAlgorithm, SigningKey, SigningKeyId};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use utoipa::ToSchema;

/// A public key. It has no member for anything that is not public.
#[derive(Serialize, ToSchema)]
pub struct Jwk {
    /// `EC`, `OKP` or `RSA`.
    #[schema(example = "EC")]
    kty: &'static str,
    /// Always `sig`: it checks signatures.
    #[schema(example = "sig")]
    r#use: &'static str,
    /// How it signs: `ES256`, `EdDSA` or `RS256`.
    #[schema(value_type = String, example = "ES256")]
    alg: SigningAlgorithm,
    /// Its name: its thumbprint (RFC 7638).
    #[schema(value_type = String)]
    kid: SigningKeyId,
    /// Of an EC key `P-256`, of an OKP key `Ed25519`.
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    /// Of an EC key its x, of an OKP key all of it; base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    /// Of an EC key its y; base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    /// Of an RSA key its modulus; base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    /// Of an RSA key its exponent; base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

impl From<&SigningKey> for Jwk {
    fn from(key: &SigningKey) -> Self {
        let kty = match key.public_key {
            PublicKey::P256 { .. } => "EC",
            PublicKey::Ed25519 { .. } => "OKP",
            PublicKey::Rsa { .. } => "RSA",
        };
        let bare = Self {
            kty,
            r#use: "sig",
            alg: key.algorithm(),
            kid: key.kid,
            crv: None,
            x: None,
            y: None,
            n: None,
            e: None,
        };
        match &key.public_key {
            PublicKey::P256 { x, y } => Self {
                crv: Some("P-256"),
                x: Some(base64url(x)),
                y: Some(base64url(y)),
                ..bare
            },
            PublicKey::Ed25519 { x } => Self {
                crv: Some("Ed25519"),
                x: Some(base64url(x)),
                ..bare
            },
            PublicKey::Rsa { modulus, exponent } => Self {
                n: Some(base64url(modulus)),
                e: Some(base64url(exponent)),
                ..bare
            },
        }
    }
}

/// The name of a key: the SHA-256 of its required members in the order of their names, without
/// blanks (RFC 7638 §3.2, RFC 8037 §2).
pub fn thumbprint(key: &PublicKey) -> SigningKeyId {
    // Base64url has nothing that JSON would escape.
    let members = match key {
        PublicKey::P256 { x, y } => format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            base64url(x),
            base64url(y)
        ),
        PublicKey::Ed25519 { x } => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(x))
        }
        PublicKey::Rsa { modulus, exponent } => format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            base64url(exponent),
            base64url(modulus)
        ),
    };
    let hash = digest(&SHA256, members.as_bytes());
    base64url(hash.as_ref())
        .parse()
        .expect("32 bytes in base64url are a thumbprint")
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use keyledger_domain::{SealedSecret, Timestamp};

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn ed25519() -> PublicKey {
        let x = bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        PublicKey::Ed25519 {
            x: x.try_into().unwrap(),
        }
    }

    /// The examples of RFC 7638 §3.1 and RFC 8037 A.3.
    #[test]
    fn names_are_those_that_everybody_computes() {
        let modulus = bytes(
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
             BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_\
             FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI\
             4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        );
        let rsa = PublicKey::Rsa {
            modulus: modulus.into(),
            exponent: vec![1, 0, 1].into(),
        };
        assert_eq!(
            thumbprint(&rsa).as_str(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        assert_eq!(
            thumbprint(&ed25519()).as_str(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_key_is_told_with_its_public_members_alone() {
        let p256 = PublicKey::P256 {
            x: [1; 32],
            y: [2; 32],
        };
        let rsa = PublicKey::Rsa {
            modulus: vec![0xc1; 256].into(),
            exponent: vec![1, 0, 1].into(),
        };
        for (public_key, kty, members) in [
            (
                p256,
                "EC",
                &["alg", "crv", "kid", "kty", "use", "x", "y"][..],
            ),
            (ed25519(), "OKP", &["alg", "crv", "kid", "kty", "use", "x"]),
            (rsa, "RSA", &["alg", "e", "kid", "kty", "n", "use"]),
        ] {
            let key = SigningKey {
                kid: thumbprint(&public_key),
                public_key,
                sealed: SealedSecret::from_bytes(vec![7; 40]),
                created_at: Timestamp::default(),
                retires_at: None,
            };
            let told = serde_json::to_value(Jwk::from(&key)).unwrap();
            let mut names: Vec<_> = told.as_object().unwrap().keys().collect();
            names.sort_unstable();
            assert_eq!(names, members, "{kty}");
            assert_eq!(told["kty"], kty);
            assert_eq!(told["alg"], key.algorithm().as_str());
            assert_eq!(told["kid"], key.kid.as_str());
        }
    }
}
