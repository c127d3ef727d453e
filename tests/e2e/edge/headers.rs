//! What every answer says about itself.

use crate::world::world;

#[test]
fn n35_answers_of_the_api_are_no_pages() {
    let good = world().owner().get("/v1/me").expect(200);
    assert_eq!(good.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(good.header("Cache-Control"), Some("no-store"));
    assert_eq!(good.header("Content-Type"), Some("application/json"));
    for refused in [
        world().anonymous().get("/v1/me").expect(401),
        world().owner().get("/v1/nothing").expect(404),
        world().owner().delete("/v1/me").expect(405),
        world().owner().get("/v1/events?limit=0").expect(422),
    ] {
        assert_eq!(refused.header("X-Content-Type-Options"), Some("nosniff"));
        let policy = refused
            .header("Content-Security-Policy")
            .unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{refused:?}");
        assert!(policy.contains("frame-ancestors 'none'"), "{refused:?}");
        assert_eq!(refused.header("Referrer-Policy"), Some("no-referrer"));
        // Plain HTTP on loopback.
        assert_eq!(refused.header("Strict-Transport-Security"), None);
    }
    let page = world().anonymous().get("/login").expect(200);
    assert_eq!(
        page.header("Content-Type"),
        Some("text/html; charset=utf-8")
    );
}
