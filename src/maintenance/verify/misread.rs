//! The consumer's decoder against the plain walk, a record at a time. Pure.

use pipeline::sink::Content;
use pipeline::system::Decoded;

use crate::walk::Walked;

/// What is wrong with the reading of a record, if anything. `content` is what the decoder's event leaves in the store;
/// `excused` says that nothing has to come of the record: a dead letter has it, or may have it soon.
pub(super) fn misread(
    decoded: &Decoded<'_>,
    content: Option<Content>,
    walked: Option<&Walked>,
    excused: bool,
) -> Option<String> {
    let (identity, walked) = match (decoded, walked) {
        (Decoded::Event(identity, ()), Some(walked)) => (identity, walked),
        (Decoded::Event(..), None) => return Some("is read as an event, and by a plain walk is none".to_owned()),
        (Decoded::Ignore, Some(_)) => return Some("is left out, and by a plain walk is an event".to_owned()),
        (Decoded::Reject(_), Some(_)) if !excused => return Some(BURIED_NOWHERE.to_owned()),
        (Decoded::Reject(_) | Decoded::Ignore, _) => return None,
    };
    let (version, deleted) = (identity.version, content.map(|content| content.deleted));
    match () {
        () if identity.document != walked.id => Some("is read as one of another document".to_owned()),
        () if version != walked.version => {
            Some(format!("is read as version {version}, and by a plain walk is {}", walked.version))
        }
        () if deleted == Some(!walked.deleted) && walked.deleted => Some("is a delete and not read as one".to_owned()),
        () if deleted == Some(!walked.deleted) => Some("is read as a delete and is none".to_owned()),
        () if content.is_none() && !excused => Some(BURIED_NOWHERE.to_owned()),
        () => None,
    }
}

const BURIED_NOWHERE: &str = "is rejected, by a plain walk is an event, and no dead letter has it";

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use pipeline::sink::Reject;
    use pipeline::system::Identity;

    use super::*;

    fn event(document: &'static str, version: i64) -> Decoded<'static> {
        Decoded::Event(Identity { document: Cow::Borrowed(document), message: None, version, kind: "updated" }, ())
    }

    fn walked() -> Walked {
        Walked { id: "a".to_owned(), version: 8, deleted: false, passed: None }
    }

    const ALIVE: Option<Content> = Some(Content { deleted: false, digest: 1 });

    fn wrong(decoded: &Decoded<'_>, content: Option<Content>, walked: Option<&Walked>, excused: bool) -> bool {
        misread(decoded, content, walked, excused).is_some()
    }

    #[test]
    fn what_both_read_alike_is_right() {
        assert!(!wrong(&event("a", 8), ALIVE, Some(&walked()), false));
        assert!(!wrong(&Decoded::Ignore, None, None, false));
        assert!(!wrong(&Decoded::Reject(Reject::new("x", "y")), None, None, false));
    }

    #[test]
    fn id_version_and_delete_are_told_apart() {
        let gone = Some(Content { deleted: true, digest: 0 });
        assert!(wrong(&event("b", 8), ALIVE, Some(&walked()), true));
        assert!(wrong(&event("a", 4), ALIVE, Some(&walked()), true));
        assert!(wrong(&event("a", 8), gone, Some(&walked()), true));
        assert!(wrong(&event("a", 8), ALIVE, Some(&Walked { deleted: true, ..walked() }), true));
        assert!(wrong(&event("a", 8), ALIVE, None, true));
    }

    #[test]
    fn an_event_that_is_left_out_needs_a_letter_or_is_misread() {
        let reject = Decoded::Reject(Reject::new("x", "y"));
        assert!(wrong(&Decoded::Ignore, None, Some(&walked()), true));
        assert!(wrong(&reject, None, Some(&walked()), false) && !wrong(&reject, None, Some(&walked()), true));
        assert!(wrong(&event("a", 8), None, Some(&walked()), false));
        assert!(!wrong(&event("a", 8), None, Some(&walked()), true));
    }
}
