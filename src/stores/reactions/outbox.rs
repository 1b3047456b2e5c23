//! The outbox as the relay sees it: claimed, noted, purged, counted.

use std::time::Duration;

use pipeline::sink::Failure;

use crate::stores::postgres::Postgres;

/// Rows that are taken out at once.
const PURGED: i64 = 20_000;

/// An event that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenRow {
    pub id: String,
    /// The key of its record.
    pub key: String,
    pub event_type: String,
    pub payload: String,
    pub order_number: i64,
}

/// The lease, and the rows that were claimed under it.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Raised whenever another relay takes the lease.
    pub fence: i64,
    /// The highest order number that was claimed before.
    pub claimed_before: i64,
    /// In their order.
    pub rows: Vec<OpenRow>,
}

/// An event that was not published for so long is late, in seconds.
const LATE: f64 = 60.0;

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaitingRows {
    /// The age of the oldest row that is not published, in seconds; 0 where there is none.
    pub oldest_seconds: f64,
    /// Rows that Kafka does not take.
    pub parked: i64,
    /// Subjects of which something is known, but not that they were created.
    pub stubs: i64,
}

impl WaitingRows {
    /// Whether an event waits for longer than it should.
    pub fn is_late(&self) -> bool {
        self.oldest_seconds > LATE
    }
}

/// An outbox, in the schema of its database.
#[derive(Clone)]
pub struct Outbox(Postgres);

type ClaimedRow = (i64, i64, Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>);

impl Outbox {
    pub fn new(postgres: Postgres) -> Self {
        Self(postgres)
    }

    /// Takes or keeps the lease and claims rows above this number, but for those of these types; `None` where another relay holds it.
    pub(super) async fn claim(
        &self,
        holder: &str,
        lease: Duration,
        without: &[&str],
        most: i64,
        above: i64,
    ) -> Result<Option<Claim>, Failure> {
        let claim = sqlx::query_as(include_str!("sql/claim.sql"));
        let claim = claim.bind(holder).bind(lease.as_secs_f64()).bind(without).bind(most).bind(above);
        let claimed: Vec<ClaimedRow> = self.0.rows(claim).await?;
        let Some((fence, claimed_before, ..)) = claimed.first() else { return Ok(None) };
        let (fence, claimed_before) = (*fence, *claimed_before);
        let row = |(_, _, id, key, event_type, payload, order_number): ClaimedRow| {
            Some(OpenRow {
                id: id?,
                key: key?,
                event_type: event_type?,
                payload: payload?,
                order_number: order_number?,
            })
        };
        Ok(Some(Claim { fence, claimed_before, rows: claimed.into_iter().filter_map(row).collect() }))
    }

    /// Notes what was published, and what is parked with its reason.
    pub(super) async fn note(&self, published: &[&str], parked: &[(&str, String)]) -> Result<(), Failure> {
        let (ids, reasons): (Vec<&str>, Vec<&str>) = parked.iter().map(|(id, why)| (*id, why.as_str())).unzip();
        self.0
            .execute(sqlx::query(include_str!("sql/note.sql")).bind(published).bind(ids).bind(reasons))
            .await
            .map(drop)
    }

    /// Prolongs the lease; whether this relay holds it still.
    pub(super) async fn renew(&self, holder: &str, fence: i64, lease: Duration) -> Result<bool, Failure> {
        const RENEW: &str = "UPDATE relay_lease SET expires = clock_timestamp() + make_interval(secs => $3)
            WHERE holder = $1 AND fence = $2";
        let renew = sqlx::query(RENEW).bind(holder).bind(fence).bind(lease.as_secs_f64());
        self.0.execute(renew).await.map(|rows| rows > 0)
    }

    /// Gives the lease away, if this relay holds it.
    pub(super) async fn release(&self, holder: &str) -> Result<(), Failure> {
        const RELEASE: &str = "UPDATE relay_lease SET expires = '-infinity' WHERE holder = $1";
        self.0.execute(sqlx::query(RELEASE).bind(holder)).await.map(drop)
    }

    /// Takes out what is older than this, marks by the records' own times; first it is noted from which time on the marks are
    /// whole. Where somebody else publishes, nothing is noted of that, and what was said so long ago goes.
    ///
    /// # Errors
    /// Why it cannot be done now.
    pub(super) async fn purge(&self, age: Duration, relayed_here: bool) -> Result<(), Failure> {
        let seconds = age.as_secs_f64();
        self.0.execute(sqlx::query(include_str!("sql/raise_horizon.sql")).bind(seconds)).await?;
        while self.0.execute(sqlx::query(include_str!("sql/purge_marks.sql")).bind(PURGED)).await?
            >= PURGED.unsigned_abs()
        {}
        let purge = match relayed_here {
            true => include_str!("sql/purge_published.sql"),
            false => include_str!("sql/purge_said.sql"),
        };
        while self.0.execute(sqlx::query(purge).bind(seconds).bind(PURGED)).await? >= PURGED.unsigned_abs() {}
        Ok(())
    }

    /// What waits.
    ///
    /// # Errors
    /// Why it cannot be counted.
    pub async fn waiting(&self) -> Result<WaitingRows, Failure> {
        let counted = self.0.rows(sqlx::query_as(include_str!("sql/waiting.sql"))).await?.pop();
        let (oldest_seconds, parked, stubs) = counted.unwrap_or_default();
        Ok(WaitingRows { oldest_seconds, parked, stubs })
    }
}
