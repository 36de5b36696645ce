// Package export_weir_metric_metric_api is the component: calls of the contract, on the one metric that this
// instance was opened for. The generated bindings want this name.
package export_weir_metric_metric_api

import (
	"errors"
	"fmt"
	"wit_component/weir_metric_types"

	"go.bytecodealliance.org/pkg/wit/types"
)

const mostSlots = 1 << 26

// The instance's metric, and its states by slot; a slot that is not there is empty.
var (
	opened *metric
	slots  []state
)

// An answer of the contract: what was asked for, or what is wrong.
func answer[T any](value T, err error) types.Result[T, string] {
	if err != nil {
		return types.Err[T, string](err.Error())
	}
	return types.Ok[T, string](value)
}

func done(err error) types.Result[types.Unit, string] { return answer(types.Unit{}, err) }

// Room for slots that are about to be written.
func makeRoom(list u32s) error {
	greatest := uint32(0)
	for i := range list.len() {
		slot := list.at(i)
		if slot == 0 || slot >= mostSlots {
			return fmt.Errorf("slot %d cannot be written", slot)
		}
		greatest = max(greatest, slot)
	}
	if missing := int(greatest) + 1 - len(slots); missing > 0 {
		slots = append(slots, make([]state, missing)...)
	}
	return nil
}

// The state of a slot for which there is room.
func at(slot uint32) state {
	if slots[slot] == nil {
		slots[slot] = opened.empty()
	}
	return slots[slot]
}

// The state of a slot, or nil.
func look(slot uint32) state {
	if slot < uint32(len(slots)) {
		return slots[slot]
	}
	return nil
}

func Describe() []info {
	all := make([]info, len(metrics))
	for i := range metrics {
		all[i] = metrics[i].info
	}
	return all
}

func Open(name string, config []types.Tuple2[string, string]) types.Result[types.Unit, string] {
	for i := range metrics {
		if metrics[i].info.Name == name {
			opened = &metrics[i]
		}
	}
	if opened == nil {
		return done(fmt.Errorf("no metric is called %s", name))
	}
	text := "Mon-Fri 09:00-18:00 UTC"
	for i := range config {
		if pair := config[len(config)-1-i]; pair.F0 == "business_hours" {
			text = pair.F1
		}
	}
	var err error
	if name == firstReplyTime.info.Name {
		replyHours, err = parseBusinessHours(text)
	}
	if err != nil {
		err = fmt.Errorf("config key business_hours cannot be %q: %w", text, err)
	}
	return done(err)
}

func Observe(number uint32, changes weir_metric_types.Changes) types.Result[weir_metric_types.Samples, string] {
	var out written
	n := int(changes.Rows)
	err := errors.Join(checkBits("before-present", changes.BeforePresent, n),
		checkBits("after-present", changes.AfterPresent, n))
	switch {
	case number != 0 || opened.observe == nil:
		err = fmt.Errorf("no input of events has the number %d", number)
	case err == nil:
		err = opened.observe(changes, &out)
	}
	return answer(out.samples(opened.values), err)
}

func ObserveImage(number uint32, images weir_metric_types.Images) types.Result[weir_metric_types.Samples, string] {
	var out written
	err := fmt.Errorf("no input of current values has the number %d", number)
	if number == 0 && opened.observeImage != nil {
		err = opened.observeImage(images, &out)
	}
	return answer(out.samples(opened.values), err)
}

func Accumulate(
	into, weights, times, untils []byte, values []weir_metric_types.Column, _ []weir_metric_types.Dictionary,
) types.Result[types.Unit, string] {
	n := len(into) / 4
	err := errors.Join(whole("slots", into), sized("weights", weights, 8*n))
	if len(times) > 0 {
		err = errors.Join(err, sized("times", times, 8*n))
	}
	if len(untils) == 0 {
		untils = times
	}
	err = errors.Join(err, sized("untils", untils, len(times)))
	if len(values) != opened.values {
		err = errors.Join(err, errColumns)
	}
	var columns [2]i64s
	for i, column := range values[:min(len(values), 2)] {
		var wrong error
		columns[i], _, wrong = scalars("values", column, n)
		err = errors.Join(err, wrong)
	}
	if err == nil {
		err = makeRoom(into)
	}
	for i := 0; i < n && err == nil; i++ {
		s := sample{weight: i64s(weights).at(i)}
		if len(times) > 0 {
			s.start, s.until = i64s(times).at(i), i64s(untils).at(i)
		}
		for k := range opened.values {
			s.values[k] = columns[k].at(i)
		}
		err = at(u32s(into).at(i)).add(s)
	}
	return done(err)
}

func Merge(into, from []byte) types.Result[types.Unit, string] {
	err := errors.Join(whole("into", into), sized("from", from, len(into)))
	if err == nil {
		err = makeRoom(into)
	}
	for i := 0; i < len(into)/4 && err == nil; i++ {
		if source := look(u32s(from).at(i)); source != nil {
			at(u32s(into).at(i)).merge(source)
		}
	}
	return done(err)
}

func Evaluate(list, _, _ []byte, _ int64) types.Result[weir_metric_types.Outputs, string] {
	columns := make([]outputColumn, len(opened.info.Outputs))
	nothing := opened.empty()
	for i := range len(list) / 4 {
		if found := look(u32s(list).at(i)); found != nil {
			found.evaluate(columns)
		} else {
			nothing.evaluate(columns)
		}
	}
	outputs := weir_metric_types.Outputs{Dictionaries: make([]weir_metric_types.Dictionary, len(columns))}
	for i := range columns {
		outputs.Columns = append(outputs.Columns, columns[i].column())
	}
	return answer(outputs, whole("slots", list))
}

func Save(list []byte) types.Result[weir_metric_types.States, string] {
	ends, out := putU32(nil, 0), []byte(nil)
	for i := range len(list) / 4 {
		if found := look(u32s(list).at(i)); found != nil && !found.isEmpty() {
			out = found.save(out)
		}
		ends = putU32(ends, uint32(len(out)))
	}
	return answer(weir_metric_types.States{Offsets: ends, Bytes: out}, whole("slots", list))
}

func Load(list []byte, states weir_metric_types.States, version uint32) types.Result[types.Unit, string] {
	n := len(list) / 4
	ends, err := offsets("states", states.Offsets, n, len(states.Bytes))
	if version != 1 {
		err = fmt.Errorf("state version %d is none that this metric reads", version)
	}
	if err == nil {
		err = errors.Join(whole("slots", list), makeRoom(list))
	}
	for i := 0; i < n && err == nil; i++ {
		slot := u32s(list).at(i)
		slots[slot] = nil
		from := reader{rest: states.Bytes[ends.at(i):ends.at(i+1)]}
		if len(from.rest) == 0 {
			continue
		}
		at(slot).load(&from)
		if err = from.err; err == nil && len(from.rest) > 0 {
			err = errors.New("a state has bytes too many")
		}
	}
	return done(err)
}

func Release(list []byte) types.Result[types.Unit, string] {
	for i := range len(list) / 4 {
		if slot := u32s(list).at(i); slot < uint32(len(slots)) {
			slots[slot] = nil
		}
	}
	return done(whole("slots", list))
}
