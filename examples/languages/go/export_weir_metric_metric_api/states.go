package export_weir_metric_metric_api

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// One sample on its way into a slot.
type sample struct {
	weight, start, until int64
	values               [2]int64
}

// What a slot holds. Sums are integers, so that any order and grouping gives the same bytes; division happens once,
// in evaluate.
type state interface {
	add(s sample) error
	merge(from state)
	// Writes one value for each output.
	evaluate(outputs []outputColumn)
	isEmpty() bool
	save(out []byte) []byte
	load(from *reader)
}

// How many samples.
type count struct{ n int64 }

func (c *count) add(s sample) error              { c.n += s.weight; return nil }
func (c *count) merge(from state)                { c.n += from.(*count).n }
func (c *count) evaluate(outputs []outputColumn) { outputs[0].int(c.n) }
func (c *count) isEmpty() bool                   { return c.n == 0 }
func (c *count) save(out []byte) []byte          { return putSigned(out, wideOf(c.n)) }
func (c *count) load(from *reader)               { c.n = from.int() }

// Mean, median, ninth decile, maximum and number of waits, and their mean in business hours.
type waits struct {
	sum, business wide
	n, greatest   int64
	counts        counts
}

func (w *waits) add(s sample) error {
	if s.weight < 0 {
		return errors.New("a negative weight, but the metric takes no sample back")
	}
	w.join(product(s.values[0], s.weight), product(s.values[1], s.weight), s.weight, s.values[0])
	w.counts[bucket(s.values[0])] += s.weight
	return nil
}

func (w *waits) merge(from state) {
	other := from.(*waits)
	if other.n == 0 {
		return
	}
	w.join(other.sum, other.business, other.n, other.greatest)
	for number, n := range other.counts {
		w.counts[number] += n
	}
}

func (w *waits) join(sum, business wide, n, greatest int64) {
	if w.n == 0 {
		w.counts = counts{}
		w.greatest = greatest
	}
	w.greatest = max(w.greatest, greatest)
	w.sum, w.business, w.n = w.sum.plus(sum), w.business.plus(business), w.n+n
}

func (w *waits) evaluate(outputs []outputColumn) {
	outputs[4].int(w.n)
	if w.n == 0 {
		for _, i := range []int{0, 1, 2, 3, 5} {
			outputs[i].null()
		}
		return
	}
	// In this order: another one would be rounded in another way.
	mean := func(sum wide) float64 { return sum.float() / float64(w.n) / 1e6 }
	found := w.counts.quantiles(500_000, 900_000)
	outputs[0].float(mean(w.sum))
	outputs[1].float(found[0] / 1e6)
	outputs[2].float(found[1] / 1e6)
	outputs[3].float(float64(w.greatest) / 1e6)
	outputs[5].float(mean(w.business))
}

func (w *waits) isEmpty() bool { return w.n == 0 }

func (w *waits) save(out []byte) []byte {
	out = putSigned(out, w.sum)
	out = putSigned(out, wideOf(w.n))
	out = putVarint(out, 0, uint64(len(w.counts)))
	last := int16(0)
	for _, number := range slices.Sorted(maps.Keys(w.counts)) {
		out = putSigned(out, wideOf(int64(number)-int64(last)))
		out = putSigned(out, wideOf(w.counts[number]))
		last = number
	}
	out = append(out, 1)
	for _, value := range []wide{wideOf(w.greatest), wideOf(w.n), w.business, wideOf(w.n)} {
		out = putSigned(out, value)
	}
	return out
}

func (w *waits) load(from *reader) {
	w.sum, w.n = from.signed(), from.int()
	w.counts = counts{}
	last := int16(0)
	for _, left := from.varint(); left > 0 && from.err == nil; left-- {
		last += int16(from.int())
		w.counts[last] = from.int()
	}
	if from.byte() != 1 {
		from.err = errors.New("a state of waits without a greatest one")
	}
	w.greatest = from.int()
	n := from.int()
	w.business = from.signed()
	if n != w.n || from.int() != w.n {
		from.err = errors.New("a state whose numbers of samples differ")
	}
}

// Time spent in each of five states.
type spent struct{ micros [5]int64 }

func (t *spent) add(s sample) error {
	if s.values[0] < 0 || s.values[0] >= int64(len(t.micros)) {
		return fmt.Errorf("there is no state %d", s.values[0])
	}
	t.micros[s.values[0]] += (s.until - s.start) * s.weight
	return nil
}

func (t *spent) merge(from state) {
	for i, micros := range from.(*spent).micros {
		t.micros[i] += micros
	}
}

func (t *spent) evaluate(outputs []outputColumn) {
	for i, micros := range t.micros {
		outputs[i].float(float64(micros) / 1e6)
	}
}

func (t *spent) isEmpty() bool { return *t == spent{} }

func (t *spent) save(out []byte) []byte {
	for _, micros := range t.micros {
		out = putSigned(out, wideOf(micros))
	}
	return out
}

func (t *spent) load(from *reader) {
	for i := range t.micros {
		t.micros[i] = from.int()
	}
}
