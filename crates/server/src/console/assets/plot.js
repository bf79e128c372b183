// Drawings of numbers: what went out day by day, and how an account warms up. They are SVG with attributes only, since the
// page may have no inline styles; what is in them stands beside them in words.

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const RAMP_HEIGHT = 120;
/** A drawing is made for the room that it has, so that what is written in it can be read. */
const NARROWEST = 280;
const WIDEST = 1120;
const LEFT = 44;
const BOTTOM = 24;
const TOP = 12;
/** Room for the label of a day. */
const LABEL = 70;
const number = new Intl.NumberFormat();
const dayName = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

export function shape(tag, attributes, text) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The next number from 1, 2 and 5 times a power of ten: where a scale ends. */
export function scaleEnd(most) {
  if (most <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= most);
}

/** The label of a day, `2026-05-01`. */
export const dayLabel = (day) => dayName.format(new Date(`${day}T00:00:00Z`));

function frame(classes, words, most, [room, height]) {
  const width = Math.min(WIDEST, Math.max(NARROWEST, room));
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: `plot ${classes}`, role: "img", "aria-label": words });
  const floor = height - BOTTOM;
  for (const part of most > 1 ? [0, 0.5, 1] : [0, 1]) {
    const y = floor - part * (floor - TOP);
    svg.append(shape("line", { x1: LEFT, x2: width, y1: y, y2: y, class: part ? "grid" : "floor" }), shape("text", { x: LEFT - 8, y: y + 4, class: "end" }, number.format(most * part)));
  }
  return { svg, width, floor, height: (value) => (value / most) * (floor - TOP) };
}

/**
 * Bars for days, `{ day, whole, part }`, with a part of each filled; `words` says what it is. The bars have their numbers as
 * titles: `told(day)`; `room` is how wide it will be.
 */
export function dayPlot(days, words, told, room) {
  const { svg, width, floor, height } = frame("days", words, scaleEnd(Math.max(1, ...days.map(({ whole }) => whole))), [room, HEIGHT]);
  const wide = (width - LEFT) / days.length;
  const bar = Math.min(36, wide * 0.7);
  const every = Math.ceil(LABEL / wide);
  days.forEach((day, n) => {
    const x = LEFT + wide * (n + 0.5);
    const column = shape("g", {});
    const rect = (value, name) => shape("rect", { x: x - bar / 2, width: bar, y: floor - height(value), height: height(value), class: name });
    column.append(shape("title", {}, told(day)), rect(day.whole, "whole"), rect(day.part, "part"));
    svg.append(column);
    if (n % every === 0) svg.append(shape("text", { x, y: floor + 17, class: "middle" }, dayLabel(day.day)));
  });
  return svg;
}

/** How many emails an account may send on each of its first days, and where it is now. */
export function rampPlot({ start, step }, cap, now, room) {
  const most = 120;
  // Without a step it never gets further.
  const days = step > 0 ? Math.min(most, Math.max(1, Math.ceil((cap - start) / step))) : 7;
  const shown = days + 2;
  const at = (day) => Math.min(cap, start + day * step);
  const words = `From ${number.format(start)} a day by ${number.format(step)} more each day, up to ${number.format(cap)}. Now it is ${number.format(now)}.`;
  const { svg, width, floor, height } = frame("ramp", words, scaleEnd(Math.max(1, cap, start)), [room, RAMP_HEIGHT]);
  const x = (day) => LEFT + ((width - LEFT) * day) / shown;
  const points = [];
  for (let day = 0; day < shown; day += 1) {
    const y = floor - height(at(day));
    points.push(`${x(day)},${y}`, `${x(day + 1)},${y}`);
  }
  const today = step > 0 ? Math.min(shown - 1, Math.max(0, Math.round((now - start) / step))) : 0;
  svg.append(
    shape("title", {}, words),
    shape("polygon", { points: `${x(0)},${floor} ${points.join(" ")} ${x(shown)},${floor}`, class: "ground" }),
    shape("polyline", { points: points.join(" "), class: "line" }),
    shape("circle", { cx: x(today + 0.5), cy: floor - height(Math.min(now, cap)), r: 6, class: "today" }),
    shape("text", { x: x(0), y: floor + 17 }, "day 1"),
    shape("text", { x: x(days + 0.5), y: floor + 17, class: "middle" }, step > 0 ? `day ${days + 1}` : ""),
  );
  return svg;
}
