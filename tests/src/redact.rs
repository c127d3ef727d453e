/// `text` with everything that could be a credential cut short, for messages of failed tests.
///
/// A word of forty or more letters, digits, `_` or `-` keeps its first eighteen: kind, environment and public
/// id of a credential (`sk_live_3kTMd9wQx_`) end there, and the secret begins.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for letter in text.chars().chain(std::iter::once('\n')) {
        if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') {
            word.push(letter);
            continue;
        }
        if word.len() >= 40 {
            word.truncate(18);
            word.push_str("***");
        }
        out.push_str(&word);
        word.clear();
        out.push(letter);
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn a_credential_keeps_its_public_part_only() {
        let secret = "0".repeat(49);
        let text = format!("{{\"token\":\"sk_live_3kTMd9wQx_{secret}\",\"handle\":\"laptop\"}}");
        assert_eq!(
            redact(&text),
            "{\"token\":\"sk_live_3kTMd9wQx_***\",\"handle\":\"laptop\"}"
        );
    }

    #[test]
    fn a_uuid_stays_whole() {
        let text = "id 0190b3c4-1111-7222-8333-444455556666.";
        assert_eq!(redact(text), text);
    }
}
