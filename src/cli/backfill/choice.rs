//! What a backfill reads in its sources and what it writes of that, as the options say.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{BackfillArgs, ChoiceArgs};
use crate::cli::CommandFailure;
use crate::maintenance::backfill::{FieldCondition, OffsetRange, Selection, SourceReading, TextFormat, read_ids};
use crate::systems::Definition;

/// How the sources are read.
pub(super) fn reading(args: &BackfillArgs, system: &Definition) -> Result<SourceReading, CommandFailure> {
    let format = TextFormat::parse(&args.format);
    let format = format.ok_or_else(|| CommandFailure::usage("--format is auto, ndjson or csv"))?;
    let now = Utc::now();
    let mut bare = None;
    if let Some(text) = &args.as_of {
        let time = time("--as-of", text)?;
        if time > now {
            return Err(CommandFailure::usage(
                "--as-of is a time that has come: a document of the future could not be updated",
            ));
        }
        let alone = || {
            let why =
                format!("a document alone does not say enough for {}: give its events, without --as-of", system.name);
            CommandFailure::usage(why)
        };
        bare = Some((system.bare.ok_or_else(alone)?, time.to_rfc3339_opts(SecondsFormat::Micros, true)));
    }
    Ok(SourceReading { format, bare, time_ms: now.timestamp_millis() })
}

/// Which records are written.
pub(super) fn selection(args: &ChoiceArgs) -> Result<Selection, CommandFailure> {
    let ids = args.ids.as_ref().map(|path| {
        read_ids(path).map_err(|error| CommandFailure::usage(format!("--ids {}: {error}", path.display())))
    });
    let micros = |option: &'static str, text: &Option<String>| {
        let text = text.as_ref().filter(|text| offset(text).is_none());
        text.map(|text| time(option, text).map(|time| time.timestamp_micros())).transpose()
    };
    let field = |text: &String| {
        let wrong = || CommandFailure::usage("--where is a field and its value, such as user_id=u-7");
        FieldCondition::parse(text).ok_or_else(wrong)
    };
    Ok(Selection {
        ids: ids.transpose()?,
        from: micros("--from", &args.from)?,
        to: micros("--to", &args.to)?,
        fields: args.fields.iter().map(field).collect::<Result<_, _>>()?,
    })
}

/// The offsets that are read of topics.
pub(super) fn offsets(args: &ChoiceArgs) -> OffsetRange {
    let bound = |text: &Option<String>| text.as_deref().and_then(offset);
    OffsetRange { from: bound(&args.from), to: bound(&args.to) }
}

/// A number is an offset.
fn offset(text: &str) -> Option<i64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Says the choice in a line: a checkpoint is good for one of them.
pub(super) fn describe(selection: &Selection, range: OffsetRange, reading: &SourceReading) -> String {
    let format =
        Some(reading.format).filter(|format| *format != TextFormat::Auto).map(|format| format.name().to_owned());
    let bare = reading.bare.as_ref().map(|(_, time)| format!("as of {time}"));
    let chosen = Some(selection.describe()).filter(|shown| !shown.is_empty());
    let from = range.from.map(|from| format!("from offset {from}"));
    let to = range.to.map(|to| format!("to offset {to}"));
    [format, bare, chosen, from, to].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn time(option: &str, text: &str) -> Result<DateTime<Utc>, CommandFailure> {
    let wrong = |_| CommandFailure::usage(format!("{option} is a time such as 2026-01-31T00:00:00Z"));
    DateTime::parse_from_rfc3339(text.trim()).map(|time| time.to_utc()).map_err(wrong)
}
