//! The parameters of the address of a Redis.

use url::Url;

use super::Rule::{Harmless, HarmlessAs, Honoured, HonouredAs, Refused};
use super::{Rules, put};

/// Of redis-py, Celery, Lettuce and others; the client honours `protocol`, and `db` is put into the path.
const RULES: &Rules = &[
    (&["db"], Honoured),
    (&["protocol"], HonouredAs(&["2", "3", "resp2", "resp3"], "write 2 or 3")),
    (
        &[
            "client_name",
            "clientname",
            "socket_timeout",
            "socket_connect_timeout",
            "socket_keepalive",
            "timeout",
            "connect_timeout",
            "max_connections",
            "health_check_interval",
            "retry_on_timeout",
            "decode_responses",
            "pool_size",
            "family",
            "dial_timeout",
            "read_timeout",
            "write_timeout",
        ],
        Harmless,
    ),
    (&["ssl_cert_reqs"], HarmlessAs(&["required", "cert_required"], "certificates are always checked")),
    (&["ssl", "tls"], Refused("write rediss:// for TLS")),
    (&["username", "password"], Refused("write it in front of the host: redis://USER:PASSWORD@HOST")),
];

/// Leaves in the address what the client honours, and gives the names of what is ignored; `db` goes into the path.
///
/// # Errors
/// The parameter that is refused, and what to do.
pub(in crate::config) fn sift(url: &mut Url) -> Result<Vec<String>, String> {
    if url.fragment().is_some() {
        return Err("it ends in `#…`, which is refused: certificates are always checked, REDIS_CA_CERT names their \
                    authority; a # of the password is written %23"
            .to_owned());
    }
    let mut sifted = super::sift(&super::parse_query(url.query().unwrap_or_default()), RULES, &[])?;
    if url.scheme() == "redis" && sifted.ignored.iter().any(|name| name.eq_ignore_ascii_case("ssl_cert_reqs")) {
        return Err("its parameter `ssl_cert_reqs` asks for TLS: write rediss://".to_owned());
    }
    if let Some(index) = sifted.kept.iter().position(|(name, _)| name == "db") {
        let (_, number) = sifted.kept.remove(index);
        let path = url.path().trim_start_matches('/').to_owned();
        if number.parse::<u32>().is_err() || (!path.is_empty() && path != number) {
            return Err("its parameter `db` is no number of a database, or another than the path's".to_owned());
        }
        url.set_path(&format!("/{number}"));
    }
    put(url, &sifted.kept);
    Ok(sifted.ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_takes_its_database_either_way_and_checks_certificates() {
        let redis = |text: &str| {
            let mut url = Url::parse(text).unwrap();
            sift(&mut url).map(|ignored| (url.to_string(), ignored))
        };
        let kept = |text: &str| redis(text).unwrap().0;
        assert_eq!(kept("redis://h:1?db=2"), "redis://h:1/2");
        assert_eq!(redis("redis://h:1/2?db=2&socket_timeout=1").unwrap().1, ["socket_timeout"]);
        assert_eq!(kept("redis://h:1/?protocol=resp3"), "redis://h:1/?protocol=resp3");
        assert_eq!(kept("rediss://h:1/?ssl_cert_reqs=required"), "rediss://h:1/");
        for refused in [
            "rediss://h#insecure",
            "redis://h/1?db=2",
            "redis://h?db=x",
            "redis://h?ssl=true",
            "rediss://h?ssl_cert_reqs=none",
            "redis://h?ssl_cert_reqs=required",
            "redis://h?protocol=hunter2",
            "redis://h?password=hunter2",
            "redis://h?x=hunter2",
        ] {
            let why = redis(refused).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
