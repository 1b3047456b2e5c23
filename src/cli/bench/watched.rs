//! The program as a process that goes on while it is measured: what it has finished, and when.
//!
//! A thread of its own reads what it says. It guarantees that the process is gone when this is dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::child::{Busy, ProgramSummary};
use crate::cli::CommandFailure;
use crate::cli::headway::Headway;

/// How often it is looked for what was finished.
const LOOK: Duration = Duration::from_millis(5);
/// How long nothing may be finished while something is to be.
const SILENCE: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(60);

/// What was heard so far.
#[derive(Debug, Default)]
struct HeardMoves {
    moves: Vec<Headway>,
    next: std::collections::BTreeMap<i32, i64>,
    ended: bool,
    summary: Option<ProgramSummary>,
}

impl HeardMoves {
    fn hear(&mut self, line: &str) {
        match serde_json::from_str::<Headway>(line) {
            Ok(headway) => {
                self.next.extend(&headway.next);
                self.moves.push(headway);
            }
            Err(_) => self.summary = serde_json::from_str(line).ok(),
        }
    }
}

/// A running program.
pub(super) struct WatchedProgram {
    child: Child,
    stdin: Option<ChildStdin>,
    heard: Arc<Mutex<HeardMoves>>,
    hearing: Option<JoinHandle<()>>,
}

impl Drop for WatchedProgram {
    fn drop(&mut self) {
        // It is gone already, but where something failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl WatchedProgram {
    pub(super) fn new(command: &mut Command) -> Result<Self, CommandFailure> {
        let failed = |error| CommandFailure::internal(format!("cannot start the program: {error}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut program = Self { child, stdin, heard: Arc::default(), hearing: None };
        let heard = program.heard.clone();
        let hear = move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            lines.map_while(Result::ok).for_each(|line| heard.lock().hear(&line));
            heard.lock().ended = true;
        };
        program.hearing = Some(std::thread::Builder::new().name("watched".into()).spawn(hear).map_err(failed)?);
        Ok(program)
    }

    /// Records finished so far; the log begins at offset 0 and has no gaps.
    pub(super) fn count(&self) -> u64 {
        self.heard.lock().next.values().sum::<i64>().max(0) as u64
    }

    /// Takes out the moves so far.
    pub(super) fn take_moves(&self) -> Vec<Headway> {
        std::mem::take(&mut self.heard.lock().moves)
    }

    /// Waits until so many records are finished. Blocks the thread.
    ///
    /// # Errors
    /// It ended, or finishes nothing for a minute.
    pub(super) fn await_finished(&self, records: u64) -> Result<(), CommandFailure> {
        let mut last = (self.count(), Instant::now());
        while last.0 < records {
            if self.heard.lock().ended {
                return Err(CommandFailure::again("the program ended while it was measured"));
            }
            std::thread::sleep(LOOK);
            let finished = self.count();
            if finished > last.0 {
                last = (finished, Instant::now());
            } else if last.1.elapsed() > SILENCE {
                let left = records - finished;
                return Err(CommandFailure::again(format!("the program does not finish {left} records")));
            }
        }
        Ok(())
    }

    /// Stops it in order, and gives what it cost. Blocks the thread.
    ///
    /// # Errors
    /// It does not stop, or failed.
    pub(super) fn stop(mut self) -> Result<Option<Busy>, CommandFailure> {
        drop(self.stdin.take());
        let asked = Instant::now();
        let waited = |error| CommandFailure::internal(format!("cannot wait for the program: {error}"));
        let status = loop {
            match self.child.try_wait().map_err(waited)? {
                Some(status) => break status,
                None if asked.elapsed() > STOP => {
                    return Err(CommandFailure::again("the program does not stop"));
                }
                None => std::thread::sleep(LOOK),
            }
        };
        if !status.success() {
            return Err(CommandFailure::again(format!("the program ended with {status}")));
        }
        if let Some(hearing) = self.hearing.take() {
            // A panic there was told already.
            hearing.join().ok();
        }
        Ok(self.heard.lock().summary.take().and_then(|summary| summary.busy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> WatchedProgram {
        WatchedProgram::new(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn moves_and_the_summary_are_heard_and_the_end_of_stdin_stops_it() {
        let program = shell(
            r#"echo '{"at":7,"next":{"0":3,"1":4}}'; echo '{"at":9,"next":{"0":5}}'; cat
            echo '{"reached_end":false,"busy":{"records":9,"seconds":1.5}}'"#,
        );
        program.await_finished(9).unwrap();
        let moves = program.take_moves();
        assert_eq!(moves.last(), Some(&Headway { at: 9, next: [(0, 5)].into() }), "{moves:?}");
        assert_eq!((moves.len(), program.take_moves().len(), program.count()), (2, 0, 9));
        assert_eq!(program.stop().unwrap().unwrap().records, 9);
    }

    #[test]
    fn one_that_ends_is_not_waited_for() {
        let why = shell("echo '{\"at\":7,\"next\":{\"0\":3}}'; exit 3").await_finished(4).unwrap_err();
        assert!(why.message.contains("ended while it was measured"), "{why}");
        assert!(shell("cat; exit 3").stop().err().unwrap().message.contains("exit status: 3"));
    }
}
