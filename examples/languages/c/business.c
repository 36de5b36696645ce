#include "business.h"

#define MINUTE 60000000LL
#define DAY (24 * 60 * MINUTE)
#define WEEK (7 * DAY)
/* 1970-01-01 was a Thursday: weeks begin on the Monday before it. */
#define MONDAY (-3 * DAY)

static int64_t plus(int64_t a, int64_t b) {
    int64_t value;
    if (!__builtin_add_overflow(a, b, &value)) return value;
    return a < 0 ? INT64_MIN : INT64_MAX;
}

/* Business time from the Monday before 1970 until `time`. */
static int64_t up_to(const business_hours *hours, int64_t time) {
    int64_t local = minus(plus(time, hours->offset), MONDAY);
    int64_t week = local / WEEK, in_week = local % WEEK;
    if (in_week < 0) week--, in_week += WEEK;
    int64_t day = in_week / DAY, in_day = in_week % DAY;
    int64_t today = in_day < hours->opens ? hours->opens : in_day > hours->closes ? hours->closes : in_day;
    return week * hours->before[7] + hours->before[day] + (hours->works[day] ? today - hours->opens : 0);
}

int64_t business_between(const business_hours *hours, int64_t from, int64_t to) {
    return minus(up_to(hours, to), up_to(hours, from));
}

typedef struct {
    const char *at, *end;
} text;

/* The part before `mark`, which is stepped over; the rest if there is none. */
static text until(text *from, char mark) {
    const char *found = memchr(from->at, mark, (size_t)(from->end - from->at));
    text part = {from->at, found ? found : from->end};
    from->at = found ? found + 1 : from->end;
    return part;
}

static text word(text *from) {
    while (from->at < from->end && *from->at == ' ') from->at++;
    return until(from, ' ');
}

static int day_number(text name) {
    static const char names[7][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (int day = 0; day < 7; day++)
        if (name.end - name.at == 3 && (name.at[0] | 32) == names[day][0] && (name.at[1] | 32) == names[day][1] &&
            (name.at[2] | 32) == names[day][2])
            return day;
    return -1;
}

static fault parse_days(business_hours *hours, text days) {
    while (days.at < days.end) {
        text part = until(&days, ',');
        text first = until(&part, '-');
        int day = day_number(first), last = part.at < part.end ? day_number(part) : day;
        if (day < 0 || last < 0) return "days are Mon Tue Wed Thu Fri Sat Sun, as in Mon-Wed,Fri";
        hours->works[day] = true;
        /* A range may go over the week's end: Sat-Mon. */
        while (day != last) hours->works[day = (day + 1) % 7] = true;
    }
    return NULL;
}

/* Microseconds of HH:MM, at most 24:00; -1 if it is none. */
static int64_t parse_clock(text clock) {
    const char *c = clock.at;
    if (clock.end - c != 5 || c[2] != ':') return -1;
    for (int i = 0; i < 5; i++)
        if (i != 2 && (c[i] < '0' || c[i] > '9')) return -1;
    int hour = (c[0] - '0') * 10 + c[1] - '0', minute = (c[3] - '0') * 10 + c[4] - '0';
    int64_t micros = (hour * 60 + minute) * MINUTE;
    return minute < 60 && micros <= DAY ? micros : -1;
}

fault business_parse(business_hours *hours, const char *given, size_t len) {
    text rest = {given, given + len};
    text days = word(&rest), clocks = word(&rest), zone = word(&rest);
    if (zone.at == zone.end || word(&rest).at != rest.end) return "write it as `Mon-Fri 09:00-18:00 UTC`";
    *hours = (business_hours){0};
    fault wrong = parse_days(hours, days);
    if (wrong) return wrong;
    hours->opens = parse_clock(until(&clocks, '-'));
    hours->closes = parse_clock(clocks);
    if (hours->opens < 0 || hours->closes <= hours->opens) return "hours are written as 09:00-18:00";
    if (zone.end - zone.at != 3 || memcmp(zone.at, "UTC", 3) != 0) {
        int64_t offset = parse_clock((text){zone.at + 1, zone.end});
        if (offset < 0 || (*zone.at != '+' && *zone.at != '-')) return "a zone is UTC or an offset like +01:00";
        hours->offset = *zone.at == '-' ? -offset : offset;
    }
    for (int day = 0; day < 7; day++)
        hours->before[day + 1] = hours->before[day] + (hours->works[day] ? hours->closes - hours->opens : 0);
    return NULL;
}
