//! How a change is answered: with the position it reached, so that a client can ask for the proof;
//! and how a look-up is.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use keyledger_domain::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::json;
use crate::problem::Problem;

const KEYLEDGER_POSITION: HeaderName = HeaderName::from_static("keyledger-position");

/// 201 with what was made.
pub(crate) fn created(position: Position, body: &impl Serialize) -> HttpResponse {
    changed(StatusCode::CREATED, position).json(body)
}

/// 200 with what was changed.
pub(crate) fn done(position: Position, body: &impl Serialize) -> HttpResponse {
    changed(StatusCode::OK, position).json(body)
}

/// 204: it is gone.
pub(crate) fn gone(position: Position) -> HttpResponse {
    changed(StatusCode::NO_CONTENT, position).finish()
}

fn changed(status: StatusCode, position: Position) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((KEYLEDGER_POSITION, position.get()));
    response
}

/// Room for nearly every answer about one key, and for no more: the allocator tidies up after so many
/// bytes, used or not.
pub(crate) const LOOK_UP_BYTES: usize = 448;

/// Writes what was looked up, so that nothing of the state need be copied to outlive its lock.
///
/// # Errors
/// 500 if it cannot be written as JSON.
pub(crate) fn write(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(LOOK_UP_BYTES);
    json::append(&mut bytes, body).map_err(|_| Problem::internal())?;
    Ok(bytes)
}

/// 200 with what [`write`] wrote.
pub(crate) fn found(bytes: Vec<u8>) -> HttpResponse {
    // The framework's own `json` formats the media type anew for every answer.
    let media_type = HeaderValue::from_static("application/json");
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(bytes));
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// The most things on a page.
pub(crate) const LIMIT_MAX: usize = 1_000;
/// The things on a page, where nothing is said.
const LIMIT_DEFAULT: usize = 100;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The things, in a fixed order.
    pub items: Vec<T>,
    /// What to send as `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of `limit` things out of an iterator over those behind the last page.
    pub(crate) fn of<I>(
        things: impl Iterator<Item = I>,
        limit: usize,
        cursor: impl Fn(&I) -> String,
        view: impl Fn(I) -> T,
    ) -> Self {
        let mut things = things.peekable();
        let mut items = Vec::new();
        let mut next = None;
        while let Some(thing) = things.next() {
            if items.len() + 1 == limit && things.peek().is_some() {
                next = Some(cursor(&thing));
            }
            items.push(view(thing));
            if items.len() == limit {
                break;
            }
        }
        Self { items, next }
    }
}

/// Which page of a list: `?limit=100&after=…`.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// At most this many, 1 to 1,000; 100 where it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl PageQuery {
    /// The number of things asked for.
    ///
    /// # Errors
    /// 422 for anything but a number from 1 to 1,000.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        limit(self.limit.as_deref())
    }

    /// What the page starts behind.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

/// Which page of a list, and of which moment: `?limit=100&after=…&at=…`.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageAtQuery {
    /// At most this many, 1 to 1,000; 100 where it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// The list as of this moment: an instant (RFC 3339) or the position of a record. Now where it is left out.
    #[param(example = "2027-01-31T09:00:00Z")]
    at: Option<String>,
}

impl PageAtQuery {
    /// The page, and the moment as it was written.
    pub(crate) fn into_parts(self) -> (PageQuery, Option<String>) {
        let Self { limit, after, at } = self;
        (PageQuery { limit, after }, at)
    }
}

/// A `limit` as it stands in a query.
pub(crate) fn limit(text: Option<&str>) -> Result<usize, Problem> {
    size("limit", text)
}

/// The size of a page as it stands in a query under some name.
pub(crate) fn size(name: &str, text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| Problem::field(name, format!("must be a number from 1 to {LIMIT_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n128_a_limit_is_a_number_from_one_to_a_thousand() {
        assert_eq!(limit(None).unwrap(), LIMIT_DEFAULT);
        for (text, expected) in [("1", 1), ("1000", 1000)] {
            assert_eq!(limit(Some(text)).unwrap(), expected);
        }
        for bad in [
            "",
            "0",
            "-1",
            "1001",
            "1000000000",
            "18446744073709551616",
            "NaN",
            "inf",
            "1.0",
            "1e3",
            " 1",
            "0x10",
            "\u{661}",
        ] {
            assert!(limit(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
