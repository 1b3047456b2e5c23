//! How statements are sent: without a name, each in a transaction of its own, and without anything that a session keeps.
//!
//! So a pool in between may give every transaction another session of the server: PgBouncer and others that pool
//! transactions. A name would be of one session, and there might be of a statement of somebody else's.
//!
//! A statement without a name is prepared in one message and run in another, so it is safe only inside a transaction. That costs
//! three more exchanges with the server a statement.

use pipeline::sink::Failure;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{FromRow, Transaction};

use super::Postgres;
use super::errors::judge;
use super::migrate::BEGIN;

type As<'q, O> = QueryAs<'q, sqlx::Postgres, O, PgArguments>;

impl Postgres {
    /// Begins a transaction. The path to a schema is the transaction's alone: behind a pool the session is somebody else's afterwards.
    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, sqlx::Postgres>> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        if let Some(schema) = &self.schema {
            let path = sqlx::query("SELECT set_config('search_path', $1, true)").bind(schema).persistent(false);
            path.execute(&mut *transaction).await?;
        }
        Ok(transaction)
    }

    /// The rows that a statement gives.
    pub(crate) async fn rows<O>(&self, query: As<'_, O>) -> Result<Vec<O>, Failure>
    where
        O: Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        self.rows_or(query, "").await.map(Option::unwrap_or_default)
    }

    /// The same; `None` when it ends in the error of this code.
    pub(crate) async fn rows_or<O>(&self, query: As<'_, O>, code: &str) -> Result<Option<Vec<O>>, Failure>
    where
        O: Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        let asked = async {
            let mut transaction = self.begin().await?;
            let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await.map(|()| rows)
        };
        match self.within(asked).await? {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(code) => Ok(None),
            answer => answer.map(Some).map_err(|error| judge(&error, &self.address)),
        }
    }

    /// The first column of the rows that a statement gives.
    pub(crate) async fn scalars<O>(
        &self,
        query: QueryScalar<'_, sqlx::Postgres, O, PgArguments>,
    ) -> Result<Vec<O>, Failure>
    where
        O: Send + Unpin,
        (O,): Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        let asked = async {
            let mut transaction = self.begin().await?;
            let column = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await.map(|()| column)
        };
        self.ask(asked).await
    }

    /// How many rows a statement touched.
    pub(crate) async fn execute(&self, query: Query<'_, sqlx::Postgres, PgArguments>) -> Result<u64, Failure> {
        let asked = async {
            let mut transaction = self.begin().await?;
            let done = query.persistent(false).execute(&mut *transaction).await?;
            transaction.commit().await.map(|()| done.rows_affected())
        };
        self.ask(asked).await
    }
}
