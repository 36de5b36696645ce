"""Descriptions and packed columns, as the metrics write them."""

from packed import pack_bits, pack_f64s, pack_i64s, pack_u32s
from wit_world.imports.types import (
    Column,
    Dictionary,
    Field,
    Input,
    MetricInfo,
    Output,
    RowMemory,
    Samples,
    ValueType,
    Window_Day,
    Window_Tumbling,
)

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
PERIODS = [Window_Tumbling(MINUTE), Window_Tumbling(15 * MINUTE), Window_Tumbling(HOUR), Window_Day()]
NO_TEXTS = Dictionary(offsets=b"", bytes=b"")


def field(name, value_type=ValueType.INT, nullable=False):
    return Field(name=name, value_type=value_type, nullable=nullable)


def output(name, description, value_type=ValueType.FLOAT, nullable=False, unit="s"):
    return Output(
        name=name, value_type=value_type, is_list=False, nullable=nullable, unit=unit, description=description
    )


COUNT = output("count", "How many samples there are.", ValueType.INT, unit="1")


def describe(name, title, description, source, fields, dimensions, outputs, watches=(), **other):
    usual = dict(
        unit="1",
        owner="service-desk",
        version="0.1.0",
        deprecated=None,
        replaced_by=None,
        dimension_sets=[],
        windows=PERIODS,
        values=[],
        computed_dimensions=[],
        time_varying=False,
        rows=RowMemory.LIVE,
        state_version=1,
        state_versions_read=[1],
        meaning_version=1,
        extra=[],
    )
    return MetricInfo(
        name=name,
        title=title,
        description=description,
        inputs=[Input(source=source, fields=fields, watches=list(watches))],
        dimensions=dimensions,
        outputs=outputs,
        **{**usual, **other},
    )


def ints(values):
    return Column(validity=b"", values=pack_i64s(values), offsets=b"")


def floats(values):
    """None where there is no value; -0.0 and 0.0 are one number, so they are one bit pattern."""
    there = pack_bits([value is not None for value in values])
    return Column(validity=there, values=pack_f64s([(value or 0.0) + 0.0 for value in values]), offsets=b"")


def samples(rows, times=(), values=(), untils=(), before=False, rejects=()):
    """Samples of weight 1, all with the dimensions of the after image or all with those of the before image."""
    return Samples(
        rows=pack_u32s(rows),
        weights=b"",
        images=bytes((len(rows) + 7) // 8) if before else b"",
        times=pack_i64s(times),
        times_validity=b"",
        untils=pack_i64s(untils),
        values=[ints(column) for column in values],
        computed=[],
        dictionaries=[NO_TEXTS] * len(values),
        rejects=list(rejects),
    )
