//! The program as a child process, its log readable as events.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::services::eventually;

/// The program of a measurement: what `MILLRACE_BIN` names, else this one. A test runs it in a folder of its own, so the path is whole.
pub fn measured(program: &'static str) -> &'static str {
    match std::env::var("MILLRACE_BIN") {
        Ok(path) => std::fs::canonicalize(path).unwrap().to_str().unwrap().to_owned().leak(),
        Err(_) => program,
    }
}

/// A program that runs.
pub struct Running {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                // Whatever is no event is one without a name, and shows when a test fails.
                sink.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Self { child, log, reader: Some(reader) }
    }

    pub fn events(&self, name: &str) -> Vec<Value> {
        self.log.lock().unwrap().iter().filter(|line| line["event"] == name).cloned().collect()
    }

    /// Waits until an event was logged so many times.
    pub fn await_events(&self, name: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} events {name:?}"), || Some(self.events(name)).filter(|found| found.len() >= count))
    }

    /// All that it has logged, as text.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Where its HTTP server listens.
    pub fn addr(&self) -> String {
        self.await_events("HTTP server listening", 1)[0]["addr"].as_str().unwrap().to_owned()
    }

    pub fn http(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.addr());
        let answer = reqwest::blocking::get(url).unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    }

    /// The status of `/readyz`, and what it says.
    pub fn ready(&self) -> (u16, String) {
        self.http("/readyz")
    }

    pub fn await_ready(&self) {
        eventually("readiness", || (self.ready().0 == 200).then_some(()));
    }

    /// Waits until `/readyz` is red and says this.
    pub fn await_reason(&self, part: &str) {
        eventually(part, || Some(self.ready()).filter(|(status, text)| *status == 503 && text.contains(part)));
    }

    pub fn metric(&self, line: &str) -> Option<f64> {
        let (_, text) = self.http("/metrics");
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }

    /// The most memory that it ever had, in bytes, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }

    /// Waits until it has ended and its log was read to the end.
    pub fn wait(&mut self) -> ExitStatus {
        let status = eventually("the program to end", || self.child.try_wait().unwrap());
        self.reader.take().into_iter().for_each(|reader| reader.join().unwrap());
        status
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    /// SIGTERM, and the end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind; one that ended has killed already.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            log.iter().rev().take(20).rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The JSON object in the last line of what a program printed.
pub fn printed(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_else(|| panic!("printed nothing; log:\n{errors}"));
    serde_json::from_str(last).unwrap_or_else(|_| panic!("printed {last}; log:\n{errors}"))
}
