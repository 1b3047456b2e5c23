//! Owns the page of documentation that is made from the catalogue: `docs/events.md`.

use std::fmt::Write;

use crate::{EventName, EventVersion, example, fields, write};

const HEAD: &str = include_str!("guide/head.md");

/// The page, in Markdown.
///
/// # Errors
/// None that is known.
pub fn guide() -> Result<String, String> {
    let mut page = HEAD.to_owned();
    section(&mut page).map_err(|error| error.to_string())?;
    for name in EventName::ALL {
        event(&mut page, *name)?;
    }
    Ok(page)
}

fn section(page: &mut String) -> std::fmt::Result {
    writeln!(page, "\n## The events\n\n| topic and type | key | produced by | meaning |\n|---|---|---|---|")?;
    for name in EventName::ALL {
        let (key, service) = (name.key_field(), name.service().as_str());
        writeln!(page, "| `{name}` | `{key}` | {service} | {} |", name.meaning())?;
    }
    Ok(())
}

fn event(page: &mut String, name: EventName) -> Result<(), String> {
    let mut put = |text: String| page.push_str(&text);
    put(format!("\n### {name}\n\n{}\n\n| field | type | | meaning |\n|---|---|---|---|\n", name.meaning()));
    for field in fields(name) {
        let required = if field.required { "required" } else { "" };
        put(format!("| `{}` | {} | {required} | {} |\n", field.name, field.kind, field.meaning));
    }
    let event = example(name, EventVersion::V2).map_err(|error| error.to_string())?;
    let payload = write(&event).map_err(|error| error.to_string())?;
    put(format!("\n```json\n{}\n```\n", String::from_utf8_lossy(&payload)));
    Ok(())
}
