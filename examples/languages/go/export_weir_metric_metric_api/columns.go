package export_weir_metric_metric_api

import "wit_component/weir_metric_types"

// Samples of one call, as they are written.
type written struct {
	rows, times, untils []byte
	values              [2][]byte
	// Whether samples have the dimensions of the before image.
	ofBefore bool
	rejects  []weir_metric_types.Reject
}

func (out *written) sample(row int, time int64) {
	out.rows = putU32(out.rows, uint32(row))
	out.times = putI64(out.times, time)
}

func (out *written) refuse(row int, reason string) {
	out.rejects = append(out.rejects, weir_metric_types.Reject{Row: uint32(row), Reason: reason})
}

func (out *written) samples(values int) weir_metric_types.Samples {
	samples := weir_metric_types.Samples{
		Rows: out.rows, Times: out.times, Untils: out.untils, Rejects: out.rejects,
		Values:       make([]weir_metric_types.Column, values),
		Dictionaries: make([]weir_metric_types.Dictionary, values),
	}
	for i := range values {
		samples.Values[i].Values = out.values[i]
	}
	if out.ofBefore {
		samples.Images = make([]byte, (len(out.rows)/4+7)/8)
	}
	return samples
}

// Values of one output, as they are written.
type outputColumn struct {
	values, validity []byte
	n                int
	hasNull          bool
}

func (c *outputColumn) put(value int64, valid bool) {
	if c.n%8 == 0 {
		c.validity = append(c.validity, 0)
	}
	if valid {
		c.validity[c.n/8] |= 1 << (c.n % 8)
	}
	c.hasNull = c.hasNull || !valid
	c.values = putI64(c.values, value)
	c.n++
}

func (c *outputColumn) int(value int64) { c.put(value, true) }
func (c *outputColumn) null()           { c.put(0, false) }

// -0.0 and 0.0 are one number, so they are one bit pattern.
func (c *outputColumn) float(value float64) {
	c.put(0, true)
	putF64(c.values[:8*(c.n-1)], value+0)
}

func (c *outputColumn) column() weir_metric_types.Column {
	column := weir_metric_types.Column{Values: c.values}
	// No list stands for all ones.
	if c.hasNull {
		column.Validity = c.validity
	}
	return column
}
