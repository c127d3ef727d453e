//! Keys that are brought along or made, and that they sign over a real ledger.

use core::sync::atomic::{AtomicI64, Ordering};

use actix_web::ResponseError as _;
use actix_web::http::StatusCode;
use keyledger_domain::Timestamp;
use keyledger_domain::event::Event;
use keyledger_domain::signing::RetireSigningKey;
use keyledger_ledger::credits_store::CreditsBook;
use keyledger_ledger::index::Index;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Clock, CommitterThread, Ledger, OpenOptions, Started};

use super::*;
use crate::oauth::jwt::{BadJwt, Expected, verify_shown};
use crate::{Lookups, LookupsFeed, Parts, SetUpCode, Settings, Usage};

const RSA_PEM: &str = include_str!("../test-only-not-a-secret.rsa.pem");
const RSA_1024_PEM: &str = include_str!("../test-only-not-a-secret.rsa-1024.pem");

#[test]
fn an_rsa_key_is_brought_along_in_pem() {
    let rng = SystemRandom::new();
    let drawn = Drawn::rsa_of_pem(RSA_PEM, &rng).unwrap();
    let PublicKey::Rsa { modulus, exponent } = &drawn.public_key else {
        panic!("it is RSA");
    };
    assert_eq!((modulus.len(), &exponent[..]), (256, &[1, 0, 1][..]));
    let crlf = RSA_PEM.replace('\n', "\r\n");
    assert_eq!(Drawn::rsa_of_pem(&crlf, &rng).unwrap().kid, drawn.kid);
    let p256 = Drawn::draw(SigningAlgorithm::Es256, &rng).unwrap();
    let p256 = format!(
        "{PEM_HEAD}\n{}\n{PEM_FOOT}\n",
        STANDARD.encode(&*p256.pkcs8)
    );
    for bad in [
        "",
        "x",
        PEM_HEAD,
        &p256,
        // It could be factored.
        RSA_1024_PEM,
        &RSA_PEM[..RSA_PEM.len() / 2],
        &RSA_PEM.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        &RSA_PEM.replace('M', "\u{e4}"),
        &format!("{RSA_PEM}{RSA_PEM}"),
    ] {
        assert_eq!(Drawn::rsa_of_pem(bad, &rng).err(), Some(NotAnRsaKey));
    }
}

#[test]
fn the_server_draws_no_rsa_key_and_no_key_twice() {
    let rng = SystemRandom::new();
    assert!(Drawn::draw(SigningAlgorithm::Rs256, &rng).is_none());
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let [one, two] = [(); 2].map(|()| Drawn::draw(algorithm, &rng).unwrap());
        assert_eq!(one.public_key.algorithm(), algorithm);
        assert_ne!(one.kid, two.kid);
    }
}

const ISSUER: &str = "https://auth.example";
const START_SECONDS: i64 = 1_800_000_000;

/// A clock that goes on by a second each time it is asked, so that no two records are of one instant.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1_000_000, Ordering::Relaxed))
    }
}

/// An application over a ledger in a folder of the test's own.
struct World {
    app: App,
    committer: Option<CommitterThread>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let clock = Arc::new(Ticking(AtomicI64::new(START_SECONDS * 1_000_000)));
        let rng = SystemRandom::new();
        let options = OpenOptions {
            reserve_bytes: 0,
            snapshot_every: 0,
            ..OpenOptions::new(&data)
        };
        let clock = Arc::<Ticking>::clone(&clock);
        let drawn = Arc::new(rng.clone());
        let opened = Ledger::open(&options, drawn, clock.clone(), &mut |_| {}, &mut |_| {});
        let opened = opened.unwrap();
        let directory = opened.directory.clone();
        let index = Index::new(&Paths::new(&data), &opened.key_file, directory.position());
        let lookups = Arc::new(Lookups::new(directory, Arc::new(index)));
        let (reader, key_file) = (opened.reader.clone(), Arc::clone(&opened.key_file));
        let past = opened.past();
        let (credits, _) = CreditsBook::open(&Paths::new(&data), &key_file).unwrap();
        let Started {
            committer,
            thread,
            log,
            backups,
        } = opened.start(LookupsFeed(Arc::clone(&lookups))).unwrap();
        let app = App::new(Parts {
            committer,
            lookups,
            reader,
            past,
            log,
            backups,
            key_file,
            clock,
            rng,
            setup_code: SetUpCode::waiting("a code".to_owned(), || ()),
            usage: Arc::new(Usage::in_memory(Timestamp::default())),
            credits,
            settings: Settings {
                issuer: ISSUER.to_owned(),
                password_places: 1,
                is_on_loopback: true,
                throttles: crate::ThrottleSettings::DEFAULT,
                session_idle_seconds: 3_600,
            },
        });
        Self {
            app: app.unwrap(),
            committer: Some(thread),
            _folder: folder,
        }
    }

    async fn sign(&self, algorithm: SigningAlgorithm) -> Result<String, Problem> {
        let origin = Origin::of_the_server([7; 16]);
        let claims = claims();
        let signed = self.app.sign_access_token(&origin, algorithm, &claims);
        signed.await.map(Jwt::expose_once)
    }

    fn verify(&self, jwt: &str) -> Result<Claims, BadJwt> {
        let expected = Expected {
            issuer: ISSUER,
            audience: Some(ISSUER),
        };
        verify_shown(jwt, &self.app.directory(), expected, self.app.now())
    }

    fn published(&self) -> usize {
        let directory = self.app.directory();
        directory.signing_keys(self.app.now()).count()
    }

    fn active(&self, algorithm: SigningAlgorithm) -> SigningKeyId {
        let (kid, _) = self.app.active(algorithm).expect("a key that signs");
        kid
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(committer) = self.committer.take() {
            drop(committer.stop());
        }
    }
}

fn claims() -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        sub: "somebody".to_owned(),
        aud: vec![ISSUER.to_owned()],
        exp: START_SECONDS + 86_400,
        iat: START_SECONDS,
        jti: "3kTMd9wQx".parse().unwrap(),
        client_id: "a client".to_owned(),
        scope: None,
        environment: None,
    }
}

#[actix_web::test]
async fn the_first_token_of_an_algorithm_makes_its_key() {
    let world = World::new();
    for (count, algorithm) in [(1, SigningAlgorithm::Es256), (2, SigningAlgorithm::EdDsa)] {
        let first = world.sign(algorithm).await.unwrap();
        assert_eq!(world.published(), count);
        let second = world.sign(algorithm).await.unwrap();
        assert_eq!(world.published(), count, "the second needs no other");
        for jwt in [first, second] {
            assert_eq!(world.verify(&jwt), Ok(claims()));
        }
    }
    let made = world.app.reader().get(Position::new(1)).unwrap().unwrap();
    assert!(matches!(made.event, Event::SigningKeyCreated(_)));
}

#[actix_web::test]
async fn two_first_tokens_at_once_make_one_key() {
    let world = World::new();
    let sign = || world.sign(SigningAlgorithm::Es256);
    let (one, two, three) = tokio::join!(sign(), sign(), sign());
    assert_eq!(world.published(), 1);
    for jwt in [one, two, three] {
        assert_eq!(world.verify(&jwt.unwrap()), Ok(claims()));
    }
}

#[actix_web::test]
async fn without_an_rsa_key_nothing_is_signed_with_one() {
    let world = World::new();
    let refused = world.sign(SigningAlgorithm::Rs256).await.unwrap_err();
    assert_eq!(refused.status_code(), StatusCode::SERVICE_UNAVAILABLE);
    let drawn = Drawn::rsa_of_pem(RSA_PEM, world.app.rng()).unwrap();
    let system = Caller::system(Origin::of_the_server([7; 16]));
    let added = world.app.add_signing_key(&system, &drawn, 0).await;
    added.unwrap();
    let jwt = world.sign(SigningAlgorithm::Rs256).await.unwrap();
    assert_eq!(world.verify(&jwt), Ok(claims()));
}

/// Goal: no key goes on signing out of the memory of the process.
#[actix_web::test]
async fn n071_a_key_that_was_retired_signs_no_more() {
    let world = World::new();
    let algorithm = SigningAlgorithm::Es256;
    let old = world.sign(algorithm).await.unwrap();
    let kid = world.active(algorithm);
    let system = Caller::system(Origin::of_the_server([7; 16]));
    let retired = world.app.execute(&system, RetireSigningKey { kid }).await;
    retired.unwrap();
    assert_eq!(world.verify(&old), Err(BadJwt::UnknownKey));
    let new = world.sign(algorithm).await.unwrap();
    assert_ne!(world.active(algorithm), kid);
    assert_eq!(world.verify(&new), Ok(claims()));
    // Of the two that were opened, the one that signs is kept.
    assert_eq!(world.app.signers().0.read().len(), 1);
}
