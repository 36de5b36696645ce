//! Positions as a MySQL binlog gives them: one order over all tables and partitions.

use crate::dice::Dice;

/// A binlog file is closed when it is longer than this.
const FILE_BYTES: u64 = 64 << 20;
/// Changes further apart than this are not of one transaction.
const TRANSACTION_MS: i64 = 1_000;

/// Where a row change stands in the binlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub file: u32,
    pub pos: u64,
    /// Number of the row within its row event.
    pub row: u32,
    /// Sequence number of the transaction's gtid.
    pub gtid: u64,
    /// When the transaction was committed, in whole seconds, as MariaDB tells it.
    pub second: i64,
    /// Number of the change within its transaction, from 1.
    pub total_order: u32,
    /// The same among the changes of its table.
    pub table_order: u32,
}

#[derive(Debug)]
pub struct Binlog {
    dice: Dice,
    at: Position,
    /// Changes that the running transaction will still hold.
    left: u64,
    began_ms: i64,
    last: (&'static str, char),
    orders: Vec<(&'static str, u32)>,
}

impl Binlog {
    pub fn new(dice: Dice) -> Binlog {
        let at =
            Position { file: 1, pos: 4_273, row: 0, gtid: 15, second: 0, total_order: 0, table_order: 0 };
        Binlog { dice, at, left: 0, began_ms: 0, last: ("", ' '), orders: Vec::new() }
    }

    /// Where the binlog ends: the position of a snapshot.
    pub fn end(&self) -> Position {
        self.at
    }

    /// The position of the next change, whose row event has about `bytes`.
    pub fn append(&mut self, table: &'static str, op: char, at_ms: i64, bytes: u64) -> Position {
        if self.left == 0 || at_ms - self.began_ms > TRANSACTION_MS {
            self.begin(at_ms);
        } else {
            self.at.total_order += 1;
        }
        self.left -= 1;
        // One statement over several rows gives one event.
        let same_event = self.at.total_order > 1 && self.last == (table, op) && self.dice.percent(50.0);
        if same_event {
            self.at.row += 1;
        } else {
            self.at.row = 0;
            self.at.pos += bytes;
        }
        self.last = (table, op);
        self.count(table);
        self.at
    }

    /// A second change of the same event and row: a changed primary key is a delete and an insert.
    pub fn twin(&mut self, table: &'static str) -> Position {
        self.at.total_order += 1;
        self.count(table);
        self.at
    }

    fn begin(&mut self, at_ms: i64) {
        if self.at.pos > FILE_BYTES {
            self.at.file += 1;
            self.at.pos = 4;
        }
        self.at.gtid += 1;
        self.at.pos += 42;
        self.at.total_order = 1;
        self.at.second = at_ms.div_euclid(1_000);
        self.left = self.dice.pick(&[1, 1, 1, 2, 3, 5]);
        self.began_ms = at_ms;
        self.orders.clear();
    }

    fn count(&mut self, table: &'static str) {
        match self.orders.iter_mut().find(|(name, _)| *name == table) {
            Some((_, order)) => {
                *order += 1;
                self.at.table_order = *order;
            }
            None => {
                self.orders.push((table, 1));
                self.at.table_order = 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_only_grow_and_a_file_holds_whole_transactions() {
        let mut binlog = Binlog::new(Dice::new(3));
        let mut last = (0, 0, 0);
        let mut files = std::collections::BTreeMap::new();
        for n in 0..20_000 {
            let table = if n % 3 == 0 { "ticket" } else { "call_record" };
            let at = binlog.append(table, 'u', n * 10, 20_000);
            let now = (at.file, at.pos, at.row);
            assert!(now > last, "{now:?} after {last:?}");
            last = now;
            assert_eq!(*files.entry(at.gtid).or_insert(at.file), at.file);
        }
        assert!(last.0 > 3, "the file changed");
    }
}
