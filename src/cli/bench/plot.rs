//! The result as a picture: a bar a subject, with the spread of its rounds.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figures::BenchReport;
use super::latency_plot;
use super::spread::{Spread, group_digits};
use super::subjects::BenchSubject;
use crate::cli::CommandFailure;

const SIZE: (u32, u32) = (860, 270);
/// Where the bars begin, and how much room the longest has.
const LEFT: i32 = 330;
const ROOM: i32 = 390;
const FIRST: i32 = 90;
const STEP: i32 = 44;
const BAR: i32 = 22;

/// Kafka's own rate is a number below the title: beside it no other bar could be seen.
const BARS: [BenchSubject; 3] = [BenchSubject::NullStore, BenchSubject::BareWrites, BenchSubject::Program];

/// Draws it as SVG.
///
/// # Errors
/// The library fails.
pub(super) fn draw(report: &BenchReport) -> Result<String, CommandFailure> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let painted = match &report.latency {
            Some(latency) => latency_plot::paint(latency, &report.workload.scenario, &place_of(report), &area),
            None => paint(report, &area),
        };
        painted.map_err(|why| CommandFailure::internal(format!("the picture cannot be drawn: {why}")))?;
    }
    Ok(text)
}

fn paint(
    report: &BenchReport,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let words = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    let title = format!(
        "Records a second: {}, {}, {} records",
        report.workload.system,
        report.workload.scenario,
        group_digits(report.workload.records as f64)
    );
    area.draw_text(&title, &words(24), (20, 18))?;
    area.draw_text(&place_of(report), &words(16).color(&BLACK.mix(0.6)), (20, 50))?;
    let rows: Vec<(BenchSubject, Spread)> =
        BARS.into_iter().filter_map(|subject| Some((subject, report.rates(subject)?))).collect();
    let longest = rows.iter().map(|(_, rates)| rates.most).fold(1.0, f64::max);
    let place = |rate: f64| LEFT + (rate / longest * f64::from(ROOM)) as i32;
    for (row, (subject, rates)) in (0..).zip(&rows) {
        let top = FIRST + row * STEP;
        let middle = top + BAR / 2;
        let ours = matches!(subject, BenchSubject::NullStore | BenchSubject::Program);
        let color = if ours { RGBColor(31, 119, 180) } else { RGBColor(170, 170, 170) };
        let right = words(18).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw_text(&subject.title(&report.workload.store), &right, (LEFT - 10, middle))?;
        area.draw(&Rectangle::new([(LEFT, top), (place(rates.median), top + BAR)], color.filled()))?;
        area.draw(&PathElement::new(vec![(place(rates.least), middle), (place(rates.most), middle)], BLACK))?;
        let left = words(18).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&group_digits(rates.median), &left, (place(rates.most) + 8, middle))?;
    }
    if let Some(ratio) = report.ratio(BenchSubject::Program, BenchSubject::BareWrites) {
        let store = &report.workload.store;
        let said = format!("millrace reaches {:.2} of what {store} takes of ready-made writes", ratio.median);
        area.draw_text(&said, &words(18), (20, SIZE.1 as i32 - 26))?;
    }
    area.present()?;
    Ok(())
}

/// The machine, and how fast its Kafka is.
fn place_of(report: &BenchReport) -> String {
    let environment = &report.environment;
    let kafka = report.rates(BenchSubject::Consumption);
    let kafka = kafka.map_or_else(String::new, |rates| format!("; Kafka alone: {}", group_digits(rates.median)));
    format!("{}, {} cores, {} build{kafka}", environment.cpu, environment.cores, environment.build)
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::report_of;
    use super::super::subjects::Verified;
    use super::*;

    #[test]
    fn the_picture_names_what_was_measured() {
        let drawn = draw(&report_of(&[16_000, 17_000])).unwrap();
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
        let live = Some(super::super::latency_table::tests::measured(Verified::default()));
        let drawn_live = draw(&BenchReport { latency: live, ..report_of(&[]) }).unwrap();
        for words in ["capacity 10,000 records/s", "55 – 110", "35 – 70"] {
            assert!(drawn_live.contains(words), "{words}");
        }
        for words in ["millrace into Elasticsearch", "ready-made writes into Elasticsearch", "16,500", "backlog"] {
            assert!(drawn.contains(words), "{words}");
        }
    }
}
