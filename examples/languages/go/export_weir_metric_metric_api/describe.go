package export_weir_metric_metric_api

import (
	"strings"
	"wit_component/weir_metric_types"

	"go.bytecodealliance.org/pkg/wit/types"
)

type info = weir_metric_types.MetricInfo

var periods = []weir_metric_types.Window{
	weir_metric_types.MakeWindowTumbling(minute),
	weir_metric_types.MakeWindowTumbling(15 * minute),
	weir_metric_types.MakeWindowTumbling(hour),
	weir_metric_types.MakeWindowDay(),
}

var valueTypes = map[string]uint8{
	"int":   weir_metric_types.ValueType_Int,
	"float": weir_metric_types.ValueType_Float,
	"text":  weir_metric_types.ValueType_Text,
	"time":  weir_metric_types.ValueType_Time,
}

// Fields are written as `queue_id:int assignee_id:int?`, with ? where null may be.
func fields(text string) []weir_metric_types.Field {
	var all []weir_metric_types.Field
	for _, word := range strings.Fields(text) {
		name, kind, _ := strings.Cut(word, ":")
		kind, nullable := strings.CutSuffix(kind, "?")
		all = append(all, weir_metric_types.Field{Name: name, ValueType: valueTypes[kind], Nullable: nullable})
	}
	return all
}

func input(source, asked, watches string) []weir_metric_types.Input {
	return []weir_metric_types.Input{{Source: source, Fields: fields(asked), Watches: strings.Fields(watches)}}
}

func output(text, unit, description string) weir_metric_types.Output {
	field := fields(text)[0]
	return weir_metric_types.Output{
		Name: field.Name, ValueType: field.ValueType, Nullable: field.Nullable, Unit: unit, Description: description,
	}
}

var countOutput = output("count:int", "1", "How many samples there are.")

// What is the same for all of them.
func described(it info) info {
	it.Owner, it.Version = "service-desk", "0.1.0"
	it.StateVersion, it.StateVersionsRead, it.MeaningVersion = 1, []uint32{1}, 1
	return it
}

func extra(key, value string) types.Tuple2[string, string] {
	return types.Tuple2[string, string]{F0: key, F1: value}
}
