package export_weir_metric_metric_api

import (
	"maps"
	"math/bits"
	"slices"
)

// Quantiles from fixed buckets, 64 an octave: the arithmetic of sdk/rust/src/acc/quantiles.rs, so that both give the
// same bytes. A bucket's middle is at most 1/128 off any value in it.

// Counts by bucket.
type counts map[int16]int64

func bucket(value int64) int16 {
	magnitude := uint64(value)
	if value < 0 {
		magnitude = -magnitude
	}
	shift := max(0, bits.Len64(magnitude)-7)
	index := int16(shift<<6) + int16(magnitude>>shift)
	if value < 0 {
		return -index
	}
	return index
}

func middle(bucket int16) float64 {
	index := uint64(max(bucket, -bucket))
	shift := uint64(0)
	// From 128 on, each 64 indexes double the width of a bucket.
	if index >= 128 {
		shift = index>>6 - 1
	}
	magnitude := float64((index-shift<<6)<<shift + (1<<shift-1)/2)
	if bucket < 0 {
		return -magnitude
	}
	return magnitude
}

// The middle of the bucket of the k-th least value, k = max(1, ⌈q·n⌉), for each q; nothing must not be asked.
func (c counts) quantiles(millionths ...int64) []float64 {
	ascending := slices.Sorted(maps.Keys(c))
	total := int64(0)
	for _, count := range c {
		total += count
	}
	found := make([]float64, len(millionths))
	for i, q := range millionths {
		// ⌈q·n⌉ without a product beyond 64 bits: n is split at a million.
		left := max(1, q*(total/1_000_000)+(q*(total%1_000_000)+999_999)/1_000_000)
		for _, number := range ascending {
			if left -= c[number]; left <= 0 {
				found[i] = middle(number)
				break
			}
		}
	}
	return found
}
