//! A layer that writes one flat JSON object a line, with the fields of the enclosing spans.
//!
//! By hand, because that of `tracing-subscriber` keeps the fields of spans in lists of their own.

use std::fmt;
use std::io::Write;

use chrono::{SecondsFormat, Utc};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber, span};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Name and value of fields, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct LogFields(Vec<(&'static str, Value)>);

impl LogFields {
    /// The text of a field; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for LogFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(inner) = source {
            text.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        self.set(field.name(), text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}

/// Writes one JSON object a line.
pub(super) struct JsonLines<W> {
    writer: W,
    /// What is less grave is left out.
    most: LevelFilter,
}

impl<W> JsonLines<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, most: LevelFilter::TRACE }
    }

    /// Only what is as grave as this.
    pub(super) fn only(self, most: LevelFilter) -> Self {
        Self { most, ..self }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = LogFields::default();
        attributes.record(&mut fields);
        // Several layers keep the same.
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<LogFields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > self.most {
            return;
        }
        let mut fields = LogFields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(outer) = span.extensions().get::<LogFields>() {
                outer.0.iter().for_each(|(name, value)| fields.set(name, value.clone()));
            }
        }
        event.record(&mut fields);
        let line = json_line(event.metadata(), fields);
        // Nowhere is left to tell that stderr is gone.
        drop(self.writer.make_writer_for(event.metadata()).write_all(&line));
    }
}

fn json_line(metadata: &tracing::Metadata<'_>, fields: LogFields) -> Vec<u8> {
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let level = metadata.level().as_str().to_ascii_lowercase();
    let (message, fields): (Vec<_>, Vec<_>) = fields.0.into_iter().partition(|(name, _)| *name == "message");
    let message = message.into_iter().next().map_or_else(|| metadata.name().into(), |(_, value)| value);
    let mut line = Vec::with_capacity(256);
    line.push(b'{');
    member(&mut line, "timestamp", &time.into());
    member(&mut line, "level", &level.into());
    member(&mut line, "event", &message);
    let target = metadata.target().split("::").next().unwrap_or_default();
    if !["millrace", "pipeline", "enrichers"].contains(&target) {
        member(&mut line, "target", &metadata.target().into());
    }
    for (name, value) in &fields {
        match *name {
            // A key stands once in an object.
            "timestamp" | "level" | "event" | "target" => member(&mut line, &format!("{name}_"), value),
            name => member(&mut line, name.strip_prefix("r#").unwrap_or(name), value),
        }
    }
    line.extend_from_slice(b"}\n");
    line
}

fn member(line: &mut Vec<u8>, name: &str, value: &Value) {
    if line.last() != Some(&b'{') {
        line.push(b',');
    }
    line.extend_from_slice(Value::from(name).to_string().as_bytes());
    line.push(b':');
    line.extend_from_slice(value.to_string().as_bytes());
}
