//! Beginning anew with the same keys and incarnation.

use super::Metric;
use weir_types::Micros;
use weir_types::contract::GuestError;

impl Metric {
    /// Makes its next checkpoint a whole one, at the end of the running epoch: what is stored of it so far is
    /// of other cells, or of another component.
    pub fn store_whole(&mut self) {
        self.whole = true;
        let groups: Vec<u32> = self.windows.groups().map(|(id, _)| id).collect();
        for id in groups {
            let Some(group) = self.windows.group_mut(id) else { continue };
            // What lies in the store alone stays there: it is loaded by its state version.
            group.parts.iter_mut().filter(|part| part.cold == 0).for_each(|part| part.touched = true);
        }
    }

    /// Whether a whole checkpoint is asked for; it is not asked for again.
    pub fn take_whole(&mut self) -> bool {
        std::mem::take(&mut self.whole)
    }

    /// Makes every slot give a row again: what is stored of the last one may be older than the last one was,
    /// and a value that returns to it would be taken for emitted.
    pub fn forget_emitted(&mut self) {
        for number in self.numbers_in_use() {
            if let Some(slot) = self.windows.get_mut(number) {
                slot.emitted = None;
            }
        }
    }

    /// The same, with the next epoch.
    pub fn emit_anew(&mut self) {
        self.forget_emitted();
        self.make_due(self.numbers_in_use());
    }

    /// Empties all slots of a metric over current values, to be filled from the row table. Keys that nothing
    /// fills again give their empty rows at the epoch's end.
    pub fn empty_slots(&mut self) -> Result<(), GuestError> {
        let numbers = self.numbers_in_use();
        for number in &numbers {
            if let Some(slot) = self.windows.get_mut(*number) {
                (slot.weight, slot.samples, slot.late) = (0, 0, 0);
                (slot.first, slot.last) = (Micros::MAX, Micros::MIN);
            }
        }
        self.forget_emitted();
        self.instance.release(&numbers)?;
        self.make_due(numbers);
        self.store_whole();
        Ok(())
    }

    fn numbers_in_use(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.windows.groups().flat_map(|(_, g)| g.slots()).collect();
        numbers.sort_unstable();
        numbers
    }
}
