//! Accumulating some of the samples only.

use super::{Accumulator, At, OutputsWriter, Weighed};
use crate::packed::Reader;
use crate::raw::Output;

/// Accumulates what is computed from the value where there is something, and leaves other samples
/// out: `of_some(|score: &Option<i64>| *score, Mean)`.
pub fn of_some<V, W, A, F>(part: F, inner: A) -> OfSome<F, A>
where
    A: Accumulator<W>,
    F: Fn(&V) -> Option<W>,
{
    OfSome { part, inner }
}

/// See [`of_some`].
#[derive(Clone, Copy, Debug)]
pub struct OfSome<F, A> {
    part: F,
    inner: A,
}

impl<V, W, A, F> Accumulator<V> for OfSome<F, A>
where
    A: Accumulator<W>,
    F: Fn(&V) -> Option<W> + Send + 'static,
{
    type State = A::State;
    const STATE_VERSION: u32 = A::STATE_VERSION;
    const STATE_VERSIONS_READ: &'static [u32] = A::STATE_VERSIONS_READ;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        self.inner.outputs(unit)
    }
    fn retracts(&self) -> bool {
        self.inner.retracts()
    }
    #[inline(always)]
    fn add(&self, state: &mut A::State, sample: Weighed, value: V) {
        if let Some(part) = (self.part)(&value) {
            self.inner.add(state, sample, part);
        }
    }
    #[inline(always)]
    fn merge(&self, into: &mut A::State, from: &A::State) {
        self.inner.merge(into, from);
    }
    fn evaluate(&self, state: &A::State, at: At, out: &mut OutputsWriter) {
        self.inner.evaluate(state, at, out);
    }
    fn is_empty(&self, state: &A::State) -> bool {
        self.inner.is_empty(state)
    }
    fn save(&self, state: &A::State, out: &mut Vec<u8>) {
        self.inner.save(state, out);
    }
    fn load(&self, version: u32, from: &mut Reader<'_>) -> Result<A::State, String> {
        self.inner.load(version, from)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::acc::{Count, Mean};
    use crate::laws;

    #[test]
    fn what_is_left_out_does_not_count_and_the_laws_hold() {
        let values: Vec<Option<i64>> = (0..40).map(|n| (n % 3 != 0).then_some(n)).collect();
        laws::check(|| of_some(|v: &Option<i64>| *v, (Mean, Count)), &values).unwrap();
        let (positive, mut count) = (of_some(|v: &i64| (*v > 0).then_some(()), Count), 0);
        let point = Weighed { weight: 2, time: Default::default(), until: Default::default() };
        [-1, 0, 1, 5].into_iter().for_each(|value| positive.add(&mut count, point, value));
        assert_eq!(count, 4);
    }
}
