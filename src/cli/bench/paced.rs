//! Ready-made writes at a rate: what the store takes of the time, without the program before it.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use pipeline::Record;
use pipeline::kafka::{ranges, read_ranges};
use pipeline::sink::Order;
use pipeline::system::Decoded;
use tokio::time::{Instant, sleep_until};

use super::bare::{NoLadder, check, refuse};
use super::latency::{Latencies, LatencyDistribution};
use super::traffic::{Flow, MeasuredWindow};
use crate::cli::CommandFailure;
use crate::config::Config;
use crate::systems::transactions;

/// Writes that are made beforehand at most; about 200 MB.
const MOST: usize = 100_000;

/// A request of records by number, and when it is sent since the begin.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RequestCut {
    first: usize,
    next: usize,
    at: Duration,
}

/// Cuts the first `count` records of a flow as the program cuts batches: when there are `size`, or `timeout` after the first.
fn cut(flow: Flow, count: usize, size: usize, timeout: Duration) -> Vec<RequestCut> {
    let (mut cuts, mut first) = (Vec::new(), 0);
    let time = |number: usize| flow.time_of(number as u64);
    while first < count {
        let (full, late) = ((first + size.max(1)).min(count), time(first) + timeout);
        let in_time = (first + 1..full).take_while(|number| time(*number) <= late).count();
        let next = first + 1 + in_time;
        let at = if next - first == size.max(1) { time(next - 1) } else { late };
        cuts.push(RequestCut { first, next, at });
        first = next;
    }
    cuts
}

/// Reads what is written: the first records of the topic. Blocks the thread.
pub(super) fn read(config: &Config, topic: &str) -> Result<Vec<Record>, CommandFailure> {
    let client = config.kafka.client_config();
    let failed = |error: rdkafka::error::KafkaError| CommandFailure::unavailable(error.to_string());
    let mut ranges = ranges(&client, topic).map_err(failed)?;
    let each = (MOST / ranges.len().max(1)) as i64;
    ranges.values_mut().for_each(|(from, to)| *to = (*to).min(*from + each));
    let mut records = Vec::new();
    read_ranges(&client, topic, &ranges, |record| records.push(record)).map_err(failed)?;
    Ok(records)
}

/// The latencies of what was to be sent in a window of the flow, which ends earlier where there are not so many writes.
pub(super) async fn write(
    config: &Config,
    records: &[Record],
    flow: Flow,
    window: MeasuredWindow,
) -> Result<(LatencyDistribution, Duration), CommandFailure> {
    let setup = transactions::DEFINITION.setup(config, Order::Log)?;
    (setup.bound.prepare)().await?;
    let batch = setup.bound.binding.decode(records);
    let is_event = |(number, decoded): (usize, &Decoded<'_>)| matches!(decoded, Decoded::Event(..)).then_some(number);
    let chosen: Vec<usize> = batch.as_slice().iter().enumerate().filter_map(is_event).collect();
    let enriched = batch.enrich(&chosen).await;
    let writes: Vec<usize> = (0..enriched.writes.len()).collect();
    let count = writes.len().min(flow.records() as usize);
    let cuts = cut(flow, count, config.batch.size, config.batch.timeout);
    let begun = Instant::now();
    let (enriched, writes) = (&enriched, &writes);
    let requests = stream::iter(cuts).then(|cut| async move {
        sleep_until(begun + cut.at).await;
        cut
    });
    let send = |cut: RequestCut| async move {
        let request = writes.get(cut.first..cut.next).unwrap_or_default();
        (cut, enriched.writes.send(request, &NoLadder).await, begun.elapsed())
    };
    let mut answers = std::pin::pin!(requests.map(send).buffer_unordered(config.max_in_flight));
    let mut latencies = Latencies::new()?;
    let window = window.before(flow.time_of(count as u64));
    while let Some((cut, answer, at)) = answers.next().await {
        check(&answer.map_err(|failure| refuse(&failure.why))?)?;
        for time in (cut.first..cut.next).map(|number| flow.time_of(number as u64)).filter(|time| window.holds(*time)) {
            latencies.add(at.saturating_sub(time).as_micros() as u64);
        }
    }
    Ok((latencies.distribution(), window.length()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flow(rate: f64) -> Flow {
        Flow { rate, time: Duration::from_secs(1) }
    }

    #[test]
    fn a_request_is_cut_by_size_or_by_time() {
        let shown = |rate, count, size, ms| {
            let cuts = cut(flow(rate), count, size, Duration::from_millis(ms));
            cuts.iter().map(|cut| (cut.first, cut.next, cut.at.as_millis())).collect::<Vec<_>>()
        };
        assert_eq!(shown(1_000.0, 7, 3, 500), [(0, 3, 2), (3, 6, 5), (6, 7, 506)]);
        assert_eq!(shown(10.0, 5, 100, 250), [(0, 3, 250), (3, 5, 550)]);
        assert_eq!(shown(10.0, 2, 1, 250), [(0, 1, 0), (1, 2, 100)]);
        assert_eq!(shown(10.0, 0, 1, 250), []);
    }

    proptest! {
        #[test]
        fn requests_are_whole_bounded_and_in_time(
            rate in 1.0..20_000.0_f64, count in 0..3_000_usize, size in 1..500_usize, ms in 1..2_000_u64,
        ) {
            let timeout = Duration::from_millis(ms);
            let cuts = cut(flow(rate), count, size, timeout);
            let mut next = 0;
            for cut in &cuts {
                prop_assert!(cut.first == next && cut.next > cut.first && cut.next - cut.first <= size, "{cut:?}");
                let first = flow(rate).time_of(cut.first as u64);
                prop_assert!(cut.at <= first + timeout && cut.at >= flow(rate).time_of(cut.next as u64 - 1), "{cut:?}");
                next = cut.next;
            }
            prop_assert_eq!(next, count);
        }
    }
}
