"""The contract's packed byte lists: every length is checked before an entry is read."""

import sys
from array import array

assert sys.byteorder == "little", "memoryview.cast reads in the machine's order, which WebAssembly makes little"

# The eight bits of each byte, least significant first.
BITS = [tuple(byte >> bit & 1 for bit in range(8)) for byte in range(256)]


class Wrong(Exception):
    """What came in breaks the contract; the text is for the operator."""


def i64s(what, data, n):
    """A packed list that must have n entries of 8 bytes."""
    if len(data) != 8 * n:
        raise Wrong(f"{what}: {len(data)} bytes where {8 * n} are due")
    return memoryview(data).cast("q")


def u32s(what, data, n=None):
    """A packed list of 4-byte entries, n of them if n is known."""
    if len(data) % 4 or (n is not None and len(data) != 4 * n):
        raise Wrong(f"{what}: {len(data)} bytes are no list of {n if n is not None else 'u32'}")
    return memoryview(data).cast("I")


def bits(what, data, n):
    """A bit list as n numbers 0 or 1; an empty one is all ones."""
    if not data:
        return [1] * n
    if len(data) != (n + 7) // 8:
        raise Wrong(f"{what}: {len(data)} bytes for {n} bits")
    return [bit for byte in data for bit in BITS[byte]][:n]


def offsets(what, data, n, total):
    """Offsets of n entries that together have `total` bytes."""
    ends = u32s(what, data, n + 1)
    if ends[0] != 0 or ends[n] != total or any(a > b for a, b in zip(ends, ends[1:])):
        raise Wrong(f"{what}: they do not rise from 0 to {total}")
    return ends


def texts(dictionary):
    """The entries of a dictionary, as bytes."""
    if not dictionary.offsets:
        return []
    n = len(dictionary.offsets) // 4 - 1
    ends = offsets("dictionary", dictionary.offsets, n, len(dictionary.bytes))
    return [dictionary.bytes[ends[i] : ends[i + 1]] for i in range(n)]


def pack_i64s(values):
    return array("q", values).tobytes()


def pack_f64s(values):
    return array("d", values).tobytes()


def pack_u32s(values):
    return array("I", values).tobytes()


def pack_bits(values):
    """Bits, or nothing where all are ones."""
    if all(values):
        return b""
    number = int("".join("1" if value else "0" for value in reversed(values)), 2)
    return number.to_bytes((len(values) + 7) // 8, "little")


LEAST, GREATEST = -(1 << 63), (1 << 63) - 1


def saturated(value):
    """A difference of two times as the nearest i64: a nonsense time in a row must not end the metric."""
    return value if LEAST <= value <= GREATEST else LEAST if value < 0 else GREATEST


def put_varint(out, value):
    """Appends an unsigned number in groups of 7 bits, least significant first."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_signed(out, value):
    """Appends a signed number, small magnitudes short."""
    put_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)


class Reader:
    """Reads what the two functions above have written."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        if self.at >= len(self.data):
            raise Wrong("the state ends early")
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 126:
                raise Wrong("a number in the state is too long")

    def signed(self):
        raw = self.varint()
        return -(raw + 1 >> 1) if raw & 1 else raw >> 1

    def end(self):
        if self.at != len(self.data):
            raise Wrong("a state has bytes too many")
