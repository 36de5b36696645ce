package export_weir_metric_metric_api

import (
	"errors"
	"math"
	"math/bits"
)

// A signed number of 128 bits: sums of products of 64-bit numbers.
type wide struct {
	high int64
	low  uint64
}

func wideOf(value int64) wide { return wide{value >> 63, uint64(value)} }

func (a wide) plus(b wide) wide {
	low, carry := bits.Add64(a.low, b.low, 0)
	high, _ := bits.Add64(uint64(a.high), uint64(b.high), carry)
	return wide{int64(high), low}
}

func (a wide) minus(b wide) wide {
	low, borrow := bits.Sub64(a.low, b.low, 0)
	high, _ := bits.Sub64(uint64(a.high), uint64(b.high), borrow)
	return wide{int64(high), low}
}

func product(a, b int64) wide {
	high, low := bits.Mul64(uint64(a), uint64(b))
	// The unsigned product is too great by the other factor · 2⁶⁴ for each factor below 0.
	signed := int64(high) - (a>>63)&b - (b>>63)&a
	return wide{signed, low}
}

// The nearest float64, ties to even.
func (a wide) float() float64 {
	if a.high == int64(a.low)>>63 {
		return float64(int64(a.low))
	}
	magnitude := a
	if a.high < 0 {
		magnitude = wide{}.minus(a)
	}
	// 64 leading bits are more than a float64 holds; whatever is beyond them matters for ties only.
	shift := 64 - bits.LeadingZeros64(uint64(magnitude.high))
	top := uint64(magnitude.high)<<(64-shift) | magnitude.low>>shift
	if magnitude.low<<(64-shift) != 0 {
		top |= 1
	}
	value := math.Ldexp(float64(top), shift)
	if a.high < 0 {
		return -value
	}
	return value
}

// Appends an unsigned number in groups of 7 bits, least significant first.
func putVarint(out []byte, high, low uint64) []byte {
	for high != 0 || low >= 0x80 {
		out = append(out, byte(low)|0x80)
		low = low>>7 | high<<57
		high >>= 7
	}
	return append(out, byte(low))
}

// Appends a signed number, small magnitudes short.
func putSigned(out []byte, value wide) []byte {
	sign := uint64(value.high >> 63)
	return putVarint(out, (uint64(value.high)<<1|value.low>>63)^sign, value.low<<1^sign)
}

// Reads what the two functions above have written. The first fault stays.
type reader struct {
	rest []byte
	err  error
}

func (from *reader) byte() byte {
	if len(from.rest) == 0 {
		from.err = errors.New("the state ends early")
		return 0
	}
	first := from.rest[0]
	from.rest = from.rest[1:]
	return first
}

func (from *reader) varint() (high, low uint64) {
	for shift := 0; shift < 128; shift += 7 {
		group := from.byte()
		seven := uint64(group & 0x7f)
		if shift < 64 {
			low |= seven << shift
			// Go shifts by 64 and more to 0, so the first nine groups leave the high half alone.
			high |= seven >> (64 - shift)
		} else {
			high |= seven << (shift - 64)
		}
		if group < 0x80 {
			return high, low
		}
	}
	from.err = errors.New("a number in the state is too long")
	return 0, 0
}

func (from *reader) signed() wide {
	high, low := from.varint()
	sign := -(low & 1)
	return wide{int64(high>>1 ^ sign), (low>>1 | high<<63) ^ sign}
}

func (from *reader) int() int64 { return int64(from.signed().low) }
