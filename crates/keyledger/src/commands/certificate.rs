//! What `keyledger doctor` says of the certificate.

use keyledger_api::tls::TlsFiles;
use keyledger_domain::Timestamp;

use super::doctor::Finding;
use super::with_causes;

/// How long before its end somebody should know: what renews certificates does so a month before.
const SOON_SECONDS: u64 = 14 * 86_400;

/// Whether the certificate and its key fit, and until when the certificate is good.
pub(super) fn look(files: &TlsFiles, now: Timestamp) -> Finding {
    let shown = files.certificate.display();
    let chain = match files.check().and_then(|()| files.chain()) {
        Ok(chain) => chain,
        Err(error) => return Finding::Bad(format!("certificate: {}", with_causes(&error))),
    };
    let own = chain.first().map(Vec::as_slice).unwrap_or_default();
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(own) else {
        return Finding::Bad(format!("certificate: {shown} holds no X.509 certificate"));
    };
    let at = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000))
    };
    let (begins, ends) = (
        at(parsed.validity.not_before),
        at(parsed.validity.not_after),
    );
    if now < begins {
        Finding::Bad(format!(
            "certificate: {shown} is good only from {begins} on"
        ))
    } else if ends <= now {
        Finding::Bad(format!(
            "certificate: {shown} expired at {ends}; renew it, the server takes the new one by itself"
        ))
    } else if ends <= now.plus_seconds(SOON_SECONDS) {
        Finding::Note(format!(
            "certificate: {shown} is good only until {ends}; renew it"
        ))
    } else {
        Finding::Good(format!(
            "certificate: {shown} fits its key and is good until {ends}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_told_before_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
        };
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2030, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2030, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        std::fs::write(&files.certificate, made.pem()).unwrap();
        let at = |text: &str| look(&files, text.parse().unwrap());
        let found = at("2030-01-02T00:00:00Z").to_string();
        assert!(
            found.starts_with("BAD") && found.contains("key.pem"),
            "{found}"
        );
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        assert!(matches!(at("2029-12-31T23:59:59Z"), Finding::Bad(_)));
        assert!(matches!(at("2030-01-01T00:00:00Z"), Finding::Good(_)));
        assert!(matches!(at("2030-02-14T23:59:59Z"), Finding::Good(_)));
        assert!(matches!(at("2030-02-15T00:00:00Z"), Finding::Note(_)));
        assert!(matches!(at("2030-02-28T23:59:59Z"), Finding::Note(_)));
        let ended = at("2030-03-01T00:00:00Z");
        assert!(matches!(&ended, Finding::Bad(words) if words.contains("2030-03-01")));
    }
}
