//! `/health/live` and `/health/ready`.

use crate::world::world;

#[test]
fn both_answer_200_to_anybody() {
    for path in [
        "/health/live",
        "/health/ready",
        "/health/live/",
        "/health/ready/",
    ] {
        world().anonymous().get(path).expect(200);
    }
}
