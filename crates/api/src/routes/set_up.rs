//! `POST /v1/setup`: the first owner comes in with the code that the server printed.

use core::net::IpAddr;

use actix_web::{HttpResponse, web};
use keyledger_domain::Position;
use keyledger_domain::id::{OrgId, UserId};
use keyledger_domain::org::SetUp;
use keyledger_domain::text::{DisplayName, Email, Slug};
use keyledger_domain::user::NewUser;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::{Caller, Origin, Visitor};
use crate::problem::{Problem, ProblemBody};

/// The first owner and their organization.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstOwner {
    /// The one-time code that the server printed.
    #[schema(required, value_type = String)]
    pub(crate) code: Option<String>,
    /// What the owner logs in with.
    #[schema(required, value_type = String, example = "ada@example.com")]
    pub(crate) email: Option<String>,
    /// The owner's password, at least 8 characters.
    #[schema(required, value_type = String, format = Password)]
    pub(crate) password: Option<String>,
    /// The organization's slug.
    #[schema(required, value_type = String, example = "acme")]
    pub(crate) organization: Option<String>,
    /// The owner's name; the address where it is left out.
    pub(crate) name: Option<String>,
}

/// What was set up.
#[derive(Serialize, ToSchema)]
pub struct FirstOwnerMade {
    /// The owner's address.
    email: String,
    /// The organization's slug.
    organization: String,
}

/// Make the first owner and their organization.
///
/// # Errors
/// 404 without the right code, and for ever once there is an owner; 422.
#[utoipa::path(post, path = "/v1/setup", tag = "setup", security(()), request_body = FirstOwner,
    responses(
        (status = 201, body = FirstOwnerMade, description = "The server has its first owner."),
        (status = 404, body = ProblemBody, description = "Not the code, or set up already."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn set_up(
    app: web::Data<App>,
    visitor: Visitor,
    Json(body): Json<FirstOwner>,
) -> Result<HttpResponse, Problem> {
    let body = body?;
    let (position, made) = app.set_up(visitor.origin, body).await?;
    Ok(answer::created(position, &made))
}

impl App {
    /// Makes the first owner for whoever has the code, for the route and for the page.
    ///
    /// # Errors
    /// As [`set_up`].
    pub(crate) async fn set_up(
        &self,
        origin: Origin,
        body: FirstOwner,
    ) -> Result<(Position, FirstOwnerMade), Problem> {
        let code = body.code.as_deref().unwrap_or_default();
        self.check_setup_code(code, origin.source())?;
        let made = self.make_first_owner(origin, body).await?;
        self.setup_code().spend();
        Ok(made)
    }

    /// Whether this is the code for the first owner.
    ///
    /// # Errors
    /// 404; 429 for whoever guessed too often.
    pub(crate) fn check_setup_code(
        &self,
        code: &str,
        source: Option<IpAddr>,
    ) -> Result<(), Problem> {
        let checked = self.setup_code().check(code);
        checked.map_err(|problem| self.wrong_code(problem, code, source))
    }

    /// What whoever showed a code or token that is none is told: that, or that there were too many.
    pub(crate) fn wrong_code(
        &self,
        problem: Problem,
        code: &str,
        source: Option<IpAddr>,
    ) -> Problem {
        let counted = self.throttles().wrong_key(code, source);
        counted.map_or_else(Problem::from, |()| problem)
    }

    /// Makes the first owner on the word of whoever runs the server.
    ///
    /// # Errors
    /// 409 once there is one; 422.
    pub(crate) async fn make_first_owner(
        &self,
        origin: Origin,
        body: FirstOwner,
    ) -> Result<(Position, FirstOwnerMade), Problem> {
        let mut fields = Fields::default();
        let email: Option<Email> = fields.required("email", body.email.as_deref());
        let slug: Option<Slug> = fields.required("organization", body.organization.as_deref());
        let name: Option<DisplayName> = fields.optional("name", body.name.as_deref());
        let password = fields.new_password("password", body.password);
        let (email, slug) = (fields.take(email)?, fields.take(slug)?);
        let password = self.passwords().hash(fields.take(password)?).await?;
        let as_name = |text: &str| text.parse::<DisplayName>().map_err(|_| Problem::internal());
        let owner = NewUser {
            user: UserId::from_random(self.random()?),
            name: name.map_or_else(|| as_name(local_part(&email)), Ok)?,
            email: email.clone(),
            password,
        };
        let org = OrgId::from_random(self.random()?);
        let command = SetUp {
            org,
            name: as_name(slug.as_str())?,
            slug: slug.clone(),
            owner,
        };
        let committed = self.execute(&Caller::system(origin), command).await?;
        let made = FirstOwnerMade {
            email: email.to_string(),
            organization: slug.to_string(),
        };
        Ok((committed.position, made))
    }
}

/// What an account is called until its owner says otherwise.
pub(crate) fn local_part(email: &Email) -> &str {
    email.as_str().split('@').next().unwrap_or_default()
}
