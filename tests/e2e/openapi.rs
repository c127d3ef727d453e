//! `/openapi.json` and `/playground/`.

use crate::world::world;

#[test]
fn d2_6_the_definition_names_the_documents_own_paths() {
    let spec = world().anonymous().get("/openapi.json").expect(200).json();
    assert!(
        spec["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
    let paths = spec["paths"].as_object().expect("paths");
    let expected = [
        "/user/self/",
        "/user/token/",
        "/user/tokens/",
        "/user/keys",
        "/user",
        "/v1/me",
        "/v1/workspaces",
        "/v1/scopes",
        "/v1/keys/verify",
        "/v1/events",
    ];
    for path in expected {
        let bare = path.trim_end_matches('/');
        assert!(
            paths.contains_key(path) || paths.contains_key(bare),
            "no {path} in the definition"
        );
    }
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let spec = world().anonymous().get("/openapi.json").expect(200).json();
    let mut ids = Vec::new();
    for (path, item) in spec["paths"].as_object().expect("paths") {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                let id = operation["operationId"].as_str();
                ids.push(
                    id.unwrap_or_else(|| panic!("{method} {path} has no operationId"))
                        .to_owned(),
                );
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an operationId stands twice");
}

#[test]
fn the_playground_is_a_page_without_outside_assets() {
    let page = world().anonymous().get("/playground/").expect(200);
    assert!(
        page.header("Content-Type")
            .is_some_and(|media| media.contains("html"))
    );
    for outside in ["src=\"http", "src=\"//", "href=\"http", "href=\"//"] {
        assert!(
            !page.contains(outside),
            "the playground loads something from elsewhere: {outside}"
        );
    }
}
