//! What an environment's values mean where others wrote them: Docker keeps quotes of a file of variables, and Kubernetes sets
//! `NAME_PORT` to an address for each service NAME.

use std::collections::BTreeMap;

use super::table::{VARIABLES, Variable};

/// Takes out what was not meant; gives a sentence about each.
pub(super) fn drop_unmeant(values: &mut BTreeMap<String, String>) -> Vec<String> {
    let mut ignored = Vec::new();
    for variable in VARIABLES {
        for name in variable.env {
            let Some(value) = values.get_mut(*name) else { continue };
            if is_address_of_service(variable, value) {
                values.remove(*name);
                let why = "which Kubernetes or Docker sets for a service of that name";
                ignored.push(format!("the address in {name}, {why}, is ignored"));
            } else if let Some(inner) = unquote(variable, value) {
                *value = inner.to_owned();
                ignored.push(format!("a pair of quotation marks around {name} is ignored"));
            }
        }
    }
    ignored
}

fn is_address_of_service(variable: &Variable, value: &str) -> bool {
    variable.key.ends_with(".port") && ["tcp://", "udp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// What stands between quotation marks. A password may have them; an address and everything that is no secret do not.
fn unquote<'v>(variable: &Variable, value: &'v str) -> Option<&'v str> {
    let inner = ['"', '\''].iter().find_map(|mark| value.strip_prefix(*mark)?.strip_suffix(*mark));
    inner.filter(|_| !variable.secret || variable.key.ends_with(".url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_and_addresses_of_services_are_not_meant() {
        let all = [
            ("KAFKA_BOOTSTRAP_SERVERS", "\"a:1\"", Some("a:1")),
            ("ELASTICSEARCH_URL", "'http://a:1'", Some("http://a:1")),
            ("REDIS_URL", "\"redis://a:1\"", Some("redis://a:1")),
            ("CONSUMER_BATCH_SIZE", "\"5\"", Some("5")),
            ("KAFKA_PASSWORD", "\"secret\"", Some("\"secret\"")),
            ("KAFKA_CLIENT_ID", "\"a'", Some("\"a'")),
            ("KAFKA_USERNAME", "\"", Some("\"")),
            ("REDIS_PORT", "tcp://10.96.0.5:6379", None),
            ("HTTP_PORT", "tcp://10.96.0.5:80", None),
            ("SOMEBODY_ELSES", "\"x\"", Some("\"x\"")),
        ];
        let mut values = all.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned())).collect();
        let ignored = drop_unmeant(&mut values);
        for (name, _, expected) in all {
            assert_eq!(values.get(name).map(String::as_str), expected, "{name}");
        }
        assert_eq!(ignored.len(), 6, "{ignored:?}");
        assert!(!ignored.join("").contains("10.96"), "{ignored:?}");
    }
}
