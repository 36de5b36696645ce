"""Quantiles from fixed buckets, 64 an octave: the arithmetic of sdk/rust/src/acc/quantiles.rs, so that
both give the same bytes. A bucket's middle is at most 1/128 off any value in it."""


def bucket(value):
    """0 for 0, positive for positive values, mirrored for negative ones; ascending with the value."""
    magnitude = -value if value < 0 else value
    shift = magnitude.bit_length() - 7
    index = magnitude if shift <= 0 else (shift << 6) + (magnitude >> shift)
    return -index if value < 0 else index


def middle(bucket):
    index = -bucket if bucket < 0 else bucket
    # From 128 on, each 64 indexes double the width of a bucket.
    shift = 0 if index < 128 else (index >> 6) - 1
    magnitude = ((index - (shift << 6)) << shift) + ((1 << shift) - 1) // 2
    return -magnitude if bucket < 0 else magnitude


def quantile(counts, millionths):
    """The middle of the bucket of the k-th least value, k = max(1, ⌈q·n⌉); None of nothing."""
    total = sum(counts.values())
    left = max(1, (millionths * total + 999_999) // 1_000_000)
    for number in sorted(counts):
        left -= counts[number]
        if left <= 0:
            return middle(number)
    return None
