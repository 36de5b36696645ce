//! Beginning anew with the same keys and incarnation.

use super::Metric;
use super::windows::Slot;
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
        for number in self.numbers_that_may_vary() {
            if let Some(slot) = self.windows.get_mut(number) {
                slot.emitted = None;
            }
        }
    }

    /// The same, with the next epoch.
    pub fn emit_anew(&mut self) {
        self.forget_emitted();
        self.make_due(self.numbers_that_may_vary());
    }

    /// Empties all slots of a metric over current values, to be filled from the row table. Keys that nothing
    /// fills again give their empty rows at the epoch's end.
    pub fn empty_slots(&mut self) -> Result<(), GuestError> {
        let numbers = self.numbers_that_may_vary();
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

    /// Slots of the guest, ascending, without those that only a new sample changes.
    pub(super) fn numbers_that_may_vary(&self) -> Vec<u32> {
        let slots = self.windows.groups().flat_map(|(_, g)| g.slots());
        let mut numbers: Vec<u32> = slots.filter(|number| self.may_vary(*number)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether a slot may be evaluated without a new sample. What varies with time has in a closed window the
    /// value of its last moment: with another clock there is no way back to it.
    fn may_vary(&self, number: u32) -> bool {
        let told = |slot: &Slot| slot.is_final && slot.emitted.is_some_and(|(_, is_final)| is_final);
        !self.info.time_varying || self.windows.get(number).is_some_and(|slot| !told(slot))
    }
}
