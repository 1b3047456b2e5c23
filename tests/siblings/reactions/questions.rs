//! What the database is asked, and the rows that the model says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::model::Model;
use super::story::{BEGIN_MS, CREATORS, POSTS, USERS};

/// What is asked, how, and the rows of the answer.
pub type Question = (&'static str, String, BTreeSet<String>);

fn question(what: &'static str, query: &str, rows: Vec<Value>) -> Question {
    (what, query.to_owned(), rows.iter().map(canonical).collect())
}

impl Model {
    /// What is asked of the database, and the rows that it has to give.
    pub fn questions(&self) -> Vec<Question> {
        let mut all = vec![
            question(
                "subscriptions",
                "SELECT subscription_id AS id, (subscriber).value AS u, (creator).value AS c, (tier).value AS t, (status).value AS s, (period_end).value::bigint AS e, paid_until AS p, created_at IS NOT NULL AS known FROM subscriptions",
                self.subscription_rows(),
            ),
            question(
                "open subscriptions",
                "SELECT subscription_id AS id, subscriber_id AS u, creator_id AS c, status AS s, ends_at AS e FROM open_subscriptions",
                self.open_rows(),
            ),
            question(
                "payments to collect",
                "SELECT subscription_id AS id, subscriber_id AS u, creator_id AS c, tier_id AS t, starts_at AS at, amount::text AS amount, currency FROM payments_to_collect",
                self.collection_rows(),
            ),
            question(
                "offers",
                "SELECT post_id AS id, (price).value AS price, (currency).value AS currency FROM offers",
                self.offer_rows(),
            ),
            question(
                "tips",
                "SELECT creator_id AS c, currency, (total * 100)::bigint AS cents, tips FROM tip_totals",
                self.tip_rows(),
            ),
            question("counters", "SELECT post_id AS id, likes, comments FROM post_counters", self.counter_rows()),
            question(
                "files to delete",
                "SELECT media_id AS m, object_key AS k, post_id AS p FROM file_tasks",
                self.file_rows(),
            ),
            question(
                "outbox",
                "SELECT id, type FROM outbox",
                self.emitted.iter().map(|id| json!({"id": id, "type": "subscription.updated"})).collect(),
            ),
        ];
        all.extend([0, 30, 60, 100, 200].map(|hours| self.sight(BEGIN_MS + hours * 3_600_000 + 1_800_000)));
        all
    }

    /// Who may see what at a moment, in milliseconds since 1970.
    fn sight(&self, moment: i64) -> Question {
        let users = format!(
            "(SELECT 'u' || n AS id FROM generate_series(0, {}) n UNION ALL SELECT 'c' || n FROM generate_series(0, {}) n)",
            USERS - 1,
            CREATORS - 1
        );
        let query = format!(
            "SELECT u.id AS u, 'p' || p AS p FROM {users} u, generate_series(0, {}) p WHERE can_view(u.id, 'p' || p, to_timestamp({}.0))",
            POSTS - 1,
            moment / 1_000
        );
        let users = (0..USERS).map(|n| format!("u{n}")).chain((0..CREATORS).map(|n| format!("c{n}")));
        let pairs = users.flat_map(|user| (0..POSTS).map(move |n| (user.clone(), format!("p{n}"))));
        let seen = pairs.filter(|(user, post)| self.can_view(user, post, moment * 1_000));
        question("who may see what", &query, seen.map(|(user, post)| json!({"u": user, "p": post})).collect())
    }
}

/// As PostgreSQL prints `jsonb`: keys by length, then by bytes.
fn canonical(row: &Value) -> String {
    let mut fields: Vec<(&String, &Value)> = row.as_object().unwrap().iter().collect();
    fields.sort_by_key(|(name, _)| (name.len(), (*name).clone()));
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}
