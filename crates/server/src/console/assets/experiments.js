// What experiments have found, for operators of the installation. The figures and what may be said of them come from the
// server; this page only draws them.

import { Problem, call, refresh } from "./api.js";
import { $, make } from "./dom.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 760;
const LEFT = 160;
const ROW = 32;
const VERDICTS = {
  not_enough_data: "not enough data",
  split_is_off: "not to be trusted",
  no_difference_seen: "no difference seen",
  higher: "higher",
  lower: "lower",
};

const number = (measure, value) => (measure === "conversion" ? `${(value * 100).toFixed(2)} %` : value.toFixed(4));
/** A difference: that of two shares is in percentage points. */
const change = (measure, value) => `${value > 0 ? "+" : ""}${measure === "conversion" ? `${(value * 100).toFixed(2)} points` : value.toFixed(4)}`;
const span = (write, measure, interval) => (interval ? `${write(measure, interval.low)} to ${write(measure, interval.high)}` : "–");
const percent = (share) => `${Number((share * 100).toFixed(2))} %`;

function table(caption, names, rows) {
  const row = (cells, tag) => make("tr", {}, ...cells.map((text, place) => make(place ? tag : "th", { text, scope: place ? null : "row" })));
  const head = make("tr", {}, ...names.map((text) => make("th", { text, scope: "col" })));
  return make("table", {}, make("caption", { text: caption }), make("thead", {}, head), make("tbody", {}, ...rows.map((cells) => row(cells, "td"))));
}

function shape(tag, attributes, text) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The intervals of the differences on one scale, with a line at zero. The table beside it has the same in words. */
function drawing(comparisons) {
  const rows = comparisons.filter((comparison) => comparison.interval);
  const widest = Math.max(0, ...rows.flatMap(({ interval }) => [Math.abs(interval.low), Math.abs(interval.high)]));
  if (widest === 0) return [];
  const at = (value) => LEFT + ((value / widest + 1) / 2) * (WIDTH - LEFT - 20);
  const height = ROW * (rows.length + 1);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "intervals", "aria-hidden": "true" });
  svg.append(shape("line", { x1: at(0), x2: at(0), y1: 0, y2: height, class: "zero" }));
  rows.forEach(({ name, difference, interval }, place) => {
    const y = ROW * (place + 1);
    svg.append(
      shape("text", { x: 0, y: y + 5 }, name),
      shape("line", { x1: at(interval.low), x2: at(interval.high), y1: y, y2: y, class: "interval" }),
      shape("circle", { cx: at(difference), cy: y, r: 6 }),
    );
  });
  return [svg];
}

function figures({ experiment, results }) {
  const { measure, variants, comparisons, split } = results;
  const what = measure === "conversion" ? "units with at least one event" : "the mean over units of the sum of the values of";
  const parts = [make("p", { text: `${percent(experiment.traffic / 10000)} of ${experiment.unit}s take part. Compared: ${what} “${experiment.metric}” after the exposure.` })];
  if (split.is_off) {
    parts.push(make("p", { class: "off", role: "alert", text: "Units were not split as the weights say. Something loses or repeats some of them; trust no figure here until that is found." }));
  }
  const found = variants.map(({ name, weight, units, converted, value, interval }) => [name, weight, units, converted, number(measure, value), span(number, measure, interval)]);
  const against = comparisons.map(({ name, difference, interval, verdict }) => [name, change(measure, difference), span(change, measure, interval), VERDICTS[verdict] ?? verdict]);
  parts.push(
    table("Variants", ["Variant", "Weight", "Units", "Converted", "Value", `${percent(results.confidence)} interval`], found),
    table("Against the first variant", ["Variant", "Difference", `${percent(results.comparison_confidence)} interval`, "Verdict"], against),
    ...drawing(comparisons),
  );
  return parts;
}

function entry(experiment) {
  const words = experiment.winner ? `${experiment.state}, ${experiment.winner} for everybody` : experiment.state;
  const body = make("div", { class: "figures" });
  const details = make("details", {}, make("summary", {}, make("strong", { text: experiment.key }), ` ${words}`), make("p", { text: experiment.description }), body);
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    body.replaceChildren(make("p", { text: "Adding up …" }));
    try {
      body.replaceChildren(...figures(await call("GET", `/v1/experiments/${experiment.id}`)));
    } catch (problem) {
      body.replaceChildren(trouble(problem));
    }
  });
  return details;
}

function trouble(problem) {
  if (!(problem instanceof Problem)) throw problem;
  const paragraph = make("p", { class: "off", role: "alert" });
  if (problem.status === 401) paragraph.append("Nobody is signed in here. ", make("a", { href: "/", text: "Sign in" }), " and come back.");
  else if (problem.status === 403) paragraph.append("This page is for operators of the installation.");
  else paragraph.append(problem.detail);
  return paragraph;
}

async function start() {
  const list = $("#experiments");
  try {
    await refresh();
    const { data } = await call("GET", "/v1/experiments");
    list.replaceChildren(...(data.length ? data.map(entry) : [make("p", { text: "There are no experiments." })]));
  } catch (problem) {
    list.replaceChildren(trouble(problem));
  }
}

start();
