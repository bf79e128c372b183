// What the columns of a list are: as their names say, and as somebody says who has looked at the first rows.

import { make } from "./dom.js";

const KINDS = [
  ["address", "Email"],
  ["first_name", "First name"],
  ["last_name", "Last name"],
  ["company", "Company"],
  ["zone", "Time zone"],
  ["own", "A field of your own"],
  ["skip", "Left out"],
];
/** One column at most is each of these. */
const SINGLE = new Set(["address", "first_name", "last_name", "company", "zone"]);
/** Rows whose values are shown beside a column. */
const ROWS = 3;

/** The name of a field for a column that is called so. */
const fieldOf = (title) => title.trim().toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "_").replaceAll(/^_+|_+$/g, "").slice(0, 40);

/**
 * A table of the columns that were found, as `{ root, read(), fault(text) }`; `read` gives what each is, or null when there is
 * a fault, which it shows.
 */
export function columnTable({ header, columns, rows }) {
  const slot = make("p", { class: "field-error", role: "alert" });
  const entries = header.map((title, n) => {
    const name = title || `Column ${n + 1}`;
    const known = columns[n] ?? { is: "skip" };
    const kind = make("select", { name: `column-${n}`, "aria-label": `What ${name} is` }, ...KINDS.map(([value, text]) => make("option", { value, text })));
    const field = make("input", { name: `field-${n}`, autocomplete: "off", spellcheck: "false", maxlength: "57", "aria-label": `Name of the field for ${name}` });
    kind.value = known.is;
    field.value = known.field ?? fieldOf(title);
    const show = () => (field.hidden = kind.value !== "own");
    kind.addEventListener("change", () => {
      show();
      check();
    });
    field.addEventListener("input", () => check());
    show();
    const values = rows.slice(0, ROWS).map((row) => row[n] ?? "").filter(Boolean);
    const shown = values.length ? values.map((text) => make("span", { class: "cut", title: text, text })) : [make("span", { class: "soft", text: "empty" })];
    const cells = [make("td", { class: "values", "data-label": "First rows" }, make("div", {}, ...shown)), make("td", { "data-label": "What it is" }, make("div", { class: "column-choice" }, kind, field))];
    return { kind, field, name, row: make("tr", { "data-column": String(n) }, make("th", { scope: "row", "data-label": "Column", text: name }), ...cells) };
  });

  /** What is wrong, in a sentence; empty when nothing is. */
  function faultOf() {
    const kinds = entries.map(({ kind }) => kind.value);
    const label = (kind) => KINDS.find(([value]) => value === kind)[1];
    if (!kinds.includes("address")) return "Say which column has the email addresses.";
    const twice = kinds.find((kind, n) => SINGLE.has(kind) && kinds.indexOf(kind) !== n);
    if (twice) return `Two columns are “${label(twice)}”. Leave one out, or make it a field of your own.`;
    const nameless = entries.find(({ kind, field }) => kind.value === "own" && !field.value.trim());
    return nameless ? `Give the field for ${nameless.name} a name.` : "";
  }

  function check() {
    slot.textContent = faultOf();
    return !slot.textContent;
  }

  function read() {
    if (!check()) return null;
    return entries.map(({ kind, field }) => (kind.value === "own" ? { is: "own", field: field.value.trim() } : { is: kind.value }));
  }

  const head = make("tr", {}, ...["Column", "First rows", "What it is"].map((text) => make("th", { scope: "col", text })));
  const table = make("table", {}, make("caption", { class: "visually-hidden", text: "Columns" }), make("thead", {}, head), make("tbody", {}, ...entries.map(({ row }) => row)));
  check();
  return { root: make("div", { class: "listing columns" }, table, slot), read, fault: (text) => (slot.textContent = text) };
}
