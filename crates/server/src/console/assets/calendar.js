// The calendar: a day by who does it, or a week, in the zone of the reception. A free place makes an appointment, and what
// others do, the agent on the phone among them, appears by itself.

import { Problem } from "./api.js";
import { WORDS, appointmentSheet, isAhead } from "./appointment.js";
import { busyTimes, comeBack, conflicts, connected, orNone, troubles } from "./calendars.js";
import { bookSheet, move, moveSheet } from "./booking.js";
import { make, say } from "./dom.js";
import { grid } from "./grid.js";
import { ask, begin, trouble } from "./operator.js";
import { Contacts, everything, follow } from "./reception.js";
import { settings } from "./setup.js";
import { Zone, dayText, isDay, laterDay, mondayOf, openingOf, weekday } from "./zone.js";

const DAY = 1440;
const MINUTE_MS = 60_000;
const VIEWS = ["day", "week", "settings"];

/** What the page knows of the reception. */
class Desk {
  reception = null;
  zone = null;
  services = [];
  staff = [];
  special = [];
  connections = [];
  busy = [];
  contacts = new Contacts();

  async read(life) {
    const [reception, services, staff] = await Promise.all([ask(life, "GET", "/v1/reception"), everything(life, "/v1/services"), everything(life, "/v1/staff")]);
    Object.assign(this, { reception, services, staff, zone: new Zone(reception.time_zone) });
  }

  service = (id) => this.services.find((service) => service.id === id);
  staffName = (id) => this.staff.find((one) => one.id === id)?.name ?? "Somebody";

  /** When somebody works on a day, as the server has it; the organisation's hours for nobody in particular. */
  openings(day, staff = null) {
    const own = this.special.find((one) => staff && one.day === day && one.staff_id === staff.id);
    if (own) return own.openings.map(openingOf);
    const usual = (staff?.week ?? this.reception.week)[weekday(day)].map(openingOf);
    const special = this.special.find((one) => one.day === day && one.staff_id === null);
    if (!special) return usual;
    const openings = special.openings.map(openingOf);
    if (!staff?.week) return openings;
    const both = usual.flatMap(([from, until]) => openings.map(([open, close]) => [Math.max(from, open), Math.min(until, close)]));
    return both.filter(([from, until]) => from < until);
  }
}

/** The bar over the calendar. Gives what is to be kept up to date. */
function toolbar(life, { go, today, book, isAdministrator }) {
  const button = (text, attributes) => make("button", { type: "button", class: "button small", text, ...attributes });
  const heading = make("h2", { id: "shown-day", "aria-live": "polite" });
  const date = make("input", { type: "date", id: "go-to", "aria-label": "Go to a day" });
  const cancelled = make("input", { type: "checkbox", id: "show-cancelled" });
  const views = ["day", "week", ...(isAdministrator ? ["settings"] : [])].map((view) => button({ day: "Day", week: "Week", settings: "Settings" }[view], { "data-view": view, "aria-pressed": "false" }));
  const steps = [button("Today", { "data-step": "today" }), button("‹", { "data-step": "-1", "aria-label": "Before" }), button("›", { "data-step": "1", "aria-label": "After" })];
  const add = button("New appointment", { class: "button small primary", "data-action": "book" });
  const ofDays = make("div", { class: "bar-days" }, ...steps, date, make("label", { class: "check" }, cancelled, make("span", { text: "Cancelled too" })));
  const bar = make("div", { class: "bar" }, heading, make("div", { class: "bar-views", role: "group", "aria-label": "View" }, ...views), ofDays, add);
  for (const one of views) life.on(one, "click", () => go({ view: one.dataset.view }));
  for (const one of steps) {
    life.on(one, "click", () => go(one.dataset.step === "today" ? { day: today() } : { by: Number(one.dataset.step) }));
  }
  life.on(date, "change", () => isDay(date.value) && go({ day: date.value }));
  life.on(add, "click", () => book());
  const draw = ({ view, day, title }) => {
    heading.textContent = title;
    date.value = day;
    ofDays.hidden = add.hidden = view === "settings";
    for (const one of views) one.setAttribute("aria-pressed", String(one.dataset.view === view));
  };
  return { bar, draw, cancelled };
}

/** The page, once it is known how the reception works. */
class Calendar {
  constructor(life, root, desk, me) {
    const notice = make("div", { class: "listing-notice" });
    const words = make("p", { class: "soft special" });
    const differing = make("div", { class: "differing" });
    const body = make("div");
    const form = make("div", { class: "settings" });
    const bar = toolbar(life, { go: (to) => this.go(to), today: () => desk.zone.today(), book: () => this.book(this.place.day), isAdministrator: me.role !== "member" });
    Object.assign(this, { life, desk, notice, words, differing, body, form, bar, appointments: [], asked: 0, isAdministrator: me.role !== "member" });
    root.append(bar.bar, notice, differing, words, body, form);
    this.grid = grid(life, body, {
      onFree: (column, minute) => this.book(column.day, minute, column.staff),
      onOpen: (id) => this.open(id),
      onMove: (id, column, minute) => this.move(id, column, minute),
    });
    life.on(bar.cancelled, "change", () => this.draw());
    life.on(window, "popstate", () => this.show());
  }

  /** What the address names. A narrow screen begins with a day. */
  get place() {
    const query = new URLSearchParams(location.search);
    const usual = matchMedia("(max-width: 699px)").matches ? "day" : "week";
    const view = VIEWS.includes(query.get("view")) ? query.get("view") : usual;
    const day = isDay(query.get("day")) ? query.get("day") : this.desk.zone.today();
    return { view: view === "settings" && !this.isAdministrator ? usual : view, day };
  }

  go({ view = this.place.view, day = this.place.day, by = 0 }) {
    const query = new URLSearchParams({ view, day: laterDay(day, by * (view === "week" ? 7 : 1)) });
    history.pushState(null, "", `${location.pathname}?${query}`);
    return this.show();
  }

  /** Shows what the address names. */
  async show() {
    const { view, day } = this.place;
    const isSettings = view === "settings";
    this.notice.replaceChildren();
    this.body.hidden = isSettings;
    this.words.hidden = isSettings;
    this.differing.hidden = isSettings;
    this.form.hidden = !isSettings;
    if (!isSettings) {
      this.appointments = [];
      this.isRead = false;
      this.draw();
      return this.load();
    }
    this.bar.draw({ view, day, title: "Settings" });
    return settings(this.life, this.form, this.desk);
  }

  days() {
    const { view, day } = this.place;
    return view === "week" ? Array.from({ length: 7 }, (_, place) => laterDay(mondayOf(day), place)) : [day];
  }

  /** Reads what is shown. What comes late is not shown any more. */
  async load() {
    const { life, desk } = this;
    if (this.place.view === "settings") return;
    const mine = ++this.asked;
    const days = this.days();
    const within = { from: desk.zone.moment(days[0], 0), until: desk.zone.moment(laterDay(days.at(-1), 1), 0) };
    try {
      const [appointments, { data: special }] = await Promise.all([everything(life, "/v1/appointments", within), ask(life, "GET", "/v1/special-days", { query: { from: days[0], until: days.at(-1) } })]);
      if (mine !== this.asked) return;
      const isUnknown = ({ service_id, staff_id }) => !desk.service(service_id) || !desk.staff.some(({ id }) => id === staff_id);
      if (appointments.some(isUnknown)) await desk.read(life);
      if (mine !== this.asked) return;
      desk.special = special;
      this.appointments = appointments;
      this.isRead = true;
      this.draw();
      await this.loadCalendars(days, within);
      if (mine !== this.asked) return;
      await desk.contacts.read(life, appointments.map(({ contact_id }) => contact_id));
      if (mine !== this.asked) return;
      this.notice.replaceChildren();
      this.draw();
    } catch (problem) {
      if (mine === this.asked) trouble(life, this.notice, problem, () => this.load());
    }
  }

  /** What calendars of others take of the days, and where they say something else. */
  async loadCalendars(days, within) {
    const { life, desk } = this;
    desk.connections = await orNone(connected(life));
    desk.busy = desk.connections.length ? await orNone(busyTimes(life, desk.zone, desk.connections, days, within)) : [];
    if (desk.connections.length) await conflicts(life, this.differing, desk, () => this.load());
    else this.differing.replaceChildren();
  }

  item(appointment) {
    const { desk } = this;
    const at = desk.zone.at(appointment.starts_at);
    const minutes = (new Date(appointment.ends_at) - new Date(appointment.starts_at)) / MINUTE_MS;
    const service = desk.service(appointment.service_id)?.name ?? "";
    return {
      id: appointment.id,
      day: at.day,
      staff: appointment.staff_id,
      start: at.minute,
      end: Math.min(DAY, at.minute + minutes),
      state: appointment.state,
      word: WORDS[appointment.state] ?? appointment.state,
      time: desk.zone.time(appointment.starts_at),
      who: desk.contacts.name(appointment.contact_id) ?? (appointment.contact_id ? "…" : "Held"),
      what: this.place.view === "week" ? `${service}, ${desk.staffName(appointment.staff_id)}` : service,
      isMovable: isAhead(appointment),
    };
  }

  /** Those that are shown: what was only held is gone when its time is over. */
  items() {
    const isOver = ({ state, expires_at }) => state === "held" && expires_at && Date.parse(expires_at) < Date.now();
    const isShown = (appointment) => !isOver(appointment) && (appointment.state !== "cancelled" || this.bar.cancelled.checked);
    return this.appointments.filter(isShown).map((appointment) => this.item(appointment));
  }

  /** What something else takes of a day, of one person or of all. */
  busy(day, staff = null) {
    const those = this.desk.busy.filter((one) => one.day === day && (!staff || one.staff === staff));
    return those.map(({ start, end, staff: whose }) => ({ start, end, label: `${this.desk.staffName(whose)} is busy` }));
  }

  columns() {
    const { desk } = this;
    const { view, day } = this.place;
    const items = this.items();
    const today = desk.zone.today();
    if (view === "week") {
      const short = { weekday: "short", day: "numeric", month: "short" };
      return this.days().map((one) => ({ key: one, day: one, staff: null, title: dayText(one, short), label: dayText(one), isToday: one === today, openings: desk.openings(one), busy: this.busy(one), items: items.filter((item) => item.day === one) }));
    }
    const there = desk.staff.filter(({ id, archived_at }) => !archived_at || items.some(({ staff }) => staff === id));
    return there.map((one) => ({ key: one.id, day, staff: one.id, title: one.name, label: `${one.name}, ${dayText(day)}`, isToday: day === today, openings: one.archived_at ? [] : desk.openings(day, one), busy: this.busy(day, one.id), items: items.filter(({ staff }) => staff === one.id) }));
  }

  draw() {
    const { desk } = this;
    const { view, day } = this.place;
    const days = this.days();
    const brief = { day: "numeric", month: "long", year: "numeric" };
    const title = view === "week" ? `${dayText(days[0], { day: "numeric", month: "short" })} – ${dayText(days.at(-1), brief)}` : dayText(day);
    this.bar.draw({ view, day, title });
    const columns = this.columns();
    const notes = desk.special.filter((one) => days.includes(one.day)).map((one) => `${dayText(one.day, { weekday: "short", day: "numeric", month: "short" })}: ${one.name}${one.staff_id ? ` (${desk.staffName(one.staff_id)})` : ""}`);
    this.words.textContent = columns.length ? [`Times of ${desk.zone.name}.`, ...notes, ...troubles(desk, desk.connections)].join(" ") : "Nobody works here yet. Administrators add staff in the settings.";
    const now = desk.zone.at(Date.now());
    this.grid.draw({ name: title, columns, isRead: this.isRead, step: desk.reception.step_minutes, now: days.includes(now.day) ? { key: now.day, minute: now.minute } : null });
  }

  book(day, minute = null, staff = null) {
    bookSheet(this.life, this.desk, { day, minute, staff }, () => this.load());
  }

  open(id) {
    const appointment = this.appointments.find((one) => one.id === id);
    if (appointment) appointmentSheet(this.life, this.desk, appointment, () => this.load());
  }

  /** Moves what was dragged: it is shown there at once, and goes back when it cannot be. */
  async move(id, column, minute) {
    const { life, desk } = this;
    const appointment = this.appointments.find((one) => one.id === id);
    if (!appointment) return;
    const to = { starts_at: desk.zone.moment(column.day, minute), staff_id: column.staff ?? appointment.staff_id };
    if (Date.parse(to.starts_at) === Date.parse(appointment.starts_at) && to.staff_id === appointment.staff_id) return;
    const length = new Date(appointment.ends_at) - new Date(appointment.starts_at);
    const shown = { ...appointment, ...to, ends_at: new Date(Date.parse(to.starts_at) + length).toISOString() };
    this.appointments = this.appointments.map((one) => (one.id === id ? shown : one));
    this.draw();
    try {
      await move(life, id, to);
      say(`Moved to ${desk.zone.full(to.starts_at)}.`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      moveSheet(life, desk, appointment, () => this.load(), { to: { day: column.day, minute, staff: to.staff_id }, problem });
    }
    await this.load();
  }
}

begin("calendar", async (life, root) => {
  const desk = new Desk();
  const me = await ask(life, "GET", "/v1/me");
  try {
    await desk.read(life);
  } catch (problem) {
    if (problem?.code !== "reception_not_set_up") throw problem;
    if (me.role === "member") {
      root.append(make("p", { class: "nothing", text: "The reception is not set up yet. An administrator of the organisation does that on this page." }));
      return;
    }
    const form = make("div", { class: "settings" });
    root.append(make("p", { text: "The reception is not set up yet. Say where it is and when it is open; then what is offered, and by whom." }), form);
    await settings(life, form, desk, () => location.assign("/calendar?view=settings"));
    return;
  }
  const calendar = new Calendar(life, root, desk, me);
  let failed = null;
  const isBack = await comeBack(life).catch((problem) => {
    failed = problem;
  });
  await calendar.show();
  if (isBack) document.querySelector("[data-part=calendars]")?.scrollIntoView({ block: "center" });
  if (failed) trouble(life, calendar.notice, failed, () => location.assign("/calendar?view=settings"));
  await follow(life, me, () => calendar.load());
  // The line of now goes on.
  life.every(MINUTE_MS, () => document.hidden || calendar.place.view === "settings" || calendar.draw());
});
