//! Several accumulators as one: tuples, one part of the value, other names.

use super::{Accumulator, At, OutputsWriter, Weighed};
use crate::packed::Reader;
use crate::raw::Output;

/// Accumulates a part of the value, or something computed from it:
/// `of(|v: &(Span, Span)| v.1, Mean)`.
pub fn of<V, W, A, F>(part: F, inner: A) -> Of<F, A>
where
    A: Accumulator<W>,
    F: Fn(&V) -> W,
{
    Of { part, inner }
}

/// See [`of`].
#[derive(Clone, Copy, Debug)]
pub struct Of<F, A> {
    part: F,
    inner: A,
}

impl<V, W, A, F> Accumulator<V> for Of<F, A>
where
    A: Accumulator<W>,
    F: Fn(&V) -> W + Send + 'static,
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
        self.inner.add(state, sample, (self.part)(&value));
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

/// Gives the outputs of an accumulator other names and one description:
/// `Named("mean_business", "Mean in business hours.", Mean)`. With several outputs each gets the name
/// as a prefix.
#[derive(Clone, Copy, Debug)]
pub struct Named<A>(pub &'static str, pub &'static str, pub A);

impl<V, A: Accumulator<V>> Accumulator<V> for Named<A> {
    type State = A::State;
    const STATE_VERSION: u32 = A::STATE_VERSION;
    const STATE_VERSIONS_READ: &'static [u32] = A::STATE_VERSIONS_READ;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        let mut outputs = self.2.outputs(unit);
        let several = outputs.len() > 1;
        for output in &mut outputs {
            output.name = if several { format!("{}_{}", self.0, output.name) } else { self.0.into() };
            if !several {
                output.description = self.1.into();
            }
        }
        outputs
    }
    fn retracts(&self) -> bool {
        self.2.retracts()
    }
    #[inline(always)]
    fn add(&self, state: &mut A::State, sample: Weighed, value: V) {
        self.2.add(state, sample, value);
    }
    #[inline(always)]
    fn merge(&self, into: &mut A::State, from: &A::State) {
        self.2.merge(into, from);
    }
    fn evaluate(&self, state: &A::State, at: At, out: &mut OutputsWriter) {
        self.2.evaluate(state, at, out);
    }
    fn is_empty(&self, state: &A::State) -> bool {
        self.2.is_empty(state)
    }
    fn save(&self, state: &A::State, out: &mut Vec<u8>) {
        self.2.save(state, out);
    }
    fn load(&self, version: u32, from: &mut Reader<'_>) -> Result<A::State, String> {
        self.2.load(version, from)
    }
}

/// A tuple's version changes with any of its parts', and only the present one is read: an accumulator
/// that must read older states stands alone.
const fn version_of(parts: &[u32]) -> u32 {
    let mut version = 1;
    let mut i = 0;
    while i < parts.len() {
        version += parts[i] - 1;
        i += 1;
    }
    version
}

macro_rules! tuple {
    ($(($name:ident $at:tt)),+) => {
        impl<V: Copy, $($name: Accumulator<V>),+> Accumulator<V> for ($($name,)+) {
            type State = ($($name::State,)+);
            const STATE_VERSION: u32 = version_of(&[$($name::STATE_VERSION),+]);
            fn outputs(&self, unit: &str) -> Vec<Output> {
                let mut outputs = Vec::new();
                $(outputs.extend(self.$at.outputs(unit));)+
                outputs
            }
            fn retracts(&self) -> bool {
                $(self.$at.retracts())&&+
            }
            #[inline(always)]
            fn add(&self, state: &mut Self::State, sample: Weighed, value: V) {
                $(self.$at.add(&mut state.$at, sample, value);)+
            }
            #[inline(always)]
            fn merge(&self, into: &mut Self::State, from: &Self::State) {
                $(self.$at.merge(&mut into.$at, &from.$at);)+
            }
            fn evaluate(&self, state: &Self::State, at: At, out: &mut OutputsWriter) {
                $(self.$at.evaluate(&state.$at, at, out);)+
            }
            fn is_empty(&self, state: &Self::State) -> bool {
                $(self.$at.is_empty(&state.$at))&&+
            }
            fn save(&self, state: &Self::State, out: &mut Vec<u8>) {
                $(self.$at.save(&state.$at, out);)+
            }
            fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Self::State, String> {
                Ok(($(self.$at.load($name::STATE_VERSION, from)?,)+))
            }
        }
    };
}
tuple!((A 0));
tuple!((A 0), (B 1));
tuple!((A 0), (B 1), (C 2));
tuple!((A 0), (B 1), (C 2), (D 3));
tuple!((A 0), (B 1), (C 2), (D 3), (E 4));
tuple!((A 0), (B 1), (C 2), (D 3), (E 4), (F 5));
tuple!((A 0), (B 1), (C 2), (D 3), (E 4), (F 5), (G 6));
tuple!((A 0), (B 1), (C 2), (D 3), (E 4), (F 5), (G 6), (H 7));
