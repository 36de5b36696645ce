// Business hours, written as `Mon-Fri 09:00-18:00 UTC` or with a fixed offset like +05:30.

import { Wrong, saturated } from "./packed.js";

const MINUTE = 60_000_000n;
const DAY = 24n * 60n * MINUTE;
const WEEK = 7n * DAY;
// 1970-01-01 was a Thursday: weeks begin on the Monday before it.
const MONDAY = -3n * DAY;
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

export class BusinessHours {
  constructor(text) {
    const words = text.split(/\s+/).filter((word) => word !== "");
    if (words.length !== 3) throw new Wrong("write it as `Mon-Fri 09:00-18:00 UTC`");
    const clocks = words[1].split("-");
    if (clocks.length !== 2) throw new Wrong("hours are written as 09:00-18:00");
    this.works = days(words[0]);
    [this.opens, this.closes] = clocks.map(clock);
    if (this.opens >= this.closes) throw new Wrong(`hours must end after they begin, not ${words[1]}`);
    this.offset = zone(words[2]);
    // Business time of the week before each day begins, and of the whole week.
    this.before = [0n];
    this.works.forEach((works, day) => {
      this.before.push(this.before[day] + (works ? this.closes - this.opens : 0n));
    });
    const { opens, closes, offset, before } = this;
    this.plain = { opens: Number(opens), closes: Number(closes), offset: Number(offset), before: before.map(Number) };
  }

  /** As `upTo`, for a time far from the ends of what a Number holds exactly. */
  near(time) {
    const local = time + this.plain.offset - Number(MONDAY);
    const inWeek = ((local % 604_800e6) + 604_800e6) % 604_800e6;
    const inDay = inWeek % 86_400e6;
    const day = (inWeek - inDay) / 86_400e6;
    const { before, opens, closes } = this.plain;
    const whole = ((local - inWeek) / 604_800e6) * before[7] + before[day];
    return this.works[day] && inDay > opens ? whole + Math.min(inDay, closes) - opens : whole;
  }

  /** Business time from the Monday before 1970 until `time`. */
  upTo(time) {
    const local = saturated(saturated(time + this.offset) - MONDAY);
    let week = local / WEEK;
    if (week * WEEK > local) week -= 1n;
    const inWeek = local - week * WEEK;
    const day = Number(inWeek / DAY);
    let today = 0n;
    if (this.works[day]) {
      const inDay = inWeek - BigInt(day) * DAY;
      today = (inDay < this.opens ? this.opens : inDay > this.closes ? this.closes : inDay) - this.opens;
    }
    return week * this.before[7] + this.before[day] + today;
  }

  /** The business time in [from, to); negative if `to` is before `from`. */
  between(from, to) {
    const start = Number(from);
    const end = Number(to);
    // Numbers are several times as fast as BigInts, and exact up to 2⁵³.
    if (Math.abs(start) < 2 ** 52 && Math.abs(end) < 2 ** 52) return BigInt(this.near(end) - this.near(start));
    return saturated(this.upTo(to) - this.upTo(from));
  }
}

function days(text) {
  const works = new Array(7).fill(false);
  for (const part of text.split(",")) {
    const [first, last = first] = part.split("-");
    let day = number(first);
    const end = number(last);
    works[day] = true;
    // A range may go over the week's end: Sat-Mon.
    while (day !== end) {
      day = (day + 1) % 7;
      works[day] = true;
    }
  }
  return works;
}

function number(name) {
  const day = DAYS.indexOf(name.toLowerCase());
  if (day < 0) throw new Wrong(`no day ${name}; days are Mon Tue Wed Thu Fri Sat Sun`);
  return day;
}

/** Microseconds of HH:MM, at most 24:00. */
function clock(text) {
  const found = /^([0-9][0-9]):([0-5][0-9])$/.exec(text);
  const micros = found ? (BigInt(found[1]) * 60n + BigInt(found[2])) * MINUTE : DAY + 1n;
  if (micros > DAY) throw new Wrong(`a time of day is written as 09:00, not ${text}`);
  return micros;
}

function zone(text) {
  if (text === "UTC") return 0n;
  if (text[0] !== "+" && text[0] !== "-") throw new Wrong(`a zone is UTC or an offset like +01:00, not ${text}`);
  return text[0] === "+" ? clock(text.slice(1)) : -clock(text.slice(1));
}
