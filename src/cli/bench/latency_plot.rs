//! Latencies as a picture: a bar to the median of each load, and a line on to the 99th percentile.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::latency_table::{LIVE_STORE, LatencyMeasured};
use super::spread::{Spread, group_digits};
use super::subjects::BenchSubject;

/// Where the bars begin, and how much room the longest has.
const LEFT: i32 = 380;
const ROOM: i32 = 310;
const FIRST: i32 = 84;
const STEP: i32 = 28;
const BAR: i32 = 14;

/// Paints it into the area of a picture of rates.
///
/// # Errors
/// The library fails.
pub(super) fn paint(
    latency: &LatencyMeasured,
    scenario: &str,
    place: &str,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let words = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    let title = format!("Milliseconds to the store, median and 99th percentile: {scenario}");
    area.draw_text(&title, &words(24), (20, 18))?;
    let place = format!("{place}; capacity {} records/s", group_digits(latency.capacity));
    area.draw_text(&place, &words(16).color(&BLACK.mix(0.6)), (20, 50))?;
    let middle = |values: Vec<f64>| Spread::of(values).map_or(0.0, |spread| spread.median);
    let bars: Vec<_> = latency
        .loads()
        .into_iter()
        .filter_map(|load| {
            let first = *load.first()?;
            let half = middle(load.iter().map(|row| row.latency.p50_ms).collect());
            Some((first, half, middle(load.iter().map(|row| row.latency.p99_ms).collect())))
        })
        .collect();
    let longest = bars.iter().map(|(_, _, most)| *most).fold(1.0, f64::max);
    let at = |ms: f64| LEFT + (ms / longest * f64::from(ROOM)) as i32;
    for (number, (row, half, most)) in (0..).zip(bars) {
        let top = FIRST + number * STEP;
        let middle = top + BAR / 2;
        let ours = row.subject == BenchSubject::Program;
        let color = if ours { RGBColor(31, 119, 180) } else { RGBColor(170, 170, 170) };
        let name = format!("{}, {:.0} %", row.subject.title(LIVE_STORE), row.share * 100.0);
        area.draw_text(&name, &words(16).pos(Pos::new(HPos::Right, VPos::Center)), (LEFT - 10, middle))?;
        area.draw(&Rectangle::new([(LEFT, top), (at(half), top + BAR)], color.filled()))?;
        area.draw(&PathElement::new(vec![(at(half), middle), (at(most), middle)], BLACK))?;
        let figures = format!("{half:.0} – {most:.0}");
        area.draw_text(&figures, &words(16).pos(Pos::new(HPos::Left, VPos::Center)), (at(most) + 8, middle))?;
    }
    area.present()?;
    Ok(())
}
