// The figures of a campaign, added up: all of them, and by step, text and account. They come as rows of
// `{ step, variant_id, account_id, day, kind, count }`; what they are not told apart by is null.

import { make } from "./dom.js";

const format = new Intl.NumberFormat();
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

/** A number of things, written. */
export const number = (value) => format.format(value);
/** A share of something, written; nothing where there is nothing to share. */
export const share = (part, whole) => (whole > 0 ? percent.format(part / whole) : "");

/** How much there is of each kind. */
export function sumsOf(rows) {
  const sums = {};
  for (const { kind, count } of rows) sums[kind] = (sums[kind] ?? 0) + count;
  return sums;
}

/** The sums by what `keyOf(row)` gives, in the order in which they come up. Rows without it, as those of leads, are left out. */
export function sumsBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) {
    const key = keyOf(row);
    if (key === null) continue;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return new Map([...groups].map(([key, group]) => [key, sumsOf(group)]));
}

/** What people did, and beside it what machines did, which open and follow everything in the mail of some companies. */
function told(sums, kind) {
  const machines = sums[`machine_${kind}`] ?? 0;
  const people = make("span", { text: number(sums[kind] ?? 0) });
  return machines ? make("span", {}, people, make("span", { class: "soft", title: "by machines", text: ` + ${number(machines)}` })) : people;
}

const plain = (kind) => (sums) => make("span", { text: number(sums[kind] ?? 0) });
const COLUMNS = [
  ["Queued", plain("queued")],
  ["Sent", plain("accepted")],
  ["Opened", (sums) => told(sums, "opened")],
  ["Clicked", (sums) => told(sums, "clicked")],
  ["Replied", plain("replied")],
  ["Bounced", plain("bounced")],
  ["Unsubscribed", plain("unsubscribed")],
  ["Converted", plain("converted")],
];

/** A table of sums under names. */
export function figureTable(caption, first, groups) {
  const head = make("tr", {}, ...[first, ...COLUMNS.map(([label]) => label)].map((text) => make("th", { scope: "col", text })));
  const row = ([name, sums]) => make("tr", {}, make("th", { scope: "row", "data-label": first, text: name }), ...COLUMNS.map(([label, cell]) => make("td", { "data-label": label }, cell(sums))));
  return make("table", {}, make("caption", { text: caption }), make("thead", {}, head), make("tbody", {}, ...groups.map(row)));
}
