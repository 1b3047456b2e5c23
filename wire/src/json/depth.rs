//! Owns the nesting limit. serde_json limits depth only in typed values, not in skipped or raw ones.

use memchr::memchr2_iter;

/// Deepest nesting of a transaction accepted, counted over the whole payload.
pub const MAX_DEPTH: usize = 128;

/// Whether objects and arrays nest deeper than `max` levels; brackets inside strings do not count.
pub(crate) fn too_deep(payload: &[u8], max: usize) -> bool {
    // Too few opening brackets to be deep, wherever they stand: the usual case, without a look at strings.
    if memchr2_iter(b'{', b'[', payload).nth(max).is_none() {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = payload.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
