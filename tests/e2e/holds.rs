//! The locks that the tests share the services by.

use std::fs::File;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use testkit::hold::Hold;
use testkit::services::eventually;

#[test]
fn a_test_with_two_worlds_does_not_wait_for_one_that_wants_to_be_alone() {
    let folder = std::env::temp_dir().join(format!("holds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let first = Hold::shared_in(&folder);
    let (done, last) = mpsc::channel();
    let alone = thread::spawn({
        let folder = folder.clone();
        move || {
            let _alone = Hold::alone_in(&folder);
            done.send("alone").unwrap();
        }
    });
    let turn = File::open(folder.join("millrace-tests-turn.lock")).unwrap();
    eventually("the other to take its turn", || match turn.try_lock() {
        Ok(()) => {
            turn.unlock().unwrap();
            None
        }
        Err(_) => Some(()),
    });
    let second = Hold::shared_in(&folder);
    drop(first);
    assert_eq!(last.try_recv(), Err(mpsc::TryRecvError::Empty), "the second world is still there");
    drop(second);
    assert_eq!(last.recv_timeout(Duration::from_secs(60)), Ok("alone"));
    alone.join().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
#[should_panic(expected = "shares the services already")]
fn who_shares_the_services_cannot_be_alone() {
    let folder = std::env::temp_dir().join(format!("holds-alone-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let _shared = Hold::shared_in(&folder);
    Hold::alone_in(&folder);
}
