//! The files of a backfill that is over, read once more for whoever asks where a document came from.

use std::path::Path;
use std::sync::Arc;

use pipeline::Record;

use super::files::{LinesPart, SourceReading, TextFormat};
use super::parts::{Item, SourcePart};
use crate::maintenance::jobs::{Job, JobSource};
use crate::systems::definition::Bare;

/// The records of a job's files that are wanted, as the job read them; and why others could not be looked at. Blocks the thread.
pub fn records_of(
    job: &Job,
    bare: Option<Bare>,
    mut wanted: impl FnMut(&Record) -> bool,
) -> (Vec<Record>, Vec<String>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for source in &job.sources {
        let keep = |record: Record| {
            if wanted(&record) {
                found.push(record);
            }
        };
        if let Err(why) = search(job, source, bare, keep) {
            unread.push(format!("{}: {why}", source.name));
        }
    }
    if job.more_sources > 0 {
        unread.push(format!("{} sources more, which are not named", job.more_sources));
    }
    (found, unread)
}

fn search(job: &Job, source: &JobSource, bare: Option<Bare>, mut keep: impl FnMut(Record)) -> Result<(), String> {
    let path = source.name.strip_prefix("file:/").ok_or("only files are looked into")?;
    let format = TextFormat::parse(&job.format).unwrap_or(TextFormat::Auto);
    let reading = SourceReading { format, bare: bare.zip(job.as_of.clone()), time_ms: 0 };
    let part = LinesPart::file(&Path::new("/").join(path), 0, reading).map_err(|error| error.to_string())?;
    if *part.identity() != source.identity {
        return Err("it has changed since".to_owned());
    }
    let mut items = part.open(&part.start(), Arc::default()).map_err(|error| error.to_string())?;
    while let Some(item) = items.next().map_err(|error| error.to_string())? {
        if let Item::Record(record) = item {
            keep(record);
        }
    }
    Ok(())
}
