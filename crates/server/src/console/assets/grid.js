// Columns of hours with what is in them: a day by who does it, or a week by its days. What is offered is light, the rest is
// shaded; a free place and an appointment can be pressed, and an appointment dragged.

import { dragging } from "./drag.js";
import { make } from "./dom.js";
import { clockText, hourText } from "./zone.js";

const HOUR = 60;
const DAY = 1440;
/** What is shown of a day on which nothing is open and nobody comes. */
const USUAL = [8 * HOUR, 18 * HOUR];
/** An appointment is drawn at least this long, so that it can be read and pressed. */
const SHORTEST = 15;

/** The hours that have everything of these columns. */
function hoursOf(columns) {
  const spans = columns.flatMap(({ openings, items }) => [...openings, ...items.map(({ start, end }) => [start, end])]);
  if (!spans.length) return USUAL;
  const from = Math.min(...spans.map(([start]) => start));
  const until = Math.max(...spans.map(([, end]) => end));
  return [Math.floor(from / HOUR) * HOUR, Math.min(DAY, Math.ceil(until / HOUR) * HOUR)];
}

/** Puts what overlaps side by side: each gets its lane, and how many there are beside it. */
export function lanes(items) {
  const sorted = items.toSorted((one, other) => one.start - other.start || other.end - one.end);
  let group = [];
  let until = -1;
  const close = () => {
    const count = Math.max(0, ...group.map(({ lane }) => lane + 1));
    for (const item of group) item.lanes = count;
    group = [];
  };
  for (const item of sorted) {
    if (item.start >= until) close();
    const taken = new Set(group.filter(({ end }) => end > item.start).map(({ lane }) => lane));
    item.lane = 0;
    while (taken.has(item.lane)) item.lane += 1;
    group.push(item);
    until = Math.max(until, item.end);
  }
  close();
  return sorted;
}

/**
 * Makes the calendar below `root`. `onFree(column, minute)` is called for a free place, `onOpen(id)` for an appointment,
 * `onMove(id, column, minute)` when one was dragged. Gives `draw(view)`, whose view has:
 * - `columns`: `{ key, title, label, isToday, openings: [[from, until]], items }`, with the day and the staff they stand for;
 *   and `busy: [{ start, end, label }]` of what something else takes;
 * - items: `{ id, start, end, state, time, who, what, isMovable }`;
 * - `isRead`: whether the appointments are known, and not only the hours;
 * - `step`: minutes between the beginnings that are offered; `now`: `{ key, minute }` or null; `name`: what it shows.
 */
export function grid(life, root, { onFree, onOpen, onMove }) {
  const frame = make("div", { class: "calendar", role: "region", tabindex: "0" });
  root.append(frame);
  let shown = null;
  let waits = null;

  /** What is under the pointer: the column's element and a minute of the day. */
  function placeOf(element, y, step, fit = Math.floor) {
    const box = element.getBoundingClientRect();
    const [from, until] = shown.hours;
    const minute = from + ((y - box.top) / box.height) * (until - from);
    return Math.max(0, Math.min(DAY - step, fit(minute / step) * step));
  }

  const columnOf = (element) => shown.view.columns.find(({ key }) => key === element.dataset.column);

  /** Where something is in its column. */
  function put(element, start, end) {
    const [from] = shown.hours;
    element.style.setProperty("--start", start - from);
    element.style.setProperty("--length", Math.max(SHORTEST, end - start));
    return element;
  }

  const drag = dragging(life, frame, {
    columnAt: (x, y) => document.elementsFromPoint(x, y).find((element) => element.matches("[data-column]")),
    minuteAt: (element, y) => placeOf(element, y, shown.view.step, Math.round),
    ghost: (column, id, minute) => {
      const item = shown.view.columns.flatMap(({ items }) => items).find((one) => one.id === id);
      const ghost = make("div", { class: "appointment ghost", "aria-hidden": "true" }, make("strong", { text: clockText(minute) }), ` ${item.who}`);
      column.append(put(ghost, minute, minute + item.end - item.start));
      return ghost;
    },
    drop: (id, column, minute) => onMove(id, columnOf(column), minute),
    ended: () => {
      const view = waits;
      waits = null;
      if (view) draw(view);
    },
  });

  function appointment(item) {
    const time = make("span", { class: "appointment-time", text: item.time });
    const who = make("strong", { text: item.who });
    const label = `${item.time}, ${item.who}, ${item.what}, ${item.word}`;
    const button = make("button", { type: "button", class: "appointment", "data-id": item.id, "data-state": item.state, "data-movable": item.isMovable, "aria-label": label, title: label }, time, who, make("span", { text: item.what }));
    button.style.setProperty("--lane", item.lane);
    button.style.setProperty("--lanes", item.lanes);
    return put(button, item.start, item.end);
  }

  function column(one) {
    const open = one.openings.map(([from, until]) => put(make("div", { class: "open" }), from, until));
    const [first, last] = shown.hours;
    const within = (one.busy ?? []).map((busy) => ({ ...busy, start: Math.max(first, busy.start), end: Math.min(last, busy.end) }));
    const busy = within.filter(({ start, end }) => start < end).map(({ start, end, label }) => put(make("div", { class: "busy", title: label, role: "img", "aria-label": label }), start, end));
    const { now } = shown.view;
    const line = now?.key === one.key || (now && one.isToday) ? [put(make("div", { class: "now" }), now.minute, now.minute)] : [];
    return make("div", { class: "column", role: "group", "data-column": one.key, "aria-label": one.label }, ...open, ...busy, ...line, ...lanes(one.items).map(appointment));
  }

  function draw(view) {
    // What is held with the pointer is not taken away from under it.
    if (drag.isActive()) {
      waits = view;
      return;
    }
    const isNew = shown?.view.name !== view.name || (view.isRead && !shown.view.isRead);
    const focused = frame.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const { scrollTop, scrollLeft } = frame;
    shown = { view, hours: hoursOf(view.columns) };
    const [from, until] = shown.hours;
    frame.setAttribute("aria-label", view.name);
    frame.style.setProperty("--columns", view.columns.length);
    frame.style.setProperty("--minutes", until - from);
    const heads = view.columns.map(({ title, isToday }) => make("div", { class: isToday ? "column-head today" : "column-head", text: title }));
    const hours = Array.from({ length: (until - from) / HOUR }, (_, place) => put(make("span", { class: "hour", text: hourText(from + place * HOUR) }), from + place * HOUR, from));
    frame.replaceChildren(
      make("div", { class: "corner", "aria-hidden": "true" }),
      ...heads,
      make("div", { class: "hours", "aria-hidden": "true" }, ...hours),
      ...view.columns.map(column),
    );
    if (isNew) reveal();
    else Object.assign(frame, { scrollTop, scrollLeft });
    if (focused) frame.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  /** Scrolls to now, or to the first appointment, or to the morning. */
  function reveal() {
    const blocks = [...frame.querySelectorAll(".appointment")].map(({ offsetTop }) => offsetTop);
    const [from, until] = shown.hours;
    const { offsetHeight = 0 } = frame.querySelector(".column") ?? {};
    const morning = Math.max(0, ((USUAL[0] - from) / (until - from)) * offsetHeight);
    const first = frame.querySelector(".now")?.offsetTop ?? (blocks.length ? Math.min(...blocks) : morning);
    const today = frame.querySelector(".column-head.today");
    frame.scrollTop = Math.max(0, first - 60);
    frame.scrollLeft = today ? Math.max(0, today.offsetLeft - 80) : 0;
  }

  life.on(frame, "click", (event) => {
    if (drag.hasJustEnded()) return;
    const known = event.target.closest(".appointment");
    if (known) return onOpen(known.dataset.id);
    const place = event.target.closest("[data-column]");
    if (place) return onFree(columnOf(place), placeOf(place, event.clientY, shown.view.step));
  });

  return { draw };
}
