//! The range of keys that a scan covers, worked out once for the disk and its twin.

use std::ops::Bound;

/// Two ends of a range of keys, in byte order.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Keys with `prefix` from the first one that is not below `from`; none when there can be none.
pub(crate) fn ascending(prefix: &[u8], from: &[u8]) -> Option<KeyRange> {
    let end = end_of(prefix);
    let start = prefix.max(from);
    if let Bound::Excluded(end) = &end
        && start >= end.as_slice()
    {
        return None;
    }
    Some((Bound::Included(start.to_vec()), end))
}

/// Keys with `prefix` up to the last one that is not above `from`; an empty `from` is no limit.
/// None when there can be none.
pub(crate) fn descending(prefix: &[u8], from: &[u8]) -> Option<KeyRange> {
    let end = end_of(prefix);
    let start = Bound::Included(prefix.to_vec());
    if from.is_empty() {
        return Some((start, end));
    }
    if from < prefix {
        return None;
    }
    if let Bound::Excluded(end_key) = &end
        && from >= end_key.as_slice()
    {
        return Some((start, end));
    }
    Some((start, Bound::Included(from.to_vec())))
}

/// The first key behind all keys with `prefix`.
fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX).map(|last| &prefix[..=last]);
    match kept.and_then(<[u8]>::split_last) {
        Some((last, front)) => {
            let mut end = front.to_vec();
            end.push(last.saturating_add(1));
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_highest_bytes_has_no_end() {
        assert_eq!(end_of(&[]), Bound::Unbounded);
        assert_eq!(end_of(&[255, 255]), Bound::Unbounded);
        assert_eq!(end_of(&[7, 255]), Bound::Excluded(vec![8]));
        assert_eq!(end_of(&[7, 8]), Bound::Excluded(vec![7, 9]));
    }

    #[test]
    fn a_start_behind_the_prefix_gives_nothing() {
        assert_eq!(ascending(b"b", b"c"), None);
        assert_eq!(
            ascending(b"b", b"a"),
            Some((Bound::Included(b"b".to_vec()), Bound::Excluded(b"c".to_vec())))
        );
    }

    #[test]
    fn a_backward_start_before_the_prefix_gives_nothing() {
        assert_eq!(descending(b"b", b"a"), None);
        assert_eq!(
            descending(b"b", b"z"),
            Some((Bound::Included(b"b".to_vec()), Bound::Excluded(b"c".to_vec())))
        );
    }
}
