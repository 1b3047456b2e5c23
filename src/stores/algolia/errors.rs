//! What an answer says, judged by its status.
//!
//! Statuses are those of the API's specification (`algolia/api-clients-automation`, `specs/search` and `specs/common/responses`).
//! Messages of the API quote ids, so nothing of them is repeated.

use std::borrow::Cow;

use bytes::Bytes;
use pipeline::sink::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct AlgoliaResponse {
    pub status: u16,
    pub body: Bytes,
}

/// A call, as far as its answer is judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Batch,
    Objects,
    Browse,
    Task,
}

impl CallKind {
    /// The right that an API key needs for it (`x-acl` in the specification).
    fn rights(self) -> &'static str {
        match self {
            Self::Batch => "addObject and deleteObject",
            Self::Objects => "search",
            Self::Browse => "browse",
            Self::Task => "addObject",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Objects => "request for objects",
            Self::Browse => "request to browse",
            Self::Task => "request for a task",
        }
    }
}

impl AlgoliaResponse {
    /// Whether it is one that another host would give as well: clients try elsewhere unless the status is 2xx or 4xx
    /// (`isRetryable` of the official clients).
    pub(super) fn is_final(&self) -> bool {
        matches!(self.status, 200..300 | 400..500)
    }

    /// The body of an answer that grants what was asked for.
    ///
    /// # Errors
    /// What the status means for the call; broken, when the body cannot be read.
    pub(super) fn read<T: DeserializeOwned>(&self, call: CallKind) -> Result<T, Failure> {
        if let Some(failure) = self.judge(call) {
            return Err(failure);
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| Failure::broken(format!("Algolia's answer to a {} could not be read", call.name())))
    }

    fn judge(&self, call: CallKind) -> Option<Failure> {
        let (status, name) = (self.status, call.name());
        Some(match status {
            200..300 => return None,
            401 | 403 => Failure::misconfigured(format!(
                "Algolia refused a {name} ({status}): check ALGOLIA_APP_ID, and that ALGOLIA_API_KEY is a key with the right {}",
                call.rights()
            )),
            402 => Failure::misconfigured(format!("Algolia refused a {name} ({status}): the plan does not cover it")),
            404 if call == CallKind::Batch => Failure::misconfigured(format!(
                "Algolia does not know what a {name} writes to ({status}): check ALGOLIA_APP_ID"
            )),
            429 => Failure::unavailable(format!("Algolia asks to wait ({status})")),
            400 if call == CallKind::Batch => self.refusal(),
            413 if call == CallKind::Batch => Failure::turned_away("the batch is larger than Algolia takes (413)"),
            408 | 501.. => Failure::unavailable(format!("Algolia is not available ({status})")),
            _ => Failure::broken(format!("Algolia answered {status} to a {name}")),
        })
    }

    /// Algolia says why; whoever does not is something in between. A record that is too large has a message of its own.
    fn refusal(&self) -> Failure {
        #[derive(Deserialize)]
        struct ErrorMessage<'a> {
            #[serde(borrow)]
            message: Cow<'a, str>,
        }
        match serde_json::from_slice::<ErrorMessage<'_>>(&self.body) {
            Ok(refusal) if refusal.message.contains(" is too big") => {
                Failure::refused("a record is larger than the Algolia plan allows (400)")
            }
            Ok(_) => Failure::refused("Algolia does not take the batch (400)"),
            Err(_) => Failure::broken("a 400 without a reason: does something stand in between?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::sink::FailureKind;

    use super::*;

    fn judge(status: u16, body: &'static str, call: CallKind) -> Option<Failure> {
        AlgoliaResponse { status, body: Bytes::from_static(body.as_bytes()) }.judge(call)
    }

    #[test]
    fn an_answer_is_judged_by_status_and_call() {
        for (status, batch, browse) in [
            (400, FailureKind::Broken, FailureKind::Broken),
            (401, FailureKind::Misconfigured, FailureKind::Misconfigured),
            (402, FailureKind::Misconfigured, FailureKind::Misconfigured),
            (403, FailureKind::Misconfigured, FailureKind::Misconfigured),
            (404, FailureKind::Misconfigured, FailureKind::Broken),
            (413, FailureKind::TurnedAway, FailureKind::Broken),
            (418, FailureKind::Broken, FailureKind::Broken),
            (429, FailureKind::Unavailable, FailureKind::Unavailable),
            (500, FailureKind::Broken, FailureKind::Broken),
            (502, FailureKind::Unavailable, FailureKind::Unavailable),
            (503, FailureKind::Unavailable, FailureKind::Unavailable),
            (504, FailureKind::Unavailable, FailureKind::Unavailable),
            (408, FailureKind::Unavailable, FailureKind::Unavailable),
            (520, FailureKind::Unavailable, FailureKind::Unavailable),
            (301, FailureKind::Broken, FailureKind::Broken),
        ] {
            assert_eq!(judge(status, "", CallKind::Batch).unwrap().kind, batch, "{status}");
            assert_eq!(judge(status, "", CallKind::Browse).unwrap().kind, browse, "{status}");
        }
        let refusal = r#"{"message":"unexpected end of JSON","status":400}"#;
        assert_eq!(judge(400, refusal, CallKind::Batch).unwrap().kind, FailureKind::Refused);
        assert_eq!(judge(200, "", CallKind::Batch), None);
        assert_eq!(judge(201, "", CallKind::Batch), None);
    }

    #[test]
    fn a_refusal_repeats_nothing_of_the_message() {
        let big = r#"{"message":"Record at the position 3 objectID=secret is too big size=5/4 bytes.","status":400}"#;
        let why = judge(400, big, CallKind::Batch).unwrap().why;
        assert!(why.contains("larger than the Algolia plan allows") && !why.contains("secret"), "{why}");
        let other = judge(400, r#"{"message":"secret"}"#, CallKind::Batch).unwrap().why;
        assert!(!other.contains("secret") && other != why, "{other}");
    }

    #[test]
    fn a_key_that_does_not_do_is_told_what_it_lacks() {
        let why = judge(403, "", CallKind::Browse).unwrap().why;
        assert!(why.contains("ALGOLIA_API_KEY") && why.ends_with("the right browse"), "{why}");
    }

    #[test]
    fn half_a_body_is_broken() {
        let answer = AlgoliaResponse { status: 200, body: Bytes::from_static(b"{\"taskID\":") };
        assert_eq!(answer.read::<serde_json::Value>(CallKind::Batch).unwrap_err().kind, FailureKind::Broken);
    }
}
