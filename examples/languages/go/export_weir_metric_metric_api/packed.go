package export_weir_metric_metric_api

import (
	"encoding/binary"
	"fmt"
	"math"
	"wit_component/weir_metric_types"
)

// The contract's packed byte lists. Lengths are checked before entries are read.

type (
	i64s  []byte
	u32s  []byte
	flags []byte
)

func (list i64s) at(i int) int64  { return int64(binary.LittleEndian.Uint64(list[8*i:])) }
func (list u32s) at(i int) uint32 { return binary.LittleEndian.Uint32(list[4*i:]) }
func (list u32s) len() int        { return len(list) / 4 }

// Bit i; an empty list is all ones.
func (list flags) at(i int) bool { return len(list) == 0 || list[i/8]>>(i%8)&1 == 1 }

// A list of what has a length of its own.
func sized(what string, list []byte, due int) error {
	if len(list) != due {
		return fmt.Errorf("%s: %d bytes where %d are due", what, len(list), due)
	}
	return nil
}

func whole(what string, list []byte) error { return sized(what, list, len(list)/4*4) }

func checkBits(what string, list []byte, n int) error {
	if len(list) == 0 {
		return nil
	}
	return sized(what, list, (n+7)/8)
}

// A column with one value for each of n rows.
func scalars(what string, column weir_metric_types.Column, n int) (i64s, flags, error) {
	if err := sized(what, column.Values, 8*n); err != nil {
		return nil, nil, err
	}
	return column.Values, column.Validity, checkBits(what, column.Validity, n)
}

// Offsets of n entries that together have `total` bytes.
func offsets(what string, list []byte, n, total int) (u32s, error) {
	if err := sized(what, list, 4*(n+1)); err != nil {
		return nil, err
	}
	ends := u32s(list)
	for i := range n {
		if ends.at(i) > ends.at(i+1) {
			return nil, fmt.Errorf("%s: they fall", what)
		}
	}
	if ends.at(0) != 0 || ends.at(n) != uint32(total) {
		return nil, fmt.Errorf("%s: they do not go from 0 to %d", what, total)
	}
	return ends, nil
}

// The place of each text of a dictionary in a list of words; -1 where it is none of them. Texts are compared once
// for a batch, rows by number.
func places(dictionary weir_metric_types.Dictionary, words []string) ([]int, error) {
	if len(dictionary.Offsets) == 0 {
		return nil, nil
	}
	n := len(dictionary.Offsets)/4 - 1
	ends, err := offsets("dictionary", dictionary.Offsets, n, len(dictionary.Bytes))
	if err != nil {
		return nil, err
	}
	found := make([]int, n)
	for i := range n {
		found[i] = -1
		for place, word := range words {
			if string(dictionary.Bytes[ends.at(i):ends.at(i+1)]) == word {
				found[i] = place
			}
		}
	}
	return found, nil
}

func putI64(out []byte, value int64) []byte {
	return binary.LittleEndian.AppendUint64(out, uint64(value))
}
func putU32(out []byte, value uint32) []byte  { return binary.LittleEndian.AppendUint32(out, value) }
func putF64(out []byte, value float64) []byte { return putI64(out, int64(math.Float64bits(value))) }

// A difference of two times as the nearest i64: a nonsense time in a row must not end the metric.
func minus(a, b int64) int64 {
	if c := a - b; (c < a) == (b > 0) {
		return c
	}
	return nearest(a)
}

func plus(a, b int64) int64 {
	if c := a + b; (c > a) == (b > 0) {
		return c
	}
	return nearest(a)
}

// The end of i64 on the side of a number that went beyond it.
func nearest(a int64) int64 {
	if a < 0 {
		return math.MinInt64
	}
	return math.MaxInt64
}
