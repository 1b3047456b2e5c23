//! Two members on six partitions, one of them coming and going.

use testkit::world::{World, options_of, scaled};

use crate::PROGRAM;

#[test]
fn a_member_that_comes_and_goes_loses_nothing() {
    let mut world = World::new(PROGRAM, "members");
    let count = scaled(30_000).to_string();
    let report =
        world.publish(&["--count", &count, "--update-ratio", "0.15", "--delete-ratio", "0.03", "--users", "300"]);
    let expected = options_of(&report, |options| {
        (options.update_ratio, options.delete_ratio, options.users) = (0.15, 0.03, Some(300));
    });
    // Small batches, two at a time: the visits fall into the middle of the work.
    world.set("CONSUMER_BATCH_SIZE", "5");
    world.set("CONSUMER_MAX_IN_FLIGHT", "2");
    let stays = world.start();
    stays.await_events("Batch processed", 1);
    for visit in 1..=10 {
        let visitor = world.start();
        visitor.await_events("Partitions assigned", 1);
        if visit % 4 == 0 {
            visitor.kill();
        } else {
            assert!(visitor.terminate().success());
        }
    }
    assert!(stays.events("Partitions revoked").len() >= 5, "the group was rebalanced");
    world.await_drained();
    assert!(stays.terminate().success());
    world.assert_complete(&expected.expect_documents().unwrap());
    assert_eq!(world.letters().len(), 0);
}
