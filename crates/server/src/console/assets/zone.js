// Times as the clocks of the reception show them. Its zone is what the server says; where this device is makes no
// difference. A day is a text as 2026-03-02, a time of it a number of minutes since midnight.

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** The offset of a zone may change between a moment and the guess for it: twice at the most. */
const GUESSES = 3;

const midnight = (day) => Date.parse(`${day}T00:00:00Z`);
const named = new Map();

/** A format, made once: making one takes longer than using it. */
function format(timeZone, options) {
  const key = `${timeZone} ${JSON.stringify(options)}`;
  if (!named.has(key)) named.set(key, new Intl.DateTimeFormat(undefined, { timeZone, ...options }));
  return named.get(key);
}

/** The day that is so many days later. */
export const laterDay = (day, days) => new Date(midnight(day) + days * DAY_MS).toISOString().slice(0, 10);

/** 0 for Monday, as the weeks of the server begin. */
export const weekday = (day) => (new Date(midnight(day)).getUTCDay() + 6) % 7;

/** The Monday of its week. */
export const mondayOf = (day) => laterDay(day, -weekday(day));

export const isDay = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") && !Number.isNaN(midnight(text));

/** "Monday, 2 March 2026", or as the options say. */
export const dayText = (day, options = { weekday: "long", day: "numeric", month: "long", year: "numeric" }) => format("UTC", options).format(midnight(day));

/** The names of the days of the week, Monday first. */
export const weekdays = () => Array.from({ length: 7 }, (_, place) => dayText(laterDay("2024-01-01", place), { weekday: "long" }));

/** 570 as "09:30", as fields for a time take it; the end of a day is "24:00". */
export const clockText = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

/** 540 as "9 AM", or as it is written where this device is. */
export const hourText = (minute) => format("UTC", { hour: "numeric" }).format(minute * MINUTE_MS);

/** "09:30" as 570. */
export const minuteOf = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));

/** "09:00-12:30" as `[540, 750]`. */
export const openingOf = (text) => text.split("-").map(minuteOf);

/** The name of the zone where this device is. */
export const deviceZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The clock of a zone, by its name in the IANA database. */
export class Zone {
  constructor(name) {
    this.name = name;
    this.reader = new Intl.DateTimeFormat("en-US", { timeZone: name, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  }

  /** What it shows at a moment: `{day, minute}`. */
  at(moment) {
    const parts = Object.fromEntries(this.reader.formatToParts(new Date(moment)).map(({ type, value }) => [type, value]));
    return { day: `${parts.year}-${parts.month}-${parts.day}`, minute: Number(parts.hour) * 60 + Number(parts.minute) };
  }

  /** The moment at which it shows this, as the server writes it. Of a time that is skipped, one close by. */
  moment(day, minute) {
    const wanted = midnight(day) + minute * MINUTE_MS;
    let guess = wanted;
    for (let round = 0; round < GUESSES; round += 1) {
      const shown = this.at(guess);
      const off = midnight(shown.day) + shown.minute * MINUTE_MS - wanted;
      if (off === 0) break;
      guess -= off;
    }
    return new Date(guess).toISOString();
  }

  today() {
    return this.at(Date.now()).day;
  }

  /** "9:30 AM". */
  time(moment) {
    return format(this.name, { hour: "numeric", minute: "2-digit" }).format(new Date(moment));
  }

  /** "Mon, 2 Mar, 9:30 AM". */
  full(moment) {
    return format(this.name, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }).format(new Date(moment));
  }
}
