package export_weir_metric_metric_api

import (
	"errors"
	"wit_component/weir_metric_types"
)

// A metric: which rows give samples, and what a slot holds.
type metric struct {
	info info
	// Number of values that a sample carries.
	values int
	empty  func() state
	// One of the two.
	observe      func(changes weir_metric_types.Changes, out *written) error
	observeImage func(images weir_metric_types.Images, out *written) error
}

var metrics = []metric{created, backlog, firstReplyTime, stateTime}

// The business hours of ticket.first_reply_time, as the operator set them.
var replyHours *businessHours

var errColumns = errors.New("other columns came than were asked for")

// Rows inserted, at their created_at.
var created = metric{
	info: described(info{
		Name:        "ticket.created",
		Title:       "Tickets created",
		Description: "New tickets: rows inserted, at their created_at.",
		Unit:        "1",
		Inputs:      input("ticket", "queue_id:int channel:text priority:int created_at:time", "created_at"),
		Dimensions:  []string{"queue_id", "channel", "priority"},
		Windows:     periods,
		Outputs:     []weir_metric_types.Output{countOutput},
	}),
	empty: func() state { return &count{} },
	observe: func(changes weir_metric_types.Changes, out *written) error {
		if len(changes.After) != 4 {
			return errColumns
		}
		createdAt, _, err := scalars("created_at", changes.After[3], int(changes.Rows))
		before, after := flags(changes.BeforePresent), flags(changes.AfterPresent)
		for row := range int(changes.Rows) {
			if err == nil && after.at(row) && !before.at(row) {
				out.sample(row, createdAt.at(row))
			}
		}
		return err
	},
}

// Rows whose status is new, open or pending.
var backlog = metric{
	info: described(info{
		Name:        "ticket.backlog",
		Title:       "Ticket backlog",
		Description: "Tickets that wait for someone: status new, open or pending.",
		Unit:        "1",
		Inputs:      input("ticket", "queue_id:int priority:int status:text", ""),
		Dimensions:  []string{"queue_id", "priority"},
		Windows:     []weir_metric_types.Window{weir_metric_types.MakeWindowNow()},
		Extra:       []weir_metric_types.Extra{extra("form", "table")},
		Outputs:     []weir_metric_types.Output{countOutput},
	}),
	empty: func() state { return &count{} },
	observeImage: func(images weir_metric_types.Images, out *written) error {
		if len(images.Columns) != 3 || len(images.Dictionaries) != 3 {
			return errColumns
		}
		status, _, err := scalars("status", images.Columns[2], int(images.Rows))
		waits, wrong := places(images.Dictionaries[2], []string{"new", "open", "pending"})
		if err = errors.Join(err, wrong); err != nil {
			return err
		}
		for row := range int(images.Rows) {
			if code := uint64(status.at(row)); code < uint64(len(waits)) && waits[code] >= 0 {
				out.rows = putU32(out.rows, uint32(row))
			}
		}
		return nil
	},
}

// The wait, when first_reply_at becomes set.
var firstReplyTime = metric{
	info: described(info{
		Name:        "ticket.first_reply_time",
		Title:       "First reply time",
		Description: "Time from creation to the first reply, at the first reply: when first_reply_at becomes set.",
		Unit:        "s",
		Inputs: input("ticket", "queue_id:int assignee_id:int? created_at:time first_reply_at:time?",
			"first_reply_at"),
		Dimensions: []string{"queue_id", "assignee_id"},
		Windows:    periods,
		Values:     fields("wait:int business_wait:int"),
		Outputs: []weir_metric_types.Output{
			output("mean:float?", "s", "The arithmetic mean."),
			output("p50:float?", "s", "50 % of the values are at most this; within 1 %."),
			output("p90:float?", "s", "90 % of the values are at most this; within 1 %."),
			output("max:float?", "s", "The greatest value."),
			countOutput,
			output("mean_business:float?", "s", "The arithmetic mean in business hours."),
		},
		Extra: []weir_metric_types.Extra{extra("form", "table")},
	}),
	values: 2,
	empty:  func() state { return &waits{} },
	observe: func(changes weir_metric_types.Changes, out *written) error {
		n := int(changes.Rows)
		if len(changes.Before) != 4 || len(changes.After) != 4 {
			return errColumns
		}
		createdAt, _, wrong := scalars("created_at", changes.After[2], n)
		repliedAt, isSet, err := scalars("first_reply_at", changes.After[3], n)
		_, wasSet, before := scalars("first_reply_at", changes.Before[3], n)
		if err = errors.Join(wrong, err, before); err != nil {
			return err
		}
		was, is := flags(changes.BeforePresent), flags(changes.AfterPresent)
		for row := range n {
			if !is.at(row) || !isSet.at(row) || (was.at(row) && wasSet.at(row)) {
				continue
			}
			from, to := createdAt.at(row), repliedAt.at(row)
			out.sample(row, to)
			out.values[0] = putI64(out.values[0], minus(to, from))
			out.values[1] = putI64(out.values[1], replyHours.between(from, to))
		}
		return nil
	},
}

// Offline, in which an agent is not there, and the states that have an output.
var stateNames = []string{"offline", "available", "on_contact", "wrapup", "break", "error"}

// The span that ends with a change of state, for the state that was left.
var stateTime = metric{
	info: described(info{
		Name:        "agent.state_time",
		Title:       "Agent state time",
		Description: "Time that agents spent in each state: the span from one change to the next, for the state left.",
		Unit:        "s",
		Inputs:      input("agent_state", "agent_id:int queue_id:int state:text since:time", "state since"),
		Dimensions:  []string{"queue_id", "agent_id"},
		Windows:     periods[1:],
		Values:      fields("state:int"),
		Outputs: []weir_metric_types.Output{
			output("available:float", "s", "Seconds in the state available."),
			output("on_contact:float", "s", "Seconds in the state on_contact."),
			output("wrapup:float", "s", "Seconds in the state wrapup."),
			output("break:float", "s", "Seconds in the state break."),
			output("error:float", "s", "Seconds in the state error."),
		},
		Extra: []weir_metric_types.Extra{extra("board", "team"), extra("form", "table"), extra("correct_for", "26h")},
	}),
	values: 1,
	empty:  func() state { return &spent{} },
	observe: func(changes weir_metric_types.Changes, out *written) error {
		n := int(changes.Rows)
		if len(changes.Before) != 4 || len(changes.After) != 4 || len(changes.Dictionaries) != 4 {
			return errColumns
		}
		states, _, wrong := scalars("state", changes.Before[2], n)
		left, _, err := scalars("since", changes.Before[3], n)
		entered, _, after := scalars("since", changes.After[3], n)
		known, unreadable := places(changes.Dictionaries[2], stateNames)
		if err = errors.Join(wrong, err, after, unreadable); err != nil {
			return err
		}
		was, is := flags(changes.BeforePresent), flags(changes.AfterPresent)
		out.ofBefore = true
		for row := range n {
			start, end, code := left.at(row), entered.at(row), uint64(states.at(row))
			if !was.at(row) || !is.at(row) {
				continue
			}
			if code >= uint64(len(known)) || known[code] < 0 {
				out.refuse(row, "its state is none that an agent has")
				continue
			}
			if known[code] == 0 || end <= start {
				continue
			}
			if minus(end, start) > day {
				out.refuse(row, "more than 24 hours in one state")
				continue
			}
			out.sample(row, start)
			out.untils = putI64(out.untils, end)
			out.values[0] = putI64(out.values[0], int64(known[code]-1))
		}
		return nil
	},
}
