"""Business hours, written as `Mon-Fri 09:00-18:00 UTC` or with a fixed offset like +05:30."""

from packed import Wrong, saturated

MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
WEEK = 7 * DAY
# 1970-01-01 was a Thursday: weeks begin on the Monday before it.
MONDAY = -3 * DAY
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class BusinessHours:
    def __init__(self, text):
        words = text.split()
        if len(words) != 3:
            raise Wrong("write it as `Mon-Fri 09:00-18:00 UTC`")
        self.works = days(words[0])
        opens, dash, closes = words[1].partition("-")
        if not dash:
            raise Wrong("hours are written as 09:00-18:00")
        self.opens, self.closes = clock(opens), clock(closes)
        if self.opens >= self.closes:
            raise Wrong(f"hours must end after they begin, not {words[1]}")
        self.offset = zone(words[2])
        # Business time of the week before each day begins, and of the whole week.
        self.before = [0]
        for works in self.works:
            self.before.append(self.before[-1] + (self.closes - self.opens if works else 0))

    def up_to(self, time):
        """Business time from the Monday before 1970 until `time`."""
        local = saturated(saturated(time + self.offset) - MONDAY)
        in_week = local % WEEK
        whole = local // WEEK * self.before[7] + self.before[in_week // DAY]
        in_day = in_week % DAY
        if not self.works[in_week // DAY] or in_day <= self.opens:
            return whole
        return whole + (in_day if in_day < self.closes else self.closes) - self.opens

    def between(self, start, end):
        """The business time in [start, end); negative if `end` is before `start`."""
        return saturated(self.up_to(end) - self.up_to(start))


def days(text):
    works = [False] * 7
    for part in text.split(","):
        first, _, last = part.partition("-")
        day, last = number(first), number(last or first)
        works[day] = True
        # A range may go over the week's end: Sat-Mon.
        while day != last:
            day = (day + 1) % 7
            works[day] = True
    return works


def number(name):
    if name.lower() not in DAYS:
        raise Wrong(f"no day {name!r}; days are Mon Tue Wed Thu Fri Sat Sun")
    return DAYS.index(name.lower())


def clock(text):
    """Microseconds of HH:MM, at most 24:00."""
    good = len(text) == 5 and text[2] == ":" and (text[:2] + text[3:]).isascii() and (text[:2] + text[3:]).isdigit()
    micros = (int(text[:2]) * 60 + int(text[3:])) * MINUTE if good else DAY + 1
    if micros > DAY or text[3:] >= "60":
        raise Wrong(f"a time of day is written as 09:00, not {text!r}")
    return micros


def zone(text):
    if text == "UTC":
        return 0
    if text[:1] not in ("+", "-"):
        raise Wrong(f"a zone is UTC or an offset like +01:00, not {text!r}")
    return clock(text[1:]) if text[0] == "+" else -clock(text[1:])
