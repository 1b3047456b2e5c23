//! One user, made of random numbers alone, and what webhooks say of it.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::super::message::alphanumeric;
use super::catalogue::{DOMAINS, FIRST_NAMES, LAST_NAMES};
use super::model::ExpectedPerson;

#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: String,
    first: (&'static str, &'static str),
    last: Option<(&'static str, &'static str)>,
    domain: &'static str,
    /// Makes the address one of many.
    number: u32,
    phone_only: bool,
    verified: bool,
    named: bool,
}

impl Person {
    pub(super) fn random(rng: &mut ChaCha8Rng) -> Self {
        Self {
            id: format!("user_2{}", alphanumeric(rng, 26)),
            first: FIRST_NAMES.choose(rng).copied().unwrap_or_default(),
            last: if rng.random_bool(0.9) { LAST_NAMES.choose(rng).copied() } else { None },
            domain: DOMAINS.choose(rng).copied().unwrap_or_default(),
            number: rng.random_range(0..100_000),
            phone_only: rng.random_bool(0.05),
            verified: rng.random_bool(0.8),
            named: rng.random_bool(0.3),
        }
    }

    /// Fills in what is expected of it after so many updates; `late` tells late events apart.
    pub(super) fn describe(&self, state: &mut ExpectedPerson, revision: u8, late: u8) {
        state.email = (!self.phone_only).then(|| self.address(revision / 3));
        state.email_verified = !self.phone_only && (self.verified || revision > 0);
        state.first_name = Some(self.first.0.to_owned());
        state.last_name = self.last.map(|(name, _)| name.to_owned());
        state.username = (self.named || revision > 1).then(|| format!("{}_{}", self.first.1, self.number));
        state.image_url = Some(self.image(revision, late));
    }

    /// The `data` of a webhook that says so.
    pub(super) fn data(&self, state: &ExpectedPerson, revision: u8, created: i64, millis: i64) -> Value {
        let newest = revision / 3;
        // The former address stands before the one that counts.
        let addresses: Vec<Value> = (newest.saturating_sub(1)..=newest)
            .filter(|_| !self.phone_only)
            .map(|place| self.email(place, state.email_verified || place < newest))
            .collect();
        json!({
            "object": "user", "id": self.id, "external_id": null,
            "primary_email_address_id": (!self.phone_only).then(|| self.email_id(newest)),
            "primary_phone_number_id": self.phone_only.then(|| self.id.replace("user_", "idn_")),
            "primary_web3_wallet_id": null,
            "username": state.username, "first_name": state.first_name, "last_name": state.last_name,
            "profile_image_url": state.image_url, "image_url": state.image_url, "has_image": true,
            "public_metadata": {}, "private_metadata": null, "unsafe_metadata": {},
            "email_addresses": addresses, "phone_numbers": self.phones(), "web3_wallets": [], "passkeys": [],
            "password_enabled": true, "two_factor_enabled": false, "totp_enabled": false,
            "backup_code_enabled": false, "mfa_enabled_at": null, "mfa_disabled_at": null,
            "external_accounts": [], "saml_accounts": [], "enterprise_accounts": [],
            "last_sign_in_at": created, "last_active_at": millis, "banned": false, "locked": false,
            "lockout_expires_in_seconds": null, "verification_attempts_remaining": null,
            "created_at": created, "updated_at": millis, "legal_accepted_at": created,
            "delete_self_enabled": true, "create_organization_enabled": true, "create_organizations_limit": null,
        })
    }

    /// What a membership shows of it.
    pub(super) fn public(&self) -> Value {
        let image = self.image(0, 0);
        json!({
            "user_id": self.id, "first_name": self.first.0, "last_name": self.last.map(|(name, _)| name),
            "profile_image_url": image, "image_url": image, "has_image": true,
            "identifier": if self.phone_only { self.phone() } else { self.address(0) },
        })
    }

    fn address(&self, place: u8) -> String {
        let last = self.last.map(|(_, last)| format!(".{last}")).unwrap_or_default();
        let tag = if place > 0 { format!("+{place}") } else { String::new() };
        format!("{}{last}.{}{tag}@{}", self.first.1, self.number, self.domain)
    }

    fn email_id(&self, place: u8) -> String {
        format!("{}{place}", self.id.replace("user_", "idn_"))
    }

    fn email(&self, place: u8, verified: bool) -> Value {
        let status = if verified { "verified" } else { "unverified" };
        json!({
            "object": "email_address", "id": self.email_id(place), "email_address": self.address(place),
            "reserved": false, "linked_to": [],
            "verification": {"status": status, "strategy": "email_code", "attempts": 1, "expire_at": null},
        })
    }

    fn phones(&self) -> Vec<Value> {
        let verification = json!({"status": "verified", "strategy": "phone_code", "attempts": 1, "expire_at": null});
        let phone = || {
            json!({
                "object": "phone_number", "id": self.id.replace("user_", "idn_"),
                "phone_number": self.phone(),
                "reserved_for_second_factor": false, "default_second_factor": false, "reserved": false,
                "linked_to": [], "backup_codes": null, "verification": verification,
            })
        };
        self.phone_only.then(phone).into_iter().collect()
    }

    // 555-0100 to 555-0199 belong to no one (North American Numbering Plan).
    fn phone(&self) -> String {
        format!("+1201555{:04}", 100 + self.number % 100)
    }

    fn image(&self, revision: u8, late: u8) -> String {
        format!("https://img.example.com/{}.jpg?v={revision}-{late}", self.id)
    }
}
