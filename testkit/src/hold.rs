//! The right to use the services, which tests share.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::services::eventually_within;

/// How a test uses the services.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Others use them too.
    Shared,
    /// Nobody else uses them: they may be stopped.
    Alone,
}

/// The right to use the services. Test programs that run side by side share them, so it is held by locks on files.
pub struct Hold {
    _services: Arc<Lock>,
}

/// A lock on the services, released when it is dropped.
struct Lock {
    used: Use,
    _file: File,
}

thread_local! {
    /// What this thread holds.
    static HELD: RefCell<Weak<Lock>> = const { RefCell::new(Weak::new()) };
}

impl Hold {
    /// Others use the services too. A thread may hold this several times.
    pub fn shared() -> Self {
        Self::shared_in(&std::env::temp_dir())
    }

    /// Nobody else uses the services: they may be stopped.
    ///
    /// Panics where this thread shares them already, for it would wait for itself.
    pub fn alone() -> Self {
        Self::alone_in(&std::env::temp_dir())
    }

    /// As [`Hold::shared`], with the locks in another folder.
    pub fn shared_in(folder: &Path) -> Self {
        Self::take(folder, Use::Shared)
    }

    /// As [`Hold::alone`], with the locks in another folder.
    pub fn alone_in(folder: &Path) -> Self {
        Self::take(folder, Use::Alone)
    }

    fn take(folder: &Path, wanted: Use) -> Self {
        // A second lock of one thread would queue behind whoever waits to be alone, and that one waits for the first.
        if let Some(held) = HELD.with_borrow(Weak::upgrade) {
            assert!(wanted == Use::Shared || held.used == Use::Alone, "this thread shares the services already");
            return Self { _services: held };
        }
        let open = |name: &str| {
            let path = folder.join(name);
            File::options().create(true).truncate(false).write(true).open(path).unwrap()
        };
        // Whoever waits to be alone keeps newcomers behind, or it would wait for ever.
        let turn = open("millrace-tests-turn.lock");
        await_lock("a turn at the services", || turn.try_lock());
        let services = open("millrace-tests-services.lock");
        await_lock("the services", || match wanted {
            Use::Shared => services.try_lock_shared(),
            Use::Alone => services.try_lock(),
        });
        let lock = Arc::new(Lock { used: wanted, _file: services });
        HELD.set(Arc::downgrade(&lock));
        Self { _services: lock }
    }
}

/// Waits for a lock. A test that waits for a lock that nobody releases fails, and says for which.
fn await_lock(what: &str, lock: impl Fn() -> Result<(), std::fs::TryLockError>) {
    eventually_within(Duration::from_secs(1_200), what, || match lock() {
        Ok(()) => Some(()),
        Err(std::fs::TryLockError::WouldBlock) => None,
        Err(std::fs::TryLockError::Error(error)) => panic!("{what}: {error}"),
    });
}
