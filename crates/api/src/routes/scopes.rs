//! `/v1/scopes`: the catalogue of what credentials may do, and what organizations add to it.

use actix_web::{HttpResponse, web};
use keyledger_domain::Role;
use keyledger_domain::org::{AddScope, Org};
use keyledger_domain::scope::{Access, BUILT_IN, BuiltInScope, Scope, ScopeEntry, built_in};
use keyledger_domain::text::Description;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::members::ROLE_WORDS;
use crate::routes::organization;

/// A scope of the catalogue.
#[derive(Serialize, ToSchema)]
pub struct ScopeView {
    /// Its name.
    #[schema(example = "files:read")]
    name: String,
    /// What it allows, for people.
    description: String,
    /// `read` or `write`; entitlement tokens take only what reads.
    #[schema(value_type = String, example = "read")]
    access: Access,
    /// Who has it by role; everyone else needs a team that grants it.
    #[schema(value_type = String, example = "member")]
    minimum_role: Role,
    /// The slug of the organization that added it; `null` for what every organization has.
    organization: Option<String>,
}

impl ScopeView {
    fn built_in(entry: &BuiltInScope) -> Self {
        Self {
            name: entry.name.to_owned(),
            description: entry.description.to_owned(),
            access: entry.access,
            minimum_role: entry.minimum_role,
            organization: None,
        }
    }

    fn added(org: &Org, entry: &ScopeEntry) -> Self {
        Self {
            name: entry.scope.to_string(),
            description: entry.description.to_string(),
            access: entry.access,
            minimum_role: entry.minimum_role,
            organization: Some(org.slug.to_string()),
        }
    }

    /// Where it stands in the list: two organizations may have added the same name.
    fn place(&self) -> (&str, &str) {
        (&self.name, self.organization.as_deref().unwrap_or_default())
    }

    /// Its place as a page tells it. Neither a scope nor a slug has an `@`.
    fn cursor(&self) -> String {
        let (name, organization) = self.place();
        format!("{name}@{organization}")
    }
}

/// The catalogue of these organizations behind a cursor, in order.
fn catalogue(orgs: &[&Org], after: Option<&str>) -> Vec<ScopeView> {
    let after = after.map(|after| after.split_once('@').unwrap_or((after, "")));
    let added = orgs.iter().flat_map(|org| {
        let entries = org.scopes.values();
        entries.map(|entry| ScopeView::added(org, entry))
    });
    let mut scopes: Vec<_> = BUILT_IN
        .iter()
        .map(ScopeView::built_in)
        .chain(added)
        .filter(|scope| after.is_none_or(|after| scope.place() > after))
        .collect();
    scopes.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
    scopes
}

/// List the scope catalogue, by name: what every organization has, and what mine added.
///
/// # Errors
/// 401, 403, 422.
#[utoipa::path(get, path = "/v1/scopes", tag = "scopes", params(PageQuery),
    responses(
        (status = 200, body = Page<ScopeView>, description = "A page of scopes."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks scopes:read."),
        (status = 422, body = ProblemBody, description = "The limit is not right.")))]
pub async fn list_scopes(
    app: web::Data<App>,
    caller: Caller,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let orgs = organization::all(&directory, &caller, None, built_in::SCOPES_READ)?;
    let scopes = catalogue(&orgs, page.after()).into_iter();
    let page = Page::of(scopes, page.limit()?, ScopeView::cursor, |scope| scope);
    Ok(HttpResponse::Ok().json(page))
}

/// A scope to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScope {
    /// Its name: lower-case words joined by colons.
    #[schema(required, value_type = String, example = "reports:read", max_length = 64)]
    name: Option<String>,
    /// What it allows, for people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// `read` or `write`; left out, `read` for a name that ends in `:read`, else `write`.
    access: Option<String>,
    /// Who has it by role: `member`, `manager` or `owner`; `member` where it is left out.
    minimum_role: Option<String>,
    /// The slug of the organization to add it to; left out, the oldest one to which the caller may
    /// add.
    #[schema(example = "acme")]
    organization: Option<String>,
}

impl NewScope {
    fn entry(&self, fields: &mut Fields) -> Result<ScopeEntry, Problem> {
        let scope: Option<Scope> = fields.required("name", self.name.as_deref());
        let description = self.description.as_deref().unwrap_or_default();
        let description: Option<Description> = fields.optional("description", Some(description));
        let access = match self.access.as_deref() {
            Some("read") => Access::Read,
            Some("write") => Access::Write,
            Some(_) => {
                fields.refuse("access", "must be read or write");
                Access::Write
            }
            // Whatever is not plainly reading may change things, so no entitlement token gets it.
            None => match &scope {
                Some(scope) if scope.as_str().ends_with(":read") => Access::Read,
                Some(_) | None => Access::Write,
            },
        };
        let minimum_role = fields.word("minimum_role", self.minimum_role.as_deref(), ROLE_WORDS);
        Ok(ScopeEntry {
            scope: fields.take(scope)?,
            description: fields.take(description)?,
            access,
            minimum_role: minimum_role.unwrap_or(Role::Member),
        })
    }
}

/// Add a scope to the catalogue of an organization. It stays for ever.
///
/// # Errors
/// 401, 403, 404, 409 for a name that is there already, 422.
#[utoipa::path(post, path = "/v1/scopes", tag = "scopes", request_body = NewScope,
    responses(
        (status = 201, body = ScopeView, description = "The scope."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks scopes:write."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 409, body = ProblemBody, description = "The name is taken."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn create_scope(
    app: web::Data<App>,
    caller: Caller,
    Json(body): Json<NewScope>,
) -> Result<HttpResponse, Problem> {
    let body = app.told(&caller, built_in::SCOPES_WRITE, body)?;
    let (org, slug) = {
        let directory = app.directory();
        let named = body.organization.as_deref();
        let orgs = organization::all(&directory, &caller, named, built_in::SCOPES_WRITE)?;
        let org = orgs.first().ok_or_else(Problem::internal)?;
        (org.id, org.slug.clone())
    };
    let entry = body.entry(&mut Fields::default())?;
    let view = ScopeView {
        name: entry.scope.to_string(),
        description: entry.description.to_string(),
        access: entry.access,
        minimum_role: entry.minimum_role,
        organization: Some(slug.to_string()),
    };
    let committed = app.execute(&caller, AddScope { org, entry }).await?;
    Ok(answer::created(committed.position, &view))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(slug: &str, scopes: &[&str]) -> Org {
        let entry = |name: &&str| ScopeEntry {
            scope: name.parse().unwrap(),
            description: "".parse().unwrap(),
            access: Access::Read,
            minimum_role: Role::Member,
        };
        Org {
            id: keyledger_domain::id::OrgId::from_bytes([1; 16]),
            slug: slug.parse().unwrap(),
            name: slug.parse().unwrap(),
            created_at: keyledger_domain::Timestamp::default(),
            members: std::collections::BTreeMap::new(),
            teams: std::collections::BTreeMap::new(),
            services: std::collections::BTreeMap::new(),
            entitlements: std::collections::BTreeSet::new(),
            invitations: std::collections::BTreeMap::new(),
            scopes: scopes
                .iter()
                .map(|name| ((*name).to_owned(), entry(name)))
                .collect(),
            rate_limit: None,
            disabled: std::collections::BTreeMap::new(),
            revocations: std::collections::BTreeMap::new(),
            policy: keyledger_domain::policy::OrgPolicy::default(),
            policy_changed_at: None,
        }
    }

    #[test]
    fn pages_neither_repeat_nor_miss_a_name_that_two_organizations_added() {
        let (one, two) = (
            org("one", &["reports:read", "zoo"]),
            org("two", &["reports:read"]),
        );
        let orgs = [&one, &two];
        let all: Vec<String> = catalogue(&orgs, None)
            .iter()
            .map(ScopeView::cursor)
            .collect();
        assert_eq!(all.len(), BUILT_IN.len() + 3);
        assert!(all.is_sorted());
        let mut walked = Vec::new();
        while let Some(next) = catalogue(&orgs, walked.last().map(String::as_str)).first() {
            walked.push(next.cursor());
        }
        assert_eq!(walked, all);
    }

    #[test]
    fn a_name_that_does_not_say_that_it_reads_may_change_things() {
        for (name, given, access) in [
            ("reports:read", None, Access::Read),
            ("reports:export", None, Access::Write),
            ("reports:reader", None, Access::Write),
            ("reports:export", Some("read"), Access::Read),
        ] {
            let body = NewScope {
                name: Some(name.to_owned()),
                description: None,
                access: given.map(ToOwned::to_owned),
                minimum_role: None,
                organization: None,
            };
            let entry = body.entry(&mut Fields::default()).unwrap();
            assert_eq!(entry.access, access, "{name}");
            assert_eq!(entry.minimum_role, Role::Member);
        }
    }
}
