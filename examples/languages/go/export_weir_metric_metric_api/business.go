package export_weir_metric_metric_api

import (
	"fmt"
	"slices"
	"strings"
)

const (
	minute = 60_000_000
	hour   = 60 * minute
	day    = 24 * hour
	week   = 7 * day
	// 1970-01-01 was a Thursday: weeks begin on the Monday before it.
	monday = -3 * day
)

var dayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Business hours, written as `Mon-Fri 09:00-18:00 UTC` or with a fixed offset like +05:30.
type businessHours struct {
	// Business time of the week before each day begins, and of the whole week.
	before                [8]int64
	works                 [7]bool
	opens, closes, offset int64
}

// Business time from the Monday before 1970 until a time.
func (h *businessHours) upTo(time int64) int64 {
	local := minus(plus(time, h.offset), monday)
	weeks, inWeek := local/week, local%week
	if inWeek < 0 {
		weeks, inWeek = weeks-1, inWeek+week
	}
	today := int64(0)
	if h.works[inWeek/day] {
		today = min(max(inWeek%day, h.opens), h.closes) - h.opens
	}
	return weeks*h.before[7] + h.before[inWeek/day] + today
}

// The business time in [from, to); negative if `to` is before `from`.
func (h *businessHours) between(from, to int64) int64 { return minus(h.upTo(to), h.upTo(from)) }

func parseBusinessHours(text string) (*businessHours, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return nil, fmt.Errorf("write it as `Mon-Fri 09:00-18:00 UTC`")
	}
	hours := &businessHours{}
	var opens, closes, offset error
	first, last, _ := strings.Cut(words[1], "-")
	hours.opens, opens = parseClock(first)
	hours.closes, closes = parseClock(last)
	hours.offset, offset = parseZone(words[2])
	for _, err := range []error{hours.parseDays(words[0]), opens, closes, offset} {
		if err != nil {
			return nil, err
		}
	}
	if hours.opens >= hours.closes {
		return nil, fmt.Errorf("hours must end after they begin, not %s", words[1])
	}
	for day, works := range hours.works {
		hours.before[day+1] = hours.before[day]
		if works {
			hours.before[day+1] += hours.closes - hours.opens
		}
	}
	return hours, nil
}

func (h *businessHours) parseDays(text string) error {
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		day := slices.Index(dayNames, strings.ToLower(first))
		end := slices.Index(dayNames, strings.ToLower(last))
		if day < 0 || end < 0 {
			return fmt.Errorf("no days %q; days are Mon Tue Wed Thu Fri Sat Sun", part)
		}
		h.works[day] = true
		// A range may go over the week's end: Sat-Mon.
		for day != end {
			day = (day + 1) % 7
			h.works[day] = true
		}
	}
	return nil
}

// Microseconds of HH:MM, at most 24:00.
func parseClock(text string) (int64, error) {
	digit := func(i int) int64 { return int64(text[i]) - '0' }
	good := len(text) == 5 && text[2] == ':'
	for _, i := range []int{0, 1, 3, 4} {
		good = good && digit(i) >= 0 && digit(i) <= 9
	}
	if good {
		minutes := digit(3)*10 + digit(4)
		if micros := (digit(0)*10+digit(1))*hour + minutes*minute; minutes < 60 && micros <= day {
			return micros, nil
		}
	}
	return 0, fmt.Errorf("a time of day is written as 09:00, not %q", text)
}

func parseZone(text string) (int64, error) {
	switch {
	case text == "UTC":
		return 0, nil
	case text[0] == '+':
		return parseClock(text[1:])
	case text[0] == '-':
		clock, err := parseClock(text[1:])
		return -clock, err
	}
	return 0, fmt.Errorf("a zone is UTC or an offset like +01:00, not %q", text)
}
