//! How many rows go in one statement. Pure.
//!
//! MySQL takes rows in one of a few lengths, so that a prepared statement is found again.

use super::dialect::Dialect;

/// Lengths in which MySQL takes rows.
const LENGTHS: [usize; 18] = [256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 7, 6, 5, 4, 3, 2, 1];
/// The most placeholders of a statement (MySQL has 16 bits for their number).
const PLACEHOLDERS: usize = 60_000;

impl Dialect {
    /// How many of so many rows go next, where a row has so many placeholders and bytes.
    pub(super) fn next_chunk(self, rows: usize, placeholders: usize, row_bytes: usize, packet: usize) -> usize {
        let most = (packet / 2 / row_bytes.max(1)).max(1);
        match self {
            Self::Postgres => rows.min(most),
            Self::Mysql => {
                let most = most.min(PLACEHOLDERS / placeholders.max(1)).min(rows);
                LENGTHS.into_iter().find(|length| *length <= most).unwrap_or(1)
            }
        }
    }

    /// As [`Self::next_chunk`], where a row may stand twice in a list: how many rows go next, and how long the list is with the last
    /// of them repeated.
    pub(super) fn next_filled_chunk(
        self,
        rows: usize,
        placeholders: usize,
        row_bytes: usize,
        packet: usize,
    ) -> (usize, usize) {
        let next = |rows| self.next_chunk(rows, placeholders, row_bytes, packet);
        let count = next(rows);
        match LENGTHS.into_iter().rev().find(|length| *length >= rows) {
            Some(length) if self == Self::Mysql && next(length) == length => (rows, length),
            _ => (count, count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_lengths_that_fit() {
        let next = |rows, places, bytes| Dialect::Mysql.next_chunk(rows, places, bytes, 16 << 20);
        assert_eq!((next(1000, 9, 500), next(200, 9, 500), next(9, 9, 500)), (256, 192, 8));
        assert_eq!((next(1000, 1_000, 500), next(1000, 9, 4 << 20), next(2, 9, 16 << 20)), (48, 2, 1));
        assert_eq!(Dialect::Postgres.next_chunk(1000, 9, 500, 16 << 20), 1000);
    }

    #[test]
    fn a_list_that_may_repeat_its_last_row_is_filled_up_as_far_as_it_fits() {
        let next = |rows, bytes| Dialect::Mysql.next_filled_chunk(rows, 9, bytes, 16 << 20);
        assert_eq!((next(9, 500), next(200, 500), next(1, 500)), ((9, 12), (200, 256), (1, 1)));
        // More than the longest list, and what would not fit into a packet.
        assert_eq!((next(300, 500), next(3, 4 << 20)), ((256, 256), (2, 2)));
        assert_eq!(Dialect::Postgres.next_filled_chunk(9, 9, 500, 16 << 20), (9, 9));
    }
}
