//! Who gets what: a row for each operation, a column for each caller.

use super::callers::COLUMNS;

/// The rows stand in the order of the product's own table of routes; aliases are tried by the row of
/// their canonical address. After the cells comes the body: `$new` is a fresh name, and so on (see
/// `things.rs`). `after POST {..}` is sent to the same address before, by somebody who may.
///
/// Columns: nobody; every `wrong` credential (a key in each carrier, Basic, a disabled, an expired
/// and a revoked key); a member by password, `-` where a key does as well; a member, a manager and
/// an owner of acme by key; the owner of another organization; a service of acme; an entitlement
/// token of acme; the owner's key with the scope `files:read` alone; the owner's key of the
/// environment `test`.
///
/// 403 is a right that is missing, 404 what the caller cannot see.
const TABLE: &str = r#"
#                                                     nob wro pas mem man own str ser ent nar tes
POST   /v1/keys/verify                                401 401   - 200 200 200 200 200 403 403 200  {"key":"$key"}
GET    /v1/keys/{id}/usage                            401 401   - 403 200 200 404 403 403 403 404
GET    /v1/me                                         401 401 200 200 200 200 200 200 200 200 200
GET    /v1/user/self                                  200 401 200 200 200 200 200 200 200 200 200
GET    /v1/user                                       401 401 200 200 200 200 200 403 403 200 200
POST   /v1/user/password                              401 401 204 403 403 403 403 403 403 403 403  {"password":"$password"}
DELETE /v1/user/sessions                              401 401 204 403 403 403 403 403 403 403 403
POST   /v1/user/token                                 200 401 200 400 400 400 400 400 400 400 400  {"email":"$email","password":"$password"}
GET    /v1/user/tokens                                401 401   - 200 200 200 200 403 403 403 200
PUT    /v1/user/tokens/{slug_perm}/refresh            401 401 200 403 403 403 403 403 403 403 404
GET    /v1/user/keys                                  401 401 200 200 200 200 200 403 403 403 200
POST   /v1/user/keys                                  401 401 201 201 201 201 201 403 403 403 403  {"handle":"$new"}
POST   /v1/user/keys/{handle}/rotate                  401 401   - 200 200 200 200 403 403 403 404  {"grace_seconds":60}
DELETE /v1/user/keys/{handle}/rotate                  401 401   - 200 200 200 200 403 403 403 404  after POST {"activate":"first_use"}
GET    /v1/user/keys/{handle}                         401 401 200 200 200 200 200 403 403 403 404
PATCH  /v1/user/keys/{handle}                         401 401   - 200 200 200 200 403 403 403 404  {"alias":"$new"}
DELETE /v1/user/keys/{handle}                         401 401   - 204 204 204 204 403 403 403 404
GET    /v1/workspaces                                 401 401   - 200 200 200 200 200 403 403 200
POST   /v1/workspaces                                 401 401   - 403 201 201 201 403 403 403 403  {"name":"$new"}
GET    /v1/orgs/{org}/members                         401 401   - 200 200 200 404 200 403 403 200
POST   /v1/orgs/{org}/members                         401 401   - 403 201 201 404 403 403 403 403  {"email":"$new@example.com","role":"member"}
GET    /v1/orgs/{org}/members/{user}                  401 401   - 200 200 200 404 200 403 403 200
PATCH  /v1/orgs/{org}/members/{user}                  401 401   - 403 200 200 404 403 403 403 403  {"role":"manager"}
DELETE /v1/orgs/{org}/members/{user}                  401 401   - 403 204 204 404 403 403 403 403
GET    /v1/orgs/{org}/members/{user}/keys             401 401   - 403 200 200 404 403 403 403 200
POST   /v1/users/{id}/erase                           401 401   - 403 403 200 404 403 403 403 403  {"confirm":"$person"}
GET    /v1/orgs/{org}/invitations                     401 401   - 200 200 200 404 200 403 403 200
DELETE /v1/orgs/{org}/invitations/{id}                401 401   - 403 204 204 404 403 403 403 403
POST   /v1/invitations/accept                         201 401   - 201 201 201 201 201 201 201 201  {"token":"$invitation","password":"$password"}
GET    /v1/orgs/{org}/teams                           401 401   - 200 200 200 404 200 403 403 200
POST   /v1/orgs/{org}/teams                           401 401   - 403 201 201 404 403 403 403 403  {"name":"$new"}
GET    /v1/orgs/{org}/teams/{team}                    401 401   - 200 200 200 404 200 403 403 200
PATCH  /v1/orgs/{org}/teams/{team}                    401 401   - 403 200 200 404 403 403 403 403  {"name":"$new"}
DELETE /v1/orgs/{org}/teams/{team}                    401 401   - 403 204 204 404 403 403 403 403
PUT    /v1/orgs/{org}/teams/{team}/members/{user}     401 401   - 403 204 204 404 403 403 403 403
DELETE /v1/orgs/{org}/teams/{team}/members/{user}     401 401   - 403 204 204 404 403 403 403 403  after PUT {}
GET    /v1/orgs/{org}/services                        401 401   - 200 200 200 404 200 403 403 200
POST   /v1/orgs/{org}/services                        401 401   - 403 201 201 404 403 403 403 403  {"name":"$new","teams":["$team"]}
GET    /v1/orgs/{org}/services/{service}              401 401   - 200 200 200 404 200 403 403 404
PATCH  /v1/orgs/{org}/services/{service}              401 401   - 403 200 200 404 403 403 403 404  {"description":"$new","teams":["$team"]}
DELETE /v1/orgs/{org}/services/{service}              401 401   - 403 204 204 404 403 403 403 404
POST   /v1/orgs/{org}/services/{service}/refresh      401 401   - 403 200 200 404 403 403 403 404  {"grace_seconds":60}
DELETE /v1/orgs/{org}/services/{service}/refresh      401 401   - 403 200 200 404 403 403 403 404  after POST {"activate":"first_use"}
GET    /v1/orgs/{org}/entitlements                    401 401   - 200 200 200 404 200 403 403 200
POST   /v1/orgs/{org}/entitlements                    401 401   - 403 201 201 404 403 403 403 403  {"name":"$new","scopes":["files:read"]}
GET    /v1/orgs/{org}/entitlements/{id}               401 401   - 200 200 200 404 200 403 403 404
PATCH  /v1/orgs/{org}/entitlements/{id}               401 401   - 403 200 200 404 403 403 403 404  {"disabled":true}
DELETE /v1/orgs/{org}/entitlements/{id}               401 401   - 403 204 204 404 403 403 403 404
POST   /v1/orgs/{org}/entitlements/{id}/refresh       401 401   - 403 200 200 404 403 403 403 404  {"grace_seconds":60}
DELETE /v1/orgs/{org}/entitlements/{id}/refresh       401 401   - 403 200 200 404 403 403 403 404  after POST {"activate":"first_use"}
GET    /v1/orgs/{org}/clients                         401 401   - 200 200 200 404 200 403 403 200
POST   /v1/orgs/{org}/clients                         401 401   - 403 201 201 404 403 403 403 403  {"name":"$new","grant_types":["client_credentials"],"scopes":["files:read"]}
GET    /v1/orgs/{org}/clients/{client_id}             401 401   - 200 200 200 404 200 403 403 404
PATCH  /v1/orgs/{org}/clients/{client_id}             401 401   - 403 200 200 404 403 403 403 404  {"name":"$new"}
DELETE /v1/orgs/{org}/clients/{client_id}             401 401   - 403 204 204 404 403 403 403 404
POST   /v1/orgs/{org}/clients/{client_id}/secret      401 401   - 403 200 200 404 403 403 403 404  {"grace_seconds":0}
GET    /v1/user/consents                              401 401   - 200 200 200 200 403 403 403 200
DELETE /v1/user/consents/{client_id}                  401 401 404 403 403 403 403 403 403 403 403
GET    /v1/orgs/{org}/usage                           401 401   - 403 200 200 404 403 403 403 200
GET    /v1/orgs/{org}/limits                          401 401   - 200 200 200 404 200 403 403 200
PUT    /v1/orgs/{org}/limits                          401 401   - 403 200 200 404 403 403 403 403  {"rate_limit":{"requests":1000000,"per_seconds":1}}
GET    /v1/orgs/{org}/policy                          401 401   - 200 200 200 404 200 403 403 200
PATCH  /v1/orgs/{org}/policy                          401 401   - 403 200 200 404 403 403 403 403  {"expiry_required":false}
GET    /v1/orgs/{org}/hygiene                         401 401   - 403 200 200 404 403 403 403 200
GET    /v1/orgs/{org}/revocations                     401 401   - 403 200 200 404 403 403 403 200
POST   /v1/orgs/{org}/revocations                     401 401   - 403 201 201 404 403 403 403 200  {"filter":{"owner":"service:$service"}}
POST   /v1/orgs/{org}/revocations/{id}/undo           401 401   - 403 200 200 404 403 403 403 403
GET    /v1/scopes                                     401 401   - 200 200 200 200 200 403 403 200
POST   /v1/scopes                                     401 401   - 403 403 201 404 403 403 403 403  {"name":"$new:read","organization":"acme"}
GET    /v1/events                                     401 401   - 403 200 200 200 403 403 403 200
GET    /v1/events/stream                              401 401   - 403 200 200 200 403 403 403 200
GET    /v1/events/{position}                          401 401   - 403 200 200 404 403 403 403 200
GET    /v1/events/{position}/proof                    401 401   - 403 200 200 404 403 403 403 200
GET    /v1/events/{position}/record                   401 401   - 403 200 200 404 403 403 403 200
GET    /v1/backup                                     401 401   - 403 403 200 403 403 403 403 200
GET    /v1/log                                        401 401   - 403 200 200 200 403 403 403 200
GET    /v1/log/checkpoint                             401 401   - 403 200 200 200 403 403 403 200
GET    /v1/log/tile/{level}/{index}                   401 401   - 403 200 200 200 403 403 403 200
GET    /v1/log/tile/entries/{index}                   401 401   - 403 200 200 403 403 403 403 200
GET    /v1/credentials/{id}                           401 401   - 403 200 200 404 403 403 403 404
GET    /v1/orgs/{org}/differences                     401 401   - 403 200 200 404 403 403 403 200
GET    /v1/decisions/{id}                             401 401   - 404 200 200 404 404 404 404 404
GET    /v1/signing-keys                               401 401   - 403 403 200 403 403 403 403 403
POST   /v1/signing-keys                               401 401   - 403 403 201 403 403 403 403 403  {"algorithm":"EdDSA","overlap_seconds":0}
POST   /v1/signing-keys/{kid}/retire                  401 401   - 403 403 204 403 403 403 403 403
POST   /v1/setup                                      404 401   - 404 404 404 404 404 404 404 404  {"code":"$new","email":"$new@example.com","password":"$password","organization":"$new"}
GET    /oauth/jwks                                    200 200   - 200 200 200 200 200 200 200 200
GET    /.well-known/oauth-authorization-server        200 200   - 200 200 200 200 200 200 200 200
GET    /.well-known/oauth-protected-resource          200 200   - 200 200 200 200 200 200 200 200
GET    /health/live                                   200 200   - 200 200 200 200 200 200 200 200
GET    /health/ready                                  200 200   - 200 200 200 200 200 200 200 200
"#;

/// One row, read.
pub(super) struct Row {
    pub(super) method: String,
    pub(super) path: String,
    /// By column; `None` is not tried.
    pub(super) cells: Vec<Option<u16>>,
    /// With `$names` still in it.
    pub(super) body: Option<String>,
    /// What is sent to the same address before: a method and a body.
    pub(super) before: Option<(String, String)>,
}

/// The table, read.
pub(super) fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(row)
        .collect()
}

fn row(line: &str) -> Row {
    // The body may have blanks in it; what stands in front of it has none in a word.
    let body_at = line.find(" {\"").or_else(|| line.find(" after "));
    let body_at = body_at.map(|at| line.find(" after ").map_or(at, |after| at.min(after)));
    let (front, rest) = line.split_at(body_at.unwrap_or(line.len()));
    let mut words = front.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("too short: {line}"));
    let (method, path) = (word().to_owned(), word().to_owned());
    let cells: Vec<Option<u16>> = words.map(|cell| cell.parse().ok()).collect();
    assert_eq!(cells.len(), COLUMNS.len(), "cells of: {line}");
    let rest = rest.trim();
    let before = rest.strip_prefix("after ").map(|rest| {
        let (method, body) = rest.split_once(' ').expect("`after METHOD {..}`");
        (method.to_owned(), body.to_owned())
    });
    Row {
        method,
        path,
        cells,
        body: (before.is_none() && !rest.is_empty()).then(|| rest.to_owned()),
        before,
    }
}
