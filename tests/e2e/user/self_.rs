//! `GET` and `OPTIONS /user/self/`: who am I, for anybody.

use keyledger_tests::{INVALID_PASSWORD, INVALID_TOKEN, OWNER_EMAIL};

use crate::world::world;

#[test]
fn d0_1_basic_tells_the_user() {
    let reply = world().owner_by_password().get("/user/self/").expect(200);
    assert_eq!(reply.member("authenticated"), true);
    assert_eq!(reply.string("email"), OWNER_EMAIL);
    for member in ["slug", "slug_perm", "self_url", "profile_url"] {
        reply.string(member);
    }
    assert!(reply.json().get("name").is_some(), "{reply:?}");
}

#[test]
fn d0_1_the_login_name_may_be_the_slug() {
    let slug = world()
        .owner()
        .get("/user/self/")
        .expect(200)
        .string("slug");
    let by_slug = world()
        .anonymous()
        .basic(&slug, keyledger_tests::OWNER_PASSWORD);
    assert_eq!(
        by_slug.get("/user/self/").expect(200).string("email"),
        OWNER_EMAIL
    );
}

#[test]
fn d0_2_a_wrong_pair_is_401_whether_or_not_the_user_is_known() {
    let nobody = world().anonymous();
    let unknown = nobody.basic("example", "wrongpassword");
    let known = nobody.basic(OWNER_EMAIL, "wrongpassword");
    unknown.options("/user/self/").expect_401(INVALID_PASSWORD);
    let likeness = unknown
        .get("/user/self/")
        .expect_401(INVALID_PASSWORD)
        .likeness();
    assert_eq!(
        known
            .get("/user/self/")
            .expect_401(INVALID_PASSWORD)
            .likeness(),
        likeness
    );
}

#[test]
fn d0_3_a_wrong_key_is_401_for_every_method() {
    let nobody = world().anonymous();
    for client in [
        nobody.x_api_key("foobar"),
        nobody.token("foobar"),
        nobody.bearer("foobar"),
    ] {
        client.options("/user/self/").expect_401(INVALID_TOKEN);
        client.get("/user/self/").expect_401(INVALID_TOKEN);
    }
}

#[test]
fn d0_7_a_stranger_is_welcome_and_told_nothing() {
    let reply = world().anonymous().get("/user/self/").expect(200);
    assert_eq!(reply.member("authenticated"), false);
    assert!(
        reply.member("email").as_str().is_none_or(str::is_empty),
        "{reply:?}"
    );
}

#[test]
fn options_with_a_good_key_names_the_methods() {
    let reply = world()
        .owner()
        .options("/user/self/")
        .expect_one_of(&[200, 204]);
    assert!(
        reply
            .header("Allow")
            .is_some_and(|methods| methods.contains("GET")),
        "{reply:?}"
    );
}

#[test]
fn d1_5_a_service_is_itself_and_not_who_made_it() {
    let service = world().service();
    let reply = world()
        .with_key(&service.string("key"))
        .get("/user/self/")
        .expect(200);
    assert_eq!(reply.member("authenticated"), true);
    assert_eq!(reply.string("slug"), service.string("slug"));
    assert!(!reply.contains(OWNER_EMAIL), "{reply:?}");
}
