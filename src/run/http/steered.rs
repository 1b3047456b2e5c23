//! `POST /backfill/pause`, `/backfill/resume` and `/backfill/rate/N`: work that is steered while it goes on, under the same guard
//! as everything that changes something.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::guard::{self, Guard};
use super::{Steering, refusal};

type Steered = State<Arc<dyn Steering>>;

pub(super) fn router(steering: Arc<dyn Steering>, guard: Arc<Guard>) -> Router {
    let changing = Router::new()
        .route("/backfill/pause", post(pause))
        .route("/backfill/resume", post(resume))
        .route("/backfill/rate/{rate}", post(rate))
        .layer(from_fn_with_state(guard, guard::check));
    Router::new().route("/backfill", get(standing)).merge(changing).with_state(steering)
}

async fn standing(State(steering): Steered) -> Response {
    Json(steering.standing()).into_response()
}

async fn pause(State(steering): Steered) -> Response {
    steering.pause();
    accept(&*steering)
}

async fn resume(State(steering): Steered) -> Response {
    steering.resume();
    accept(&*steering)
}

async fn rate(State(steering): Steered, Path(rate): Path<String>) -> Response {
    match rate.parse::<u32>() {
        Ok(rate) => {
            steering.set_rate(NonZeroU32::new(rate));
            accept(&*steering)
        }
        Err(_) => refusal(StatusCode::BAD_REQUEST, "the rate is a number of records a second; 0: as many as can be"),
    }
}

fn accept(steering: &dyn Steering) -> Response {
    (StatusCode::ACCEPTED, Json(steering.standing())).into_response()
}
