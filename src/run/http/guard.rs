//! The guard of requests that change something: who may ask for it, and from where.
//!
//! A browser sends requests to loopback for any page that it shows. The guard lets none of these through: neither one of
//! another site (`Origin`, `Sec-Fetch-Site`), nor one that reached us under a foreign name (`Host`: DNS rebinding). Off
//! loopback it asks for a token besides.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::connections::Local;
use super::refusal;
use crate::config::Http;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Bytes of a body. Nothing here reads one.
const BODY_BYTES: u64 = 1024;

/// What a request has to show.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    loopback: bool,
    token: Option<SecretString>,
    hosts: Vec<String>,
}

/// A status, and why.
type Refused = (StatusCode, &'static str);

/// Lets a request pass, or answers it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let local = request.extensions().get().map(|Local(addr)| addr.ip());
    let authority = request.uri().authority();
    match guard.allows(request.headers(), authority, local) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => {
            tracing::warn!(path = request.uri().path(), status = status.as_u16(), why, "HTTP request refused");
            let mut response = refusal(status, why);
            if status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            }
            response.into_response()
        }
    }
}

impl Guard {
    pub(super) fn new(http: &Http) -> Self {
        Self { loopback: http.addr.is_loopback(), token: http.token.clone(), hosts: http.hosts.clone() }
    }

    /// `authority` is that of the request's line, where it has one; `local` is the address that the client reached.
    fn allows(&self, headers: &HeaderMap, authority: Option<&Authority>, local: Option<IpAddr>) -> Result<(), Refused> {
        let host = sole(headers, &header::HOST).and_then(|host| host.parse::<Authority>().ok());
        let Some(host) = host.filter(|host| authority.is_none_or(|authority| authority == host)) else {
            return Err((StatusCode::BAD_REQUEST, "the request needs one Host"));
        };
        if !self.knows(&host, local) {
            return Err((
                StatusCode::FORBIDDEN,
                "the Host is neither loopback nor the address that was reached; if it is right, add it to HTTP_HOSTS",
            ));
        }
        if headers.contains_key(header::ORIGIN) && !same_origin(headers, &host) {
            return Err((StatusCode::FORBIDDEN, "the Origin is another site"));
        }
        let site = headers.get_all(SEC_FETCH_SITE);
        if site.iter().any(|site| site != "same-origin" && site != "none") {
            return Err((StatusCode::FORBIDDEN, "the request comes from another site"));
        }
        self.identify(headers)?;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > BODY_BYTES) {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "no body is needed"));
        }
        Ok(())
    }

    fn knows(&self, host: &Authority, local: Option<IpAddr>) -> bool {
        let name = host.host();
        if let Ok(addr) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return addr.is_loopback() || local.is_some_and(|local| local.to_canonical() == addr.to_canonical());
        }
        let named = |known: &str| known.eq_ignore_ascii_case(name);
        named("localhost") || self.hosts.iter().any(|known| named(known))
    }

    fn identify(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = &self.token else {
            let why = "HTTP_ADDR is not loopback and there is no token: set HTTP_TOKEN or HTTP_TOKEN_FILE";
            return if self.loopback { Ok(()) } else { Err((StatusCode::FORBIDDEN, why)) };
        };
        let given = sole(headers, &header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        let right = given.is_some_and(|(scheme, given)| {
            // Digests have one length, so that the time says nothing of the token's.
            let same = Sha256::digest(given.trim()).ct_eq(&Sha256::digest(token.expose_secret()));
            scheme.eq_ignore_ascii_case("bearer") && bool::from(same)
        });
        if right { Ok(()) } else { Err((StatusCode::UNAUTHORIZED, "it needs Authorization: Bearer with HTTP_TOKEN")) }
    }
}

/// The value of a header that stands exactly once.
fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn same_origin(headers: &HeaderMap, host: &Authority) -> bool {
    let origin = sole(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && authority.parse::<Authority>().is_ok_and(|origin| origin == *host)
    })
}
