//! Members of a group that come and go, and what their logs add up to.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::process::ExitStatus;

use testkit::program::Running;

/// What the members' logs add up to, of one system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub records: u64,
    pub outcomes: u64,
    pub abandoned: u64,
    pub duplicates: u64,
}

/// The present members; those that are gone are in the sums.
#[derive(Default)]
pub struct Crew {
    present: Vec<Running>,
    /// The place of each that is present; a newcomer takes the first that is free.
    places: Vec<usize>,
    gone: BTreeMap<String, Sums>,
    rebalances: u64,
}

impl Deref for Crew {
    type Target = Vec<Running>;

    fn deref(&self) -> &Vec<Running> {
        &self.present
    }
}

impl Crew {
    /// The place of the next member: that of one who is gone, if there is any.
    pub fn free_place(&self) -> usize {
        (0..).find(|place| !self.places.contains(place)).unwrap_or_default()
    }

    pub fn enter(&mut self, member: Running) {
        self.places.push(self.free_place());
        self.present.push(member);
    }

    fn leave(&mut self, index: usize) -> Running {
        self.places.remove(index);
        self.present.remove(index)
    }

    /// Takes a member's counts and lets it go.
    pub fn retire(&mut self, mut member: Running, signal: Option<&str>) -> ExitStatus {
        signal.into_iter().for_each(|signal| member.signal(signal));
        // A frozen one has to wake up to hear it.
        member.signal("CONT");
        let status = member.wait();
        self.rebalances += member.events("Partitions revoked").len() as u64;
        add_sums(&mut self.gone, &member);
        status
    }

    /// SIGKILL.
    pub fn kill(&mut self, index: usize) {
        let member = self.leave(index);
        self.retire(member, Some("KILL"));
    }

    /// SIGTERM; whatever the exit code says.
    pub fn stop(&mut self, index: usize) {
        let member = self.leave(index);
        self.retire(member, Some("TERM"));
    }

    pub fn stop_all(&mut self) {
        while !self.present.is_empty() {
            self.stop(0);
        }
    }

    /// What all members, gone and present, counted, by system.
    pub fn sums(&self) -> BTreeMap<String, Sums> {
        let mut all = self.gone.clone();
        self.present.iter().for_each(|member| add_sums(&mut all, member));
        all
    }

    /// Forgets what those counted that are gone.
    pub fn forget(&mut self) {
        self.gone.clear();
    }

    pub fn rebalances(&self) -> u64 {
        let present = self.present.iter().map(|member| member.events("Partitions revoked").len() as u64);
        self.rebalances + present.sum::<u64>()
    }
}

fn add_sums(sums: &mut BTreeMap<String, Sums>, member: &Running) {
    for batch in member.events("Batch processed") {
        let count = |name: &str| batch[name].as_u64().unwrap();
        let of = sums.entry(batch["system"].as_str().unwrap().to_owned()).or_default();
        of.records += count("records");
        of.outcomes +=
            ["applied", "superseded", "duplicate", "dead_lettered", "ignored"].map(count).iter().sum::<u64>();
        of.abandoned += count("abandoned");
        of.duplicates += count("duplicate");
    }
}
