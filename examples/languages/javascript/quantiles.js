// Quantiles from fixed buckets, 64 an octave: the arithmetic of sdk/rust/src/acc/quantiles.rs, so that both give the
// same bytes. A bucket's middle is at most 1/128 off any value in it.

/** How many bits a whole Number has that is not negative. */
const bitLength = (n) => (n >= 2 ** 32 ? 64 - Math.clz32(n / 2 ** 32) : 32 - Math.clz32(n));

/** 0 for 0, positive for positive values, mirrored for negative ones; ascending with the value. */
export function bucket(value) {
  const near = Number(value);
  const magnitude = near < 0 ? -near : near;
  let index;
  if (magnitude <= Number.MAX_SAFE_INTEGER) {
    const shift = Math.max(0, bitLength(magnitude) - 7);
    index = shift * 64 + Math.floor(magnitude / 2 ** shift);
  } else {
    // What a Number does not hold exactly.
    const exact = value < 0n ? -value : value;
    const shift = exact.toString(2).length - 7;
    index = shift * 64 + Number(exact >> BigInt(shift));
  }
  return near < 0 ? -index : index;
}

function middle(bucket) {
  const index = Math.abs(bucket);
  // From 128 on, each 64 indexes double the width of a bucket.
  const shift = BigInt(index < 128 ? 0 : (index >> 6) - 1);
  const magnitude = ((BigInt(index) - (shift << 6n)) << shift) + ((1n << shift) - 1n) / 2n;
  return bucket < 0 ? -magnitude : magnitude;
}

/** The middle of the bucket of the k-th least value, k = max(1, ⌈q·n⌉), for each q; null of nothing. */
export function quantiles(counts, millionths) {
  const ascending = [...counts].sort((a, b) => a[0] - b[0]);
  const total = ascending.reduce((sum, [, count]) => sum + count, 0n);
  return millionths.map((q) => {
    let left = (q * total + 999_999n) / 1_000_000n;
    if (left < 1n) left = 1n;
    for (const [number, count] of ascending) {
      left -= count;
      if (left <= 0n) return middle(number);
    }
    return null;
  });
}
