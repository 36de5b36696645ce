//! Long lists of slots go to the guest in portions. The time limit of a call then bounds what a slot may cost,
//! however many slots an epoch has: a language that needs microseconds a slot is slow, and not broken.

use weir_types::contract::{States, pack};

/// Slots, or pairs of slots, of one call at the most: as wit/v0.1 promises.
pub const SLOTS_PER_CALL: usize = 16_384;

/// Saved states of one portion after those of the ones before.
pub fn append(all: &mut States, portion: States) -> Result<(), String> {
    if all.offsets.is_empty() {
        *all = portion;
        return Ok(());
    }
    let before = u32::try_from(all.bytes.len()).ok();
    for at in 1..portion.offsets.len() / 4 {
        let end = before.and_then(|before| before.checked_add(pack::u32_at(&portion.offsets, at)));
        let end = end.ok_or("its states have more than 4 GiB")?;
        all.offsets.extend_from_slice(&end.to_le_bytes());
    }
    all.bytes.extend_from_slice(&portion.bytes);
    Ok(())
}

/// The states of `count` slots from the `first` on.
pub fn part(states: &States, first: usize, count: usize) -> States {
    let start = pack::u32_at(&states.offsets, first);
    let ends: Vec<u32> =
        (first..=first + count).map(|at| pack::u32_at(&states.offsets, at) - start).collect();
    let last = ends.last().copied().unwrap_or(0);
    let bytes = states.bytes[start as usize..(start + last) as usize].to_vec();
    States { offsets: pack::u32s(&ends), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_portions_are_the_states_as_a_whole() {
        let lengths = [3u32, 0, 5, 1, 0, 0, 7, 2];
        let offsets: Vec<u32> = std::iter::once(0)
            .chain(lengths.iter().scan(0, |end, n| {
                *end += n;
                Some(*end)
            }))
            .collect();
        let whole = States { offsets: pack::u32s(&offsets), bytes: (0..18).collect() };
        for size in 1..=lengths.len() {
            let mut all = States::default();
            for first in (0..lengths.len()).step_by(size) {
                append(&mut all, part(&whole, first, size.min(lengths.len() - first))).expect("they fit");
            }
            assert_eq!(all, whole, "portions of {size}");
        }
    }
}
