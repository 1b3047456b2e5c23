//! Users, memberships and sessions as the plan's subjects: which is which, and their webhooks.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

use super::super::message::alphanumeric;
use super::super::plan::{EventTemplate, Living, stream};
use super::super::{GeneratorOptions, SyntheticKind};
use super::catalogue::{ENDS, ORGANIZATIONS, ROLES};
use super::person::Person;
use super::{ExpectedPerson, UserMessage};

/// How far back the user of a membership or session may have been created, in subjects.
const REACH: u64 = 4096;
const DAY_MS: i64 = 86_400_000;
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

#[derive(Debug)]
pub(super) struct UserTemplate {
    seeded: ChaCha8Rng,
}

/// What a subject is; given by its number, so that each has its share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    User,
    Membership,
    Session,
}

impl Class {
    fn of(number: u64) -> Self {
        match number % 20 {
            3 | 10 | 17 => Self::Membership,
            6 | 13 | 19 => Self::Session,
            _ => Self::User,
        }
    }
}

/// One event's place in its subject's life.
#[derive(Clone, Copy)]
struct Moment {
    kind: SyntheticKind,
    living: Living,
    micros: i64,
}

impl Moment {
    fn millis(self) -> i64 {
        self.micros / 1_000
    }

    fn creation_millis(self) -> i64 {
        self.living.created / 1_000
    }

    /// Which late event of its subject it is.
    fn late_number(self) -> u8 {
        if self.kind == SyntheticKind::Late { self.living.late } else { 0 }
    }

    /// One of several, another after each update, and another again in a late event.
    fn one_of<T: Copy + Default>(self, several: &[T], first: usize) -> T {
        let place = first + usize::from(self.living.revision) + usize::from(self.kind == SyntheticKind::Late);
        several.get(place % several.len().max(1)).copied().unwrap_or_default()
    }

    fn state(self, collection: &'static str) -> ExpectedPerson {
        ExpectedPerson::at(collection, self.kind, self.micros)
    }

    fn event(self, id: String, key: String, verb: &str, data: &Value, state: ExpectedPerson) -> UserMessage {
        let of = data.get("object").and_then(Value::as_str).unwrap_or_default();
        let of = if of == "organization_membership" { "organizationMembership" } else { of };
        let payload = webhook(&format!("{of}.{verb}"), data, self.millis()).to_string();
        let Self { kind, micros, .. } = self;
        UserMessage { kind, id, key, payload: Some(payload), micros, state: Some(state), duplicate: false }
    }

    fn verb(self) -> &'static str {
        match self.kind {
            SyntheticKind::Created => "created",
            SyntheticKind::Deleted => "deleted",
            _ => "updated",
        }
    }
}

impl UserTemplate {
    pub(super) fn new(options: &GeneratorOptions) -> Self {
        Self { seeded: ChaCha8Rng::seed_from_u64(options.seed) }
    }

    fn user(moment: Moment, rng: &mut ChaCha8Rng) -> UserMessage {
        let person = Person::random(rng);
        let mut state = moment.state("users");
        let data = if moment.kind == SyntheticKind::Deleted {
            json!({"object": "user", "id": person.id, "deleted": true})
        } else {
            person.describe(&mut state, moment.living.revision, moment.late_number());
            person.data(&state, moment.living.revision, moment.creation_millis(), moment.millis())
        };
        moment.event(person.id.clone(), person.id, moment.verb(), &data, state)
    }

    fn membership(&self, moment: Moment, rng: &mut ChaCha8Rng) -> UserMessage {
        let id = format!("orgmem_2{}", alphanumeric(rng, 26));
        let owner = self.owner(moment.living.number, rng);
        let (name, slug) = ORGANIZATIONS.choose(rng).copied().unwrap_or_default();
        let organization = format!("org_2{:0>26}", slug.replace('-', ""));
        let (role, role_name) = moment.one_of(ROLES, rng.random_range(0..ROLES.len()));
        let mut state = moment.state("organizationMemberships");
        if moment.kind != SyntheticKind::Deleted {
            state.user_id = Some(owner.id.clone());
            state.organization_id = Some(organization.clone());
            state.organization_name = Some(name.to_owned());
            state.role = Some(role.to_owned());
        }
        let (created, millis) = (moment.creation_millis(), moment.millis());
        // A deletion carries the membership as it was.
        let data = json!({
            "object": "organization_membership", "id": id, "role": role, "role_name": role_name,
            "permissions": ["org:posts:read"], "public_metadata": {}, "private_metadata": {},
            "organization": {
                "object": "organization", "id": organization, "name": name, "slug": slug,
                "image_url": format!("https://img.example.com/{slug}.jpg"), "has_image": true,
                "members_count": 2, "pending_invitations_count": 0, "max_allowed_memberships": 500,
                "admin_delete_enabled": true, "public_metadata": {}, "private_metadata": {},
                "created_at": created, "updated_at": created,
            },
            "public_user_data": owner.public(), "created_at": created, "updated_at": millis,
        });
        moment.event(id, owner.id, moment.verb(), &data, state)
    }

    fn session(&self, moment: Moment, rng: &mut ChaCha8Rng) -> UserMessage {
        let id = format!("sess_2{}", alphanumeric(rng, 26));
        let client = format!("client_2{}", alphanumeric(rng, 26));
        let owner = self.owner(moment.living.number, rng);
        let end = moment.one_of(ENDS, rng.random_range(0..ENDS.len()));
        let (verb, status) = if moment.kind == SyntheticKind::Created { ("created", "active") } else { (end, end) };
        let mut state = moment.state("userSessions");
        state.user_id = Some(owner.id.clone());
        state.status = Some(status.to_owned());
        let (created, millis) = (moment.creation_millis(), moment.millis());
        let data = json!({
            "object": "session", "id": id, "user_id": owner.id, "client_id": client, "actor": null,
            "status": status, "last_active_organization_id": null, "last_active_at": millis,
            "latest_activity": null, "expire_at": created + 7 * DAY_MS, "abandon_at": created + 30 * DAY_MS,
            "created_at": created, "updated_at": millis,
        });
        moment.event(id, owner.id, verb, &data, state)
    }

    /// A user who was created before this subject.
    fn owner(&self, number: u64, rng: &mut ChaCha8Rng) -> Person {
        let chosen = rng.random_range(number.saturating_sub(REACH)..=number);
        // Of two numbers in a row at least one is a user, and number 0 is one: if this one is not, the one before is.
        let user = if Class::of(chosen) == Class::User { chosen } else { chosen.saturating_sub(1) };
        Person::random(&mut stream(&self.seeded, user))
    }
}

impl EventTemplate for UserTemplate {
    type Event = UserMessage;
    const TICK: u32 = 1_000;

    fn about(&self, kind: SyntheticKind, living: Living, micros: i64, mut rng: ChaCha8Rng) -> UserMessage {
        let moment = Moment { kind, living, micros };
        match Class::of(living.number) {
            Class::User => Self::user(moment, &mut rng),
            Class::Membership => self.membership(moment, &mut rng),
            Class::Session => self.session(moment, &mut rng),
        }
    }

    fn useless(&self, kind: SyntheticKind, micros: i64, rng: &mut ChaCha8Rng) -> UserMessage {
        let person = Person::random(rng);
        let payload = (kind == SyntheticKind::Malformed).then(|| write_malformed(&person, micros / 1_000, rng));
        UserMessage { kind, id: String::new(), key: person.id, payload, micros, state: None, duplicate: false }
    }

    fn can_delete(number: u64) -> bool {
        Class::of(number) != Class::Session
    }

    fn repeat(event: &UserMessage) -> UserMessage {
        event.repeat()
    }
}

fn webhook(event_type: &str, data: &Value, millis: i64) -> Value {
    json!({
        "data": data, "object": "event", "type": event_type, "timestamp": millis,
        "event_attributes": {"http_request": {"client_ip": "192.0.2.1", "user_agent": USER_AGENT}},
        "instance_id": "ins_2synthetic",
    })
}

/// A message that no consumer can make a document of.
fn write_malformed(person: &Person, millis: i64, rng: &mut ChaCha8Rng) -> String {
    let mut state = ExpectedPerson::default();
    person.describe(&mut state, 0, 0);
    let mut good = webhook("user.created", &person.data(&state, 0, millis, millis), millis);
    let (place, wrong) = match rng.random_range(0..6_u8) {
        0 => return good.to_string().trim_end_matches('}').to_owned(),
        1 => return format!("[{good}]"),
        2 => ("/data/id", Value::Null),
        3 => ("/type", Value::Null),
        4 => ("/data/updated_at", Value::from("yesterday")),
        _ => ("/data/email_addresses", Value::from("none")),
    };
    if let Some(value) = good.pointer_mut(place) {
        *value = wrong;
    }
    good.to_string()
}
