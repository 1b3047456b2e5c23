//! Owns an example of each event.

use wire::DecodeError;

use crate::{CloudAttributes, Event, EventName, EventRecord, EventVersion, read};

/// An example of an event, to be written in this version.
///
/// # Errors
/// None, or the example is no event; a test holds that.
pub fn example(name: EventName, version: EventVersion) -> Result<Event, DecodeError> {
    let payload =
        format!(r#"{{"id":"evt_{name}_1","version":"2.0","timestamp":"2026-03-01T12:00:00Z","data":{}}}"#, data(name));
    let record = EventRecord {
        topic: name.as_str(),
        payload: payload.as_bytes(),
        timestamp_ms: None,
        cloud: CloudAttributes::default(),
    };
    Ok(Event { version, ..read(name, &record)? })
}

fn data(name: EventName) -> &'static str {
    match name {
        EventName::SubscriptionCreated => {
            r#"{"subscriptionId":"sub_1","subscriberId":"user_7","creatorId":"creator_3","tierId":"tier_2",
            "startDate":"2026-03-01T00:00:00Z"}"#
        }
        EventName::SubscriptionUpdated => {
            r#"{"subscriptionId":"sub_1","subscriberId":"user_7","creatorId":"creator_3","tierId":"tier_2",
            "status":"active","periodEnd":"2026-04-01T00:00:00Z"}"#
        }
        EventName::SubscriptionCancelled => {
            r#"{"subscriptionId":"sub_1","periodEnd":"2026-04-01T00:00:00Z","reason":"moved on"}"#
        }
        EventName::TierCreated => {
            r#"{"tierId":"tier_2","creatorId":"creator_3","price":9.99,"currency":"EUR","name":"Gold"}"#
        }
        EventName::TierUpdated => r#"{"tierId":"tier_2","price":12.5,"currency":"EUR"}"#,
        EventName::PaymentCompleted => {
            r#"{"paymentId":"pay_5","type":"subscription","amount":9.99,"currency":"EUR","userId":"user_7",
            "creatorId":"creator_3","subscriptionId":"sub_1","periodStart":"2026-03-01T00:00:00Z",
            "periodEnd":"2026-04-01T00:00:00Z"}"#
        }
        EventName::PaymentFailed => {
            r#"{"paymentId":"pay_6","type":"subscription","amount":9.99,"currency":"EUR","userId":"user_7",
            "subscriptionId":"sub_1","reason":"card declined"}"#
        }
        EventName::TipSent => {
            r#"{"userId":"user_7","creatorId":"creator_3","amount":5,"currency":"EUR","paymentId":"pay_8",
            "postId":"post_4","message":"thank you"}"#
        }
        EventName::PostPurchased => {
            r#"{"paymentId":"pay_9","postId":"post_4","userId":"user_7","creatorId":"creator_3","amount":3.5,"currency":"EUR"}"#
        }
        EventName::PostCreated => {
            r#"{"postId":"post_4","creatorId":"creator_3","price":3.5,"currency":"EUR","visibility":"subscribers",
            "mediaIds":["media_1","media_2"],"title":"Behind the scenes"}"#
        }
        EventName::PostUpdated => r#"{"postId":"post_4","price":null,"visibility":"public"}"#,
        EventName::PostDeleted => r#"{"postId":"post_4","creatorId":"creator_3"}"#,
        EventName::PostLiked | EventName::PostUnliked => r#"{"postId":"post_4","userId":"user_7"}"#,
        EventName::CommentCreated => {
            r#"{"commentId":"comment_2","postId":"post_4","userId":"user_7","parentId":"comment_1","text":"Lovely."}"#
        }
        EventName::MediaUploaded => {
            r#"{"mediaId":"media_1","objectKey":"posts/post_4/cover.jpg","postId":"post_4","userId":"creator_3",
            "contentType":"image/jpeg","size":183042}"#
        }
        EventName::MediaDeleted => r#"{"mediaId":"media_1","objectKey":"posts/post_4/cover.jpg","postId":"post_4"}"#,
        EventName::MediaProcessed => {
            r#"{"mediaId":"media_1","objectKey":"posts/post_4/cover.jpg","postId":"post_4","status":"ready",
            "variants":["posts/post_4/cover.small.jpg"]}"#
        }
    }
}
