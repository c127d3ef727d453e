//! `/v1/signing-keys`: the keys that sign access tokens, for whoever runs the server.

use actix_web::{HttpResponse, web};
use keyledger_domain::Refusal;
use keyledger_domain::Timestamp;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::signing::{
    OVERLAP_SECONDS_DEFAULT, RetireSigningKey, SigningAlgorithm, SigningKey, SigningKeyId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::answer::{self, Page};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::oauth::signing::Drawn;
use crate::problem::{Problem, ProblemBody};
use crate::usage::passage;

/// A key that signs access tokens, or did until lately.
#[derive(Serialize, ToSchema)]
pub struct SigningKeyView {
    /// Its name: the thumbprint of its public half (RFC 7638).
    #[schema(value_type = String)]
    kid: SigningKeyId,
    /// `ES256`, `EdDSA` or `RS256`.
    #[schema(value_type = String, example = "ES256")]
    algorithm: SigningAlgorithm,
    /// `active`: it signs. `retiring`: it was replaced, and what it signed is good until `retires_at`.
    #[schema(example = "active")]
    state: &'static str,
    /// When it was made, or brought along.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it is published no more, and what it signed refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    retires_at: Option<Timestamp>,
}

impl From<&SigningKey> for SigningKeyView {
    fn from(key: &SigningKey) -> Self {
        Self {
            kid: key.kid,
            algorithm: key.algorithm(),
            state: match key.retires_at {
                None => "active",
                Some(_) => "retiring",
            },
            created_at: key.created_at,
            retires_at: key.retires_at,
        }
    }
}

impl App {
    /// Asked before the body is looked at.
    fn require_signing_keys(&self, caller: &Caller) -> Result<(), Problem> {
        passage::required(built_in::SIGNING_KEYS_WRITE);
        Ok(self.directory().require_signing_keys(caller.authority())?)
    }
}

/// List the keys that are published. Only the owners of the organization that was made first, the
/// operator's, may.
///
/// # Errors
/// 401, 403.
#[utoipa::path(get, path = "/v1/signing-keys", tag = "signing keys",
    responses(
        (status = 200, body = Page<SigningKeyView>, description = "All of them."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no owner of the operator's organization, or lacks signing_keys:write.")))]
pub async fn list_signing_keys(
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse, Problem> {
    app.require_signing_keys(&caller)?;
    let directory = app.directory();
    let keys = directory.signing_keys(app.now()).map(SigningKeyView::from);
    Ok(HttpResponse::Ok().json(Page {
        items: keys.collect(),
        next: None,
    }))
}

/// A key to sign with from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSigningKey {
    /// `ES256`, `EdDSA` or `RS256`.
    #[schema(required, value_type = String, example = "ES256")]
    algorithm: Option<String>,
    /// For RS256, whose keys are brought along, the key: PEM of PKCS#8 (`BEGIN PRIVATE KEY`), RSA of 2,048
    /// to 4,096 bits. The others are made here.
    private_key_pem: Option<String>,
    /// How long the key before it is published, in seconds; 0 ends it at once, a day where it is left out.
    #[schema(maximum = 2_592_000)]
    overlap_seconds: Option<u64>,
}

/// Make a key that signs access tokens from now on, or bring one along. The one before it is published
/// until `overlap_seconds` are over.
///
/// # Errors
/// 401, 403, 409 for a key that is there already, or when too many are, 422.
#[utoipa::path(post, path = "/v1/signing-keys", tag = "signing keys", request_body = NewSigningKey,
    responses(
        (status = 201, body = SigningKeyView, description = "The key."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no owner of the operator's organization, or lacks signing_keys:write."),
        (status = 409, body = ProblemBody, description = "The key is there already, or too many are."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_signing_key(
    app: web::Data<App>,
    caller: Caller,
    Json(body): Json<NewSigningKey>,
) -> Result<HttpResponse, Problem> {
    app.require_signing_keys(&caller)?;
    let body = body?;
    let pem = body.private_key_pem.map(Zeroizing::new);
    let drawn = app.drawn(
        body.algorithm.as_deref(),
        pem.as_deref().map(String::as_str),
    )?;
    let overlap_seconds = body.overlap_seconds.unwrap_or(OVERLAP_SECONDS_DEFAULT);
    let position = app
        .add_signing_key(&caller, &drawn, overlap_seconds)
        .await?;
    let directory = app.directory();
    let key = directory.signing_key(drawn.kid, app.now());
    // Gone already only if somebody retired it in the very same moment.
    let key = key.ok_or(Refusal::Unknown(Noun::SigningKey))?;
    Ok(answer::created(position, &SigningKeyView::from(key)))
}

impl App {
    /// The key that a body asks for, made or brought along.
    fn drawn(&self, algorithm: Option<&str>, pem: Option<&str>) -> Result<Drawn, Problem> {
        const PEM: &str = "private_key_pem";
        let mut fields = Fields::default();
        let algorithm = fields.required("algorithm", algorithm);
        match (algorithm, pem) {
            (Some(SigningAlgorithm::Rs256), Some(pem)) => {
                match Drawn::rsa_of_pem(pem, self.rng()) {
                    Ok(drawn) => return Ok(drawn),
                    Err(reason) => fields.refuse(PEM, reason.to_string()),
                }
            }
            (Some(SigningAlgorithm::Rs256), None) => {
                fields.refuse(PEM, "is needed for RS256: such a key is brought along");
            }
            (Some(algorithm @ (SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa)), None) => {
                return Drawn::draw(algorithm, self.rng()).ok_or_else(Problem::internal);
            }
            (Some(SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa), Some(_)) => {
                fields.refuse(
                    PEM,
                    "is for RS256 alone; leave it out, the key is made here",
                );
            }
            (None, _) => {}
        }
        fields.take(None)
    }
}

/// Stop publishing a key at once: what it signed is refused from now on, by this server immediately and
/// by others as soon as they read the keys again, which they may put off for five minutes.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(post, path = "/v1/signing-keys/{kid}/retire", tag = "signing keys",
    params(("kid" = String, Path, description = "The key's name.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller is no owner of the operator's organization, or lacks signing_keys:write."),
        (status = 404, body = ProblemBody, description = "No such key is published.")))]
pub async fn retire_signing_key(
    app: web::Data<App>,
    caller: Caller,
    kid: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    app.require_signing_keys(&caller)?;
    let kid = kid.parse();
    let kid = kid.map_err(|_| Refusal::Unknown(Noun::SigningKey))?;
    let committed = app.execute(&caller, RetireSigningKey { kid }).await?;
    Ok(answer::gone(committed.position))
}
