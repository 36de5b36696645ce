"""The component: calls of the contract, on the one metric that this instance was opened for."""

import metrics
from componentize_py_types import Err
from contract import NO_TEXTS
from packed import Reader, Wrong, i64s, offsets, pack_u32s, u32s
from wit_world import exports
from wit_world.imports.types import Outputs, States

MOST_SLOTS = 1 << 26


def told(call):
    """What is wrong with a call is its answer, not a crash."""

    def answer(*args):
        try:
            return call(*args)
        except Wrong as why:
            raise Err(str(why)) from why

    return answer


class Slots:
    """States by slot. A slot that is not there is empty."""

    def __init__(self, state):
        self.state, self.states = state, {}

    def writable(self, slots):
        if slots and (min(slots) == 0 or max(slots) >= MOST_SLOTS):
            raise Wrong("slot 0 is always empty, and slots are dense")

    def at(self, slot):
        state = self.states.get(slot)
        if state is None:
            state = self.states[slot] = self.state()
        return state


# The instance's metric and its slots; `open` fills them.
metric, held = None, None


class MetricApi(exports.MetricApi):
    def describe(self):
        return [each.info for each in metrics.ALL.values()]

    @told
    def open(self, name, config):
        global metric, held
        if name not in metrics.ALL:
            raise Wrong(f"no metric is called {name}")
        metric = metrics.ALL[name](dict(reversed(config)))
        held = Slots(metric.state)

    @told
    def observe(self, number, changes):
        if number != 0 or not hasattr(metric, "observe"):
            raise Wrong("the metric has one input, and is one over current values or was asked for another")
        return metric.observe(changes)

    @told
    def observe_image(self, number, images):
        if number != 0 or not hasattr(metric, "observe_image"):
            raise Wrong("the metric has one input, and is one over events or was asked for another")
        return metric.observe_image(images)

    @told
    def accumulate(self, slots, weights, times, untils, values, dictionaries):
        slots = u32s("slots", slots)
        n = len(slots)
        held.writable(slots)
        weights = i64s("weights", weights, n)
        if not metric.state.retracts and n and min(weights) < 0:
            raise Wrong("a negative weight, but the metric takes no sample back")
        starts = i64s("times", times, n) if times else [0] * n
        ends = i64s("untils", untils, n) if untils else starts
        if len(values) != metric.state.VALUES:
            raise Wrong(f"{len(values)} columns of values")
        columns = [i64s("values", column.values, n) for column in values]
        metric.state.add_all(held.at, slots, weights, starts, ends, columns)

    @told
    def merge(self, into, from_):
        from_ = u32s("from", from_)
        into = u32s("into", into, len(from_))
        held.writable(into)
        for target, source in zip(into, from_):
            if source in held.states:
                held.at(target).merge(held.states[source])

    @told
    def evaluate(self, slots, window_starts, window_ends, now):
        nothing = metric.state()
        states = [held.states.get(slot, nothing) for slot in u32s("slots", slots)]
        columns = metric.state.columns(states)
        return Outputs(columns=columns, dictionaries=[NO_TEXTS] * len(columns))

    @told
    def save(self, slots):
        out, ends = bytearray(), [0]
        for slot in u32s("slots", slots):
            state = held.states.get(slot)
            if state is not None and not state.is_empty():
                state.save(out)
            ends.append(len(out))
        return States(offsets=pack_u32s(ends), bytes=bytes(out))

    @told
    def load(self, slots, states, state_version):
        if state_version != 1:
            raise Wrong(f"state version {state_version} is none that this metric reads")
        slots = u32s("slots", slots)
        held.writable(slots)
        ends = offsets("states", states.offsets, len(slots), len(states.bytes))
        for i, slot in enumerate(slots):
            held.states.pop(slot, None)
            if ends[i] < ends[i + 1]:
                reader = Reader(states.bytes[ends[i] : ends[i + 1]])
                held.at(slot).load(reader)
                reader.end()

    @told
    def release(self, slots):
        for slot in u32s("slots", slots):
            held.states.pop(slot, None)
