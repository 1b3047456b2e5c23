//! Halving: what a store refuses of several subjects, found down to those that it refuses alone. Pure.

use pipeline::sink::{Failure, FailureKind, Why};

/// Subjects that are done at once; where the store refuses it, each half, down to those that are refused alone.
pub(super) struct Halves<'a> {
    open: Vec<&'a [String]>,
    alone: Vec<(String, Why)>,
}

impl<'a> Halves<'a> {
    pub(super) fn of(all: &'a [String]) -> Self {
        Self { open: vec![all], alone: Vec::new() }
    }

    /// What is to be done now; nothing at the end.
    pub(super) fn next_due(&mut self) -> Option<&'a [String]> {
        self.open.pop()
    }

    /// These failed.
    ///
    /// # Errors
    /// The failure, where it is no refusal.
    pub(super) fn split_failed(&mut self, some: &'a [String], failure: Failure) -> Result<(), Failure> {
        let refused = matches!(failure.kind, FailureKind::Refused | FailureKind::TurnedAway);
        match some {
            [alone] if refused => self.alone.push((alone.clone(), failure.why)),
            [_, _, ..] if refused => {
                let (first, second) = some.split_at(some.len() / 2);
                self.open.extend([second, first]);
            }
            _ => return Err(failure),
        }
        Ok(())
    }

    /// Those that are refused alone, and why.
    pub(super) fn into_alone(self) -> Vec<(String, Why)> {
        self.alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_leave_those_that_are_refused_alone() {
        let all: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut halves = Halves::of(&all);
        let mut done = Vec::new();
        while let Some(some) = halves.next_due() {
            if some.iter().any(|one| ["3", "4", "9"].contains(&one.as_str())) {
                halves.split_failed(some, Failure::refused("no")).unwrap();
            } else {
                done.extend_from_slice(some);
            }
        }
        let refused: Vec<String> = halves.into_alone().into_iter().map(|(one, _)| one).collect();
        assert_eq!((refused, done.len()), (["3", "4", "9"].map(str::to_owned).to_vec(), 17));
        assert_eq!(
            Halves::of(&all).split_failed(&all, Failure::unavailable("away")).unwrap_err().kind,
            FailureKind::Unavailable
        );
        assert_eq!(Halves::of(&[]).split_failed(&[], Failure::refused("no")).unwrap_err().kind, FailureKind::Refused);
    }
}
