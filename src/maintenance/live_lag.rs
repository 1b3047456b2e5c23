//! How far the live consumer of a system is behind, asked of the brokers again and again, for whoever yields to it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::kafka::{GroupPosition, Ranges, inspect, read_ranges, standings};
use rdkafka::ClientConfig;
use tokio::time::Instant;

use crate::maintenance::freshness::Freshness;
use crate::maintenance::throttle::{LiveLag, Throttle};
use crate::run::blocking::blocking;
use crate::systems::ConsumerGroup;

/// How long after an answer the brokers are asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// The same where the freshness is bounded.
const AGAIN_SOON: Duration = Duration::from_millis(250);

/// The smallest freshness that can be asked for: batches wait for others, a consumer commits four times a second, and is looked at as often.
pub const LEAST_FRESHNESS: Duration = Duration::from_secs(2);

/// Offsets among which the oldest record is looked for.
const LOOKED_AT: i64 = 10;

/// How far it may be behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct LagBounds {
    /// Records that it has not committed.
    pub records: Option<u64>,
    /// The age of the oldest of them.
    pub age: Option<Duration>,
    /// The time from when a record is in the log until it is committed.
    pub freshness: Option<Duration>,
}

/// How far it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LiveStanding {
    records: u64,
    age: Option<Duration>,
    /// None where it is not asked for, or not known.
    freshness: Option<Duration>,
}

impl LagBounds {
    /// Whether anything is bounded.
    pub fn any(self) -> bool {
        self.records.is_some() || self.age.is_some() || self.freshness.is_some()
    }

    fn again(self) -> Duration {
        if self.freshness.is_some() { AGAIN_SOON } else { AGAIN }
    }

    fn judge(self, standing: LiveStanding) -> LiveLag {
        let LiveStanding { records, age, freshness } = standing;
        if let Some(most) = self.records.filter(|most| records > *most) {
            return LiveLag::Beyond(format!("it is {records} records behind, and --max-lag is {most}"));
        }
        match (self.age, age) {
            (Some(most), Some(age)) if age > most => {
                let (age, most) = (age.as_secs(), most.as_secs());
                LiveLag::Beyond(format!("it is {age} s behind, and --max-lag-seconds is {most}"))
            }
            _ => self.judge_freshness(freshness),
        }
    }

    /// Beyond three quarters of the bound it is held up, so that the bound itself is kept.
    fn judge_freshness(self, freshness: Option<Duration>) -> LiveLag {
        match (self.freshness, freshness) {
            (None, _) => LiveLag::Within,
            (Some(_), None) => LiveLag::Unknown("records wait that came before it was looked at".to_owned()),
            (Some(most), Some(fresh)) if fresh > most * 3 / 4 => {
                let (fresh, most) = (fresh.as_secs_f64(), most.as_secs_f64());
                LiveLag::Beyond(format!(
                    "its last records took {fresh:.1} s to be acknowledged, and --max-freshness is {most} s"
                ))
            }
            (Some(_), Some(_)) => LiveLag::Within,
        }
    }
}

/// Tells the throttle how far the group is behind, for ever.
pub async fn watch_lag(client: ClientConfig, group: ConsumerGroup, bounds: LagBounds, throttle: Arc<Throttle>) {
    throttle.set_lag(LiveLag::Unknown("it is asked for".to_owned()));
    let mut fresh = Freshness::default();
    loop {
        let (client, group) = (client.clone(), group.clone());
        let aged = bounds.age.is_some();
        let asked = blocking(std::convert::identity::<String>, move || ask(&client, &group, aged)).await;
        throttle.set_lag(match asked {
            Ok((records, age, positions)) => {
                let freshness = bounds.freshness.and_then(|_| fresh.look(&positions, Instant::now()));
                bounds.judge(LiveStanding { records, age, freshness })
            }
            Err(why) => LiveLag::Unknown(why),
        });
        tokio::time::sleep(bounds.again()).await;
    }
}

/// Records that a group has not committed, the age of the oldest where it is asked for, and its partitions.
fn ask(
    client: &ClientConfig,
    group: &ConsumerGroup,
    aged: bool,
) -> Result<(u64, Option<Duration>, Vec<GroupPosition>), String> {
    let (mut records, mut oldest, mut committed, mut positions) = (0, None::<Duration>, false, Vec::new());
    let found = inspect(client, &group.topics)?.topics;
    for (topic, name) in found.into_iter().zip(&group.topics) {
        let topic = topic.ok_or_else(|| format!("there is no topic {name}"))?;
        for position in standings(client, &topic, &group.id)? {
            committed |= position.committed.is_some();
            let (next, behind) = behind(&position);
            records += behind;
            if behind > 0 && aged {
                let age = age_of(client, name, position.at.partition, next, position.high)?;
                oldest = oldest.max(age);
            }
            positions.push(position);
        }
    }
    // A consumer that never ran is no consumer that keeps up.
    if committed {
        Ok((records, oldest, positions))
    } else {
        Err(format!("the group {} has committed nothing", group.id))
    }
}

/// The next offset that a group reads, and how many it has not committed.
fn behind(position: &GroupPosition) -> (i64, u64) {
    let next = position.committed.unwrap_or(position.low).max(position.low);
    (next, u64::try_from(position.high - next).unwrap_or(0))
}

/// How old the first record from an offset on is; none where none is left.
fn age_of(client: &ClientConfig, topic: &str, partition: i32, from: i64, to: i64) -> Result<Option<Duration>, String> {
    let mut oldest = None;
    // More than one, for some offsets have no record.
    let range = Ranges::from([(partition, (from, to.min(from + LOOKED_AT)))]);
    let mut first = |ms: Option<i64>| oldest = oldest.or(ms);
    read_ranges(client, topic, &range, |record| first(record.time_ms())).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(oldest.map(|ms| now.saturating_sub(Duration::from_millis(ms.unsigned_abs()))))
}

#[cfg(test)]
mod tests {
    use pipeline::TopicPartition;

    use super::*;

    #[test]
    fn a_lag_is_within_both_bounds_or_beyond_and_says_which() {
        let bounds = LagBounds { records: Some(10), age: Some(Duration::from_secs(5)), freshness: None };
        let judge = |records, age: Option<u64>| {
            bounds.judge(LiveStanding { records, age: age.map(Duration::from_secs), freshness: None })
        };
        assert_eq!(judge(10, Some(5)), LiveLag::Within);
        assert_eq!(judge(0, None), LiveLag::Within);
        assert!(matches!(judge(11, None), LiveLag::Beyond(why) if why.contains("11 records")));
        assert!(matches!(judge(1, Some(6)), LiveLag::Beyond(why) if why.contains("6 s behind")));
        assert!(!LagBounds::default().any() && bounds.any());
    }

    #[test]
    fn a_freshness_that_nears_its_bound_or_is_not_known_holds_it_up() {
        let bounds = LagBounds { freshness: Some(Duration::from_secs(4)), ..LagBounds::default() };
        let judge = |ms: Option<u64>| {
            bounds.judge(LiveStanding { records: 0, age: None, freshness: ms.map(Duration::from_millis) })
        };
        assert_eq!(judge(Some(3_000)), LiveLag::Within);
        assert!(
            matches!(judge(Some(3_100)), LiveLag::Beyond(why) if why.contains("took 3.1 s") && why.contains("is 4 s"))
        );
        assert!(matches!(judge(None), LiveLag::Unknown(_)), "unknown is not zero");
        assert!(bounds.any());
    }

    #[test]
    fn a_group_that_never_committed_and_one_that_retention_overtook_are_behind_from_the_logs_start() {
        let position = |committed| GroupPosition { at: TopicPartition::new("t", 0), low: 5, high: 9, committed };
        assert_eq!(behind(&position(None)), (5, 4));
        assert_eq!(behind(&position(Some(3))), (5, 4));
        assert_eq!(behind(&position(Some(8))), (8, 1));
        assert_eq!(behind(&position(Some(9))), (9, 0));
    }
}
