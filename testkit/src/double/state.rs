//! The indexes, the queue of tasks, and how the hosts misbehave.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use super::{FakeOptions, Fault};

/// One change of an index.
#[derive(Debug)]
pub(super) enum Change {
    Save(String, Value),
    /// Replaces attributes, and leaves the others.
    Merge(String, Value),
    Delete(String),
    Clear,
}

/// A write that was taken.
#[derive(Debug)]
pub(super) struct FakeTask {
    id: i64,
    index: String,
    changes: Vec<Change>,
}

pub(super) struct FakeState {
    pub(super) options: FakeOptions,
    tasks: mpsc::UnboundedSender<FakeTask>,
    inner: Mutex<Inner>,
    quiet: Condvar,
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    indexes: HashMap<String, BTreeMap<String, Value>>,
    last_task: i64,
    last_id: u64,
    pending: BTreeSet<i64>,
    counts: HashMap<(usize, String), usize>,
    faults: HashMap<usize, Fault>,
}

/// Of the first task; real ones are times in milliseconds with three digits behind.
const FIRST_TASK: i64 = 1_514_562_690_001;

impl FakeState {
    pub(super) fn new(options: FakeOptions) -> (Arc<Self>, mpsc::UnboundedReceiver<FakeTask>) {
        let (tasks, queue) = mpsc::unbounded_channel();
        let inner = Inner { last_task: FIRST_TASK - 1, ..Inner::default() };
        (
            Arc::new(Self {
                options,
                tasks,
                inner: Mutex::new(inner),
                quiet: Condvar::new(),
                held: watch::Sender::new(false),
            }),
            queue,
        )
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Takes a write; gives the number of its task.
    pub(super) fn enqueue(&self, index: &str, changes: Vec<Change>) -> i64 {
        let mut inner = self.inner();
        inner.last_task += 1;
        let id = inner.last_task;
        inner.pending.insert(id);
        // Under the lock: tasks are applied in the order of their numbers.
        self.tasks.send(FakeTask { id, index: index.to_owned(), changes }).ok();
        id
    }

    /// An id for a record that came without one.
    pub(super) fn new_id(&self) -> String {
        let mut inner = self.inner();
        inner.last_id += 1;
        format!("{:x}dashboard_generated_id", inner.last_id)
    }

    /// Whether a task is done; `None`: there is none of this number.
    pub(super) fn is_published(&self, task: i64) -> Option<bool> {
        let inner = self.inner();
        (FIRST_TASK..=inner.last_task).contains(&task).then(|| !inner.pending.contains(&task))
    }

    pub(super) fn objects(&self, index: &str) -> Option<BTreeMap<String, Value>> {
        self.inner().indexes.get(index).cloned()
    }

    /// Looks at one index without a copy.
    pub(super) fn with_index<T>(&self, index: &str, look: impl FnOnce(&BTreeMap<String, Value>) -> T) -> Option<T> {
        self.inner().indexes.get(index).map(look)
    }

    /// Changes an index by hand.
    pub(super) fn change<T>(&self, index: &str, change: impl FnOnce(&mut BTreeMap<String, Value>) -> T) -> T {
        change(self.inner().indexes.entry(index.to_owned()).or_default())
    }

    pub(super) fn await_settled(&self) {
        let inner = self.inner();
        drop(self.quiet.wait_while(inner, |inner| !inner.pending.is_empty()).unwrap());
    }

    /// Counts a request; says how the host answers it.
    pub(super) fn count_arrival(&self, host: usize, kind: &str) -> Option<Fault> {
        let mut inner = self.inner();
        *inner.counts.entry((host, kind.to_owned())).or_default() += 1;
        inner.faults.get(&host).copied()
    }

    pub(super) fn count(&self, host: usize, kind: &str) -> usize {
        self.inner().counts.get(&(host, kind.to_owned())).copied().unwrap_or_default()
    }

    pub(super) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(super) fn set_fault(&self, host: usize, fault: Option<Fault>) {
        let mut inner = self.inner();
        match fault {
            Some(fault) => inner.faults.insert(host, fault),
            None => inner.faults.remove(&host),
        };
    }
}

impl Inner {
    fn apply(&mut self, task: FakeTask) {
        let index = self.indexes.entry(task.index).or_default();
        for change in task.changes {
            match change {
                Change::Save(id, object) => drop(index.insert(id, object)),
                Change::Merge(id, attributes) => {
                    let object = index.entry(id).or_insert_with(|| Value::Object(Map::new()));
                    let (Value::Object(object), Value::Object(attributes)) = (object, attributes) else { continue };
                    object.extend(attributes);
                }
                Change::Delete(id) => drop(index.remove(&id)),
                Change::Clear => index.clear(),
            }
        }
        self.pending.remove(&task.id);
    }
}

/// Applies what was taken, in order, each time a little late.
pub(super) async fn apply(state: Arc<FakeState>, mut tasks: mpsc::UnboundedReceiver<FakeTask>) {
    let mut taken = Vec::new();
    while tasks.recv_many(&mut taken, 1_000).await > 0 {
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=20))).await;
        state.held.subscribe().wait_for(|held| !held).await.ok();
        let mut inner = state.inner();
        taken.drain(..).for_each(|task| inner.apply(task));
        state.quiet.notify_all();
    }
}
