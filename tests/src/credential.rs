//! The grammar of credentials, written down a second time and independently of the product, so that
//! tests can forge what an attacker would: `kind_env_id9_secret43check6`.

/// Base62 in the order that the grammar names.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Length of the secret part, in characters: 256 bits in base62.
const SECRET_CHARS: usize = 43;

/// The six characters that end a credential: CRC-32/ISO-HDLC of all that stands before them.
pub fn check_of(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut check = [b'0'; 6];
    for place in check.iter_mut().rev() {
        *place = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    check.iter().copied().map(char::from).collect()
}

/// A credential with a right checksum and a secret that nobody was given.
///
/// `kind` is `sk`, `sv`, …; `environment` is `live` or `test`; `id` has nine characters.
pub fn forged(kind: &str, environment: &str, id: &str) -> String {
    let body = format!("{kind}_{environment}_{id}_{}", "0".repeat(SECRET_CHARS));
    let check = check_of(&body);
    body + &check
}

/// The public id in a credential.
pub fn id_of(credential: &str) -> &str {
    credential
        .split('_')
        .nth(2)
        .expect("a credential has four parts")
}

/// Whether `text` is a whole credential of this kind and environment, checksum included.
pub fn is_well_formed(text: &str, kind: &str, environment: &str) -> bool {
    let parts: Vec<&str> = text.split('_').collect();
    let [its_kind, its_environment, id, rest] = parts[..] else {
        return false;
    };
    let base62 = |part: &str| part.bytes().all(|byte| ALPHABET.contains(&byte));
    its_kind == kind
        && its_environment == environment
        && id.len() == 9
        && rest.len() == SECRET_CHARS + 6
        && base62(id)
        && base62(rest)
        && text.ends_with(&check_of(&text[..text.len() - 6]))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_vector_holds() {
        let credential = super::forged("sk", "live", "3kTMd9wQx");
        assert!(
            credential.ends_with("03LzWod"),
            "the check is the grammar's vector"
        );
        assert_eq!(credential.len(), 67);
        assert!(super::is_well_formed(&credential, "sk", "live"));
        assert!(!super::is_well_formed(
            &credential.replace("live", "test"),
            "sk",
            "test"
        ));
    }
}
