"""What a slot holds, for each kind of metric. Sums are integers, so that any order and grouping gives the
same bytes; division happens once, in `columns`."""

from collections import Counter

from contract import floats, ints
from packed import Wrong, put_signed, put_varint
from quantiles import bucket, quantile

# A weight of 1, packed.
ONE = (1).to_bytes(8, "little")


class Count:
    """How many samples."""

    VALUES = 0
    retracts = True
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0

    @staticmethod
    def add_all(at, slots, weights, starts, untils, columns):
        # Nearly always each sample counts once, and then nothing is done for a single one.
        if weights.tobytes() == ONE * len(weights):
            for slot, n in Counter(slots).items():
                at(slot).n += n
            return
        for slot, weight in zip(slots, weights):
            at(slot).n += weight

    def merge(self, other):
        self.n += other.n

    def is_empty(self):
        return self.n == 0

    def save(self, out):
        put_signed(out, self.n)

    def load(self, reader):
        self.n = reader.signed()

    @staticmethod
    def columns(states):
        return [ints([state.n for state in states])]


class Waits:
    """Mean, median, ninth decile, maximum and number of waits, and their mean in business hours."""

    VALUES = 2
    retracts = False
    __slots__ = ("sum", "business", "n", "greatest", "counts")

    def __init__(self):
        self.sum = self.business = self.n = 0
        self.greatest = None
        self.counts = {}

    @staticmethod
    def add_all(at, slots, weights, starts, untils, columns):
        for slot, weight, wait, business in zip(slots, weights, *columns):
            state = at(slot)
            state.sum += wait * weight
            state.business += business * weight
            state.n += weight
            if state.greatest is None or wait > state.greatest:
                state.greatest = wait
            number = bucket(wait)
            state.counts[number] = state.counts.get(number, 0) + weight

    def merge(self, other):
        self.sum += other.sum
        self.business += other.business
        self.n += other.n
        if other.greatest is not None and (self.greatest is None or other.greatest > self.greatest):
            self.greatest = other.greatest
        for number, count in other.counts.items():
            self.counts[number] = self.counts.get(number, 0) + count

    def is_empty(self):
        return self.n == 0

    def save(self, out):
        put_signed(out, self.sum)
        put_signed(out, self.n)
        put_varint(out, len(self.counts))
        last = 0
        for number in sorted(self.counts):
            put_signed(out, number - last)
            put_signed(out, self.counts[number])
            last = number
        out.append(1)
        put_signed(out, self.greatest)
        put_signed(out, self.n)
        put_signed(out, self.business)
        put_signed(out, self.n)

    def load(self, reader):
        self.sum, self.n = reader.signed(), reader.signed()
        last = 0
        for _ in range(reader.varint()):
            last += reader.signed()
            self.counts[last] = reader.signed()
        if reader.byte() != 1:
            raise Wrong("a state of waits without a greatest one")
        self.greatest, n = reader.signed(), reader.signed()
        self.business, again = reader.signed(), reader.signed()
        if n != self.n or again != self.n:
            raise Wrong("a state whose numbers of samples differ")

    @staticmethod
    def columns(states):
        def seconds(value):
            return None if value is None else float(value) / 1e6

        def mean(total, n):
            # In this order: the quotient of two integers would be rounded in another way.
            return float(total) / float(n) / 1e6 if n > 0 else None

        return [
            floats([mean(state.sum, state.n) for state in states]),
            floats([seconds(quantile(state.counts, 500_000)) for state in states]),
            floats([seconds(quantile(state.counts, 900_000)) for state in states]),
            floats([seconds(state.greatest) for state in states]),
            ints([state.n for state in states]),
            floats([mean(state.business, state.n) for state in states]),
        ]


class Spent:
    """Time spent in each of five states."""

    VALUES = 1
    retracts = True
    STATES = 5
    __slots__ = ("micros",)

    def __init__(self):
        self.micros = [0] * self.STATES

    @staticmethod
    def add_all(at, slots, weights, starts, untils, columns):
        for slot, weight, start, until, state in zip(slots, weights, starts, untils, *columns):
            if not 0 <= state < Spent.STATES:
                raise Wrong(f"there is no state {state}")
            at(slot).micros[state] += (until - start) * weight

    def merge(self, other):
        self.micros = [a + b for a, b in zip(self.micros, other.micros)]

    def is_empty(self):
        return not any(self.micros)

    def save(self, out):
        for micros in self.micros:
            put_signed(out, micros)

    def load(self, reader):
        self.micros = [reader.signed() for _ in range(self.STATES)]

    @staticmethod
    def columns(states):
        return [floats([float(state.micros[i]) / 1e6 for state in states]) for i in range(Spent.STATES)]
