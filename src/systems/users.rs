//! The system `users`: Clerk's users, organization memberships and sessions from Kafka, in MongoDB.
//!
//! What was deleted stays, marked as such, and nothing that comes later brings it back.

use std::sync::Arc;

use enrichers::clerk::{self, ClerkEvent, OrganizationMembership, Session, Subject, Unstorable, User};
use mongodb::bson::{Bson, DateTime, Document, doc};
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};

use super::transactions;
use crate::config::Config;
use crate::stores::mongodb::{Collection, Mongo, MongoReader, MongoSink, OwnedFields, People, Upsert, document_of};
use crate::stores::target::{BoundSystem, Needed, SetupError, Target, prepare};
use crate::synthetic;
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Versions};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "users";

/// The fields beside the key; others may keep more in the same documents.
static USERS: Collection = Collection {
    name: "users",
    key: "clerkId",
    deleted: "isDeleted",
    fields: OwnedFields::Only(&[
        "email",
        "emailVerified",
        "firstName",
        "lastName",
        "username",
        "imageUrl",
        "createdAt",
        "updatedAt",
        "webhookPayload",
        "_unindexed",
    ]),
    indexes: &["email"],
};

static MEMBERSHIPS: Collection = Collection {
    name: "organizationMemberships",
    key: "membershipId",
    deleted: "isDeleted",
    fields: OwnedFields::Only(&[
        "clerkId",
        "organizationId",
        "organizationName",
        "organizationSlug",
        "role",
        "createdAt",
        "updatedAt",
    ]),
    indexes: &["clerkId", "organizationId"],
};

static SESSIONS: Collection = Collection {
    name: "userSessions",
    key: "sessionId",
    deleted: "isDeleted",
    fields: OwnedFields::Only(&[
        "clerkId",
        "clientId",
        "status",
        "lastEvent",
        "createdAt",
        "updatedAt",
        "lastActiveAt",
        "expireAt",
        "abandonAt",
    ]),
    indexes: &["clerkId"],
};

static ALL: &[&Collection] = &[&USERS, &MEMBERSHIPS, &SESSIONS];

/// Sessions have no event that deletes them, so what is erased is emptied in its place.
const PEOPLE: People = People { field: "clerkId", erased: Some(clerk::erasure_version) };

/// Reads Clerk's events and makes documents of them.
#[derive(Clone, Debug)]
struct Users {
    /// Whether what is deleted keeps ids, times and its version alone.
    erase_deleted: bool,
}

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    service: Some(NAME),
    groups: |config| vec![ConsumerGroup::of(config, NAME)],
    versions: Versions { at: clerk::version_at, micros: clerk::micros_of },
    deletes: Deletes::Kept,
    documents: true,
    tuned: Config::clone,
    deletion: None,
    bare: None,
    walk: walk::users::mongodb,
    generator: Some(|options| Ok(Box::new(synthetic::users::events(options)?.map(Into::into)))),
    stores: |_| vec![Needed::MongoDb],
    bind: |config, _, order| bind(config, order),
};

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    let mongo = Mongo::of(config, NAME)?;
    let name = format!("mongodb/{}/{}", mongo.address(), USERS.name);
    let hint = (!config.users.erase_deleted)
        .then_some("it may be one of a deleted document, which keeps its values unless USERS_ERASE_DELETED is true");
    let sink = Arc::new(MongoSink::new(mongo.clone(), &USERS, order, true).hinting(hint));
    let reader = Arc::new(MongoReader::new(mongo.clone(), ALL).of(PEOPLE));
    let prepare = prepare(mongo, |mongo| async move { mongo.install(ALL).await });
    Ok(Target { sink, reader, prepare, name }.bind(Users { erase_deleted: config.users.erase_deleted }))
}

impl System for Users {
    type Event<'r> = ClerkEvent<'r>;
    type Write = Upsert;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, ClerkEvent<'r>> {
        let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else {
            return Decoded::Ignore;
        };
        match clerk::decode(payload, record.time_ms()) {
            Ok(clerk::ClerkRecord::Event(event)) => {
                let (document, message, version) = (event.id.clone(), event.message_id, event.version());
                Decoded::Event(Identity { document, message: Some(message), version, kind: event.kind.name() }, *event)
            }
            Ok(clerk::ClerkRecord::Ignored) => Decoded::Ignore,
            Err(reject) => Decoded::Reject(Reject::new(reject.class, reject.reason)),
        }
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        record.payload.as_deref().is_some_and(|payload| clerk::is_about(payload, id))
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e ClerkEvent<'r>)>,
    ) -> Vec<Result<Upsert, Reject>> {
        events.into_iter().map(|(identity, event)| upsert(identity, event, self.erase_deleted)).collect()
    }
}

fn upsert(identity: &Identity<'_>, event: &ClerkEvent<'_>, erase_deleted: bool) -> Result<Upsert, Reject> {
    let (collection, fields) = match &event.subject {
        Subject::User(user) => (&USERS, user.as_ref().map(|user| of_user(user, event)).transpose()?),
        Subject::Membership(membership) => (&MEMBERSHIPS, membership.as_ref().map(of_membership)),
        Subject::Session(session) => (&SESSIONS, Some(of_session(session, event))),
    };
    let deleted = || doc! {"deletedAt": date(Some(event.time_micros / 1_000))};
    let (gone, fields) = (fields.is_none(), fields.unwrap_or_else(deleted));
    // Clerk sends null for what a user does not have. A field with null would be a value to a sparse unique index of an
    // application, which then takes one user without a name and refuses the next.
    let (absent, present): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(_, value)| *value == Bson::Null);
    let mut absent: Vec<&str> = absent.iter().map(|(name, _)| name.as_str()).collect();
    if gone && erase_deleted {
        absent = collection.values();
    }
    let upsert = Upsert::set(collection, &identity.document, identity.version, gone, present.into_iter().collect());
    Ok(if absent.is_empty() { upsert } else { upsert.and_unset(&absent) })
}

fn of_user(user: &User, event: &ClerkEvent<'_>) -> Result<Document, Reject> {
    let (payload, moved) = clerk::storable(&event.payload);
    transactions::count_unindexed(NAME, moved.len());
    let apart = |Unstorable { pointer, json }: Unstorable| {
        // The text of a pointer may hold the NUL that a name may not.
        Bson::from(doc! {"field": "webhookPayload", "member": pointer, "json": json})
    };
    let unindexed = if moved.is_empty() { Bson::Null } else { moved.into_iter().map(apart).collect::<Vec<_>>().into() };
    Ok(doc! {
        "email": &user.email,
        "emailVerified": user.email_verified,
        "firstName": &user.first_name,
        "lastName": &user.last_name,
        "username": &user.username,
        "imageUrl": &user.image_url,
        "createdAt": date(user.created_at),
        "updatedAt": date(user.updated_at),
        "webhookPayload": document_of(&payload)?,
        "_unindexed": unindexed,
    })
}

fn of_membership(membership: &OrganizationMembership) -> Document {
    doc! {
        "clerkId": &membership.user_id,
        "organizationId": &membership.organization_id,
        "organizationName": &membership.organization_name,
        "organizationSlug": &membership.organization_slug,
        "role": &membership.role,
        "createdAt": date(membership.created_at),
        "updatedAt": date(membership.updated_at),
    }
}

fn of_session(session: &Session, event: &ClerkEvent<'_>) -> Document {
    doc! {
        "clerkId": &session.user_id,
        "clientId": &session.client_id,
        "status": &session.status,
        "lastEvent": event.kind.name(),
        "createdAt": date(session.created_at),
        "updatedAt": date(session.updated_at),
        "lastActiveAt": date(session.last_active_at),
        "expireAt": date(session.expire_at),
        "abandonAt": date(session.abandon_at),
    }
}

fn date(millis: Option<i64>) -> Bson {
    millis.map_or(Bson::Null, |millis| DateTime::from_millis(millis).into())
}
