//! What a bulk answer says, judged by status, then by error type, never by message text.

use std::borrow::Cow;

use pipeline::mutant;
use pipeline::sink::{Failure, Reject, Verdict};
use serde::Deserialize;

use super::client::Response;

#[derive(Debug, Deserialize)]
pub(super) struct Bulk<'a> {
    #[serde(borrow)]
    items: Vec<BulkItem<'a>>,
}

/// One item; our actions are `index`, and `delete` where tombstones are purged.
#[derive(Debug, Deserialize)]
struct BulkItem<'a> {
    #[serde(borrow, rename = "index", alias = "delete")]
    written: ItemResult<'a>,
}

#[derive(Debug, Deserialize)]
struct ItemResult<'a> {
    status: u16,
    #[serde(borrow)]
    error: Option<ErrorCause<'a>>,
}

#[derive(Debug, Deserialize)]
struct ErrorCause<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    caused_by: Option<Origin<'a>>,
}

/// What is behind a cause; its reason may quote a value.
#[derive(Debug, Deserialize)]
struct Origin<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

impl<'a> Bulk<'a> {
    /// Reads an answer with status 200.
    ///
    /// # Errors
    /// Broken, when it is anything but a bulk answer (a proxy's page, half a body).
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Failure> {
        serde_json::from_slice(body).map_err(|_| Failure::broken("the answer to a bulk request could not be read"))
    }

    /// An alias without a write index shows as an `illegal_argument_exception`, which a bad document may cause as well.
    pub(super) fn may_lack_write_index(&self) -> bool {
        self.items.iter().any(|item| item.written.kind() == "illegal_argument_exception")
    }

    pub(super) fn verdicts(self, alias: &str, no_write_index: bool) -> Vec<Verdict> {
        self.items.into_iter().map(|item| item.written.judge(alias, no_write_index)).collect()
    }
}

/// How many writes were applied, where all were and went to this index, and the answer is in the form that Elasticsearch and
/// OpenSearch give it. A comparison of bytes costs a tenth of reading it; every other answer has to be read.
pub(super) fn count_applied(body: &[u8], index: &str) -> Option<usize> {
    let begin = format!(r#"{{"index":{{"_index":"{index}","status":20"#);
    let mut rest = body.strip_prefix(br#"{"errors":false,"items":["#)?.strip_suffix(b"]}")?;
    let mut count = 0;
    loop {
        count += 1;
        match rest.strip_prefix(begin.as_bytes())? {
            [b'0' | b'1', b'}', b'}'] => return Some(count),
            [b'0' | b'1', b'}', b'}', b',', more @ ..] => rest = more,
            _ => return None,
        }
    }
}

impl ItemResult<'_> {
    fn kind(&self) -> &str {
        self.error.as_ref().and_then(|error| error.kind.as_deref()).unwrap_or_default()
    }

    fn judge(&self, alias: &str, no_write_index: bool) -> Verdict {
        let kind = self.kind();
        if let Some(failure) = misconfiguration(kind, alias) {
            return Verdict::Retry(failure);
        }
        match self.status {
            200..300 => Verdict::Applied,
            409 if kind == "version_conflict_engine_exception" => Verdict::Superseded,
            409 => Verdict::Retry(Failure::unavailable(format!("a conflict that is not about versions ({kind})"))),
            401 | 403 => Verdict::Retry(access_refusal(self.status)),
            404 if mutant!(TombstonesLeftOff) => Verdict::Applied,
            429 if mutant!(BusyCounted) => Verdict::Retry(Failure::broken("the store is busy")),
            500 => Verdict::Retry(Failure::broken(format!("a document failed with status 500 {kind}"))),
            // Of a shard, a node or something in between; they say nothing about the document.
            429 | 501.. => Verdict::Retry(busy(self.status, kind)),
            400 if no_write_index && kind == "illegal_argument_exception" => Verdict::Retry(Failure::misconfigured(
                format!("the alias {alias} has no write index: set is_write_index"),
            )),
            status => {
                let class = if kind.is_empty() { format!("status_{status}") } else { kind.to_owned() };
                let reason = self.error.as_ref().and_then(|error| error.reason.as_deref()).unwrap_or_default();
                let origin = self.error.as_ref().and_then(|error| error.caused_by.as_ref()?.kind.as_deref());
                Verdict::Reject(Reject::new(class, describe(status, kind, reason, origin)))
            }
        }
    }
}

/// Judges a request as a whole; `None` when its items have to be judged.
pub(super) fn judge_request(answer: &Response) -> Option<Failure> {
    #[derive(Deserialize)]
    struct RequestError<'a> {
        #[serde(borrow)]
        error: ErrorCause<'a>,
    }
    let refusal =
        || serde_json::from_slice::<RequestError<'_>>(&answer.body).ok().and_then(|refusal| refusal.error.kind);
    let kind = if answer.status == 200 { None } else { refusal() };
    let kind = kind.as_deref().unwrap_or_default();
    if let Some(failure) = misconfiguration(kind, "the alias") {
        return Some(failure);
    }
    match answer.status {
        200 => None,
        413 => Some(Failure::turned_away(
            "larger than the store or what stands before it takes (413): raise http.max_content_length, or the limit there",
        )),
        // The store names what is wrong; whoever does not is something in between.
        400 if kind.is_empty() => Some(Failure::broken("a 400 without a reason: does something stand in between?")),
        400 => Some(Failure::turned_away(format!("the store does not take the request (400 {kind})"))),
        401 | 403 => Some(access_refusal(answer.status)),
        500 => Some(Failure::broken(format!("the store answered 500 {kind}"))),
        408 | 429 | 501.. => Some(busy(answer.status, kind)),
        status => Some(Failure::misconfigured(format!("the store answered {status} {kind}: is this Elasticsearch?"))),
    }
}

/// Errors of the set-up, whatever their status: a disk-flood block comes as 429, a closed index as 400.
fn misconfiguration(kind: &str, alias: &str) -> Option<Failure> {
    let what = match kind {
        "cluster_block_exception" => "blocks writes (a read-only or disk-flood block)",
        "index_closed_exception" => "is closed",
        "index_not_found_exception" => "is missing, or is an index where an alias is required; a restart installs it",
        _ => return None,
    };
    Some(Failure::misconfigured(format!("{alias} {what} ({kind})")))
}

fn access_refusal(status: u16) -> Failure {
    Failure::misconfigured(format!(
        "access refused ({status}): check ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD, or ELASTICSEARCH_API_KEY, and their rights"
    ))
}

fn busy(status: u16, kind: &str) -> Failure {
    Failure::unavailable(format!("the store asks to wait ({status} {kind})"))
}

/// Says which field a document failed on. Elasticsearch's reasons quote the value, which must not get into letters' reasons
/// and logs, so only the field and its type are taken out of them.
fn describe(status: u16, kind: &str, reason: &str, origin: Option<&str>) -> String {
    let kind = &match origin.filter(|origin| *origin != kind) {
        Some(origin) => format!("{kind}, {origin}"),
        None => kind.to_owned(),
    };
    let quoted = |after: &str| {
        let (_, rest) = reason.split_once(after)?;
        let (name, _) = rest.split_once(']')?;
        Some(name)
    };
    if let Some(limit) = quoted("total fields [") {
        return format!(
            "the index holds {limit} fields, its limit: raise index.mapping.total_fields.limit ({status} {kind})"
        );
    }
    if let Some(field) = quoted("mapper [") {
        return format!("field {field} is of another type than the index has for it ({status} {kind})");
    }
    if let Some(field) = quoted("object mapping for [") {
        return format!("field {field} is an object in the index, and none here ({status} {kind})");
    }
    if reason.contains("immense term") {
        return format!("a text is longer than the index takes as one term, 32766 bytes ({status} {kind})");
    }
    if reason.contains("empty string") || reason.contains("only whitespace") {
        return format!("a field has an empty name, or one with an empty part ({status} {kind})");
    }
    match (quoted("field ["), quoted("of type [")) {
        (Some(field), Some(of)) => format!("field {field} does not fit the mapping's type {of} ({status} {kind})"),
        (Some(field), None) => format!("field {field} was refused ({status} {kind})"),
        _ => format!("the store refused the document ({status} {kind})"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pipeline::sink::FailureKind;

    use super::*;

    fn verdicts(items: &str) -> Vec<Verdict> {
        let body = format!(r#"{{"errors":true,"items":[{items}]}}"#);
        Bulk::read(body.as_bytes()).unwrap().verdicts("transactions", false)
    }

    fn item(status: u16, kind: &str, reason: &str) -> String {
        format!(r#"{{"index":{{"status":{status},"error":{{"type":"{kind}","reason":"{reason}"}}}}}}"#)
    }

    fn retry_kind(verdict: &Verdict) -> Option<FailureKind> {
        match verdict {
            Verdict::Retry(failure) => Some(failure.kind),
            _ => None,
        }
    }

    #[test]
    fn an_answer_without_a_failure_is_counted_as_it_would_be_read() {
        let body = |items: &[&str]| format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(","));
        let (new, again) = (r#"{"index":{"_index":"t-1","status":201}}"#, r#"{"index":{"_index":"t-1","status":200}}"#);
        for items in [&[new][..], &[again], &[new, again, new]] {
            let body = body(items);
            let read = Bulk::read(body.as_bytes()).unwrap().verdicts("t", false);
            assert_eq!(count_applied(body.as_bytes(), "t-1"), Some(read.len()), "{body}");
            assert!(read.iter().all(|verdict| *verdict == Verdict::Applied), "{body}");
        }
        let elsewhere = r#"{"index":{"_index":"t-2","status":201}}"#;
        let longer = r#"{"index":{"_index":"t-10","status":201}}"#;
        let accepted = r#"{"index":{"_index":"t-1","status":202}}"#;
        let deleted = r#"{"delete":{"_index":"t-1","status":200}}"#;
        let odd = [&[elsewhere][..], &[new, elsewhere], &[longer], &[new, accepted], &[deleted], &[], &[new, ""]];
        for items in odd {
            assert_eq!(count_applied(body(items).as_bytes(), "t-1"), None, "{items:?}");
        }
        let whole = body(&[new, new]);
        for cut in 0..whole.len() {
            assert_eq!(count_applied(&whole.as_bytes()[..cut], "t-1"), None, "{cut}");
        }
        let failed = whole.replace("false", "true");
        assert_eq!(count_applied(failed.as_bytes(), "t-1"), None);
    }

    #[test]
    fn items_are_judged_by_status_then_type() {
        let ok = r#"{"index":{"status":201}}"#;
        assert_eq!(verdicts(ok), [Verdict::Applied]);
        assert_eq!(verdicts(&ok.replace("index", "delete")), [Verdict::Applied]);
        assert_eq!(verdicts(&item(409, "version_conflict_engine_exception", "x")), [Verdict::Superseded]);
        let kind = |status, kind| retry_kind(&verdicts(&item(status, kind, "x"))[0]);
        assert_eq!(kind(429, "es_rejected_execution_exception"), Some(FailureKind::Unavailable));
        assert_eq!(kind(503, "unavailable_shards_exception"), Some(FailureKind::Unavailable));
        assert_eq!(kind(429, "cluster_block_exception"), Some(FailureKind::Misconfigured));
        assert_eq!(kind(400, "index_closed_exception"), Some(FailureKind::Misconfigured));
        assert_eq!(kind(404, "index_not_found_exception"), Some(FailureKind::Misconfigured));
        assert_eq!(kind(403, "security_exception"), Some(FailureKind::Misconfigured));
        assert_eq!(kind(500, "null_pointer_exception"), Some(FailureKind::Broken));
        assert_eq!(kind(409, "some_other_conflict"), Some(FailureKind::Unavailable));
        for status in [501, 502, 503, 504, 507, 599] {
            assert_eq!(kind(status, "some_exception"), Some(FailureKind::Unavailable), "{status}");
        }
        assert_eq!(kind(400, "document_parsing_exception"), None);
        assert_eq!(kind(400, "some_exception_of_a_later_version"), None);
    }

    #[test]
    fn a_reject_names_the_field_and_never_quotes_the_value() {
        let reason = "[1:9] failed to parse field [status] of type [keyword] in document with id 'secret-id'. Preview of field's value: 'secret'";
        let [Verdict::Reject(reject)] = &verdicts(&item(400, "document_parsing_exception", reason))[..] else {
            panic!()
        };
        assert_eq!(reject.class, "document_parsing_exception");
        assert!(reject.why.contains("field status") && reject.why.contains("keyword"), "{}", reject.why);
        assert!(!reject.why.contains("secret"), "{}", reject.why);
    }

    #[test]
    fn causes_are_told_apart() {
        let why = |reason: &str, origin: &str| {
            let item = format!(
                r#"{{"index":{{"status":400,"error":{{"type":"k","reason":"{reason}","caused_by":{{"type":"{origin}","reason":"secret"}}}}}}}}"#
            );
            let [Verdict::Reject(reject)] = &verdicts(&item)[..] else { panic!() };
            assert!(!reject.why.contains("secret"), "{}", reject.why);
            reject.why.clone()
        };
        for (reason, expected) in [
            ("Limit of total fields [1000] has been exceeded while adding new fields [1]", "total_fields.limit"),
            ("mapper [a.b] cannot be changed from type [long] to [text]", "field a.b is of another type"),
            ("object mapping for [amount] tried to parse field [amount] as object", "field amount is an object"),
            ("Document contains at least one immense term in field", "32766"),
            ("field name cannot be an empty string", "empty name"),
            ("something else", "the store refused the document (400 k, o)"),
        ] {
            assert!(why(reason, "o").contains(expected), "{reason}: {}", why(reason, "o"));
        }
        assert!(why("something else", "k").contains("(400 k)"));
    }

    #[test]
    fn a_request_is_judged_as_a_whole_when_it_was_not_taken() {
        let judge = |status, body: &'static str| {
            judge_request(&Response { status, body: Bytes::from_static(body.as_bytes()) }).map(|failure| failure.kind)
        };
        assert_eq!(judge(200, "{}"), None);
        assert_eq!(judge(413, ""), Some(FailureKind::TurnedAway));
        assert_eq!(
            judge(400, r#"{"error":{"type":"illegal_argument_exception","reason":"x"},"status":400}"#),
            Some(FailureKind::TurnedAway)
        );
        assert_eq!(judge(401, ""), Some(FailureKind::Misconfigured));
        assert_eq!(
            judge(429, r#"{"error":{"type":"es_rejected_execution_exception"}}"#),
            Some(FailureKind::Unavailable)
        );
        assert_eq!(judge(429, r#"{"error":{"type":"cluster_block_exception"}}"#), Some(FailureKind::Misconfigured));
        assert_eq!(judge(503, "<html>busy</html>"), Some(FailureKind::Unavailable));
        assert_eq!(judge(500, ""), Some(FailureKind::Broken));
        assert_eq!(judge(400, "<html>Bad Request</html>"), Some(FailureKind::Broken));
        for status in [408, 502, 503, 504, 520] {
            assert_eq!(judge(status, "<html>busy</html>"), Some(FailureKind::Unavailable), "{status}");
        }
        assert_eq!(judge(405, ""), Some(FailureKind::Misconfigured));
    }

    #[test]
    fn half_an_answer_or_a_page_is_broken() {
        for body in ["<html>hello</html>", r#"{"errors":false,"items":[{"index":{"sta"#, "{}", ""] {
            assert_eq!(Bulk::read(body.as_bytes()).map(|_| ()).unwrap_err().kind, FailureKind::Broken);
        }
    }
}
