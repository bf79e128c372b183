// What is wrong with the steps of a campaign, told at the field that it is about. A text is one thing to the server, which
// says in words which part of it is wrong, and at which line and column.

import { trouble } from "./operator.js";

const PLACE = /^The (subject|text|HTML), line (\d+), column (\d+): ([\s\S]*)$/;
const NAMES = { subject: "subject", text: "text", HTML: "html" };
const FIELD = /^steps\[(\d+)\](?:\.variants\[(\d+)\])?(?:\.(\w+))?/;

/** Where a fault is: the number of the step and of the text, the name of the control, and the place in it. */
export function placeOf({ field, detail }) {
  const found = FIELD.exec(field);
  if (!found) return null;
  const [, step, variant, name] = found;
  const place = { step: Number(step), variant: variant === undefined ? null : Number(variant), name: name ?? null, words: detail, at: null };
  const inside = PLACE.exec(detail);
  if (!inside) return place;
  const [, part, line, column, words] = inside;
  return { ...place, name: NAMES[part], words: `Line ${line}, column ${column}: ${words}`, at: [Number(line), Number(column)] };
}

/** How many UTF-16 units are before a line and column, both from 1; a column is a character. */
export function offsetOf(text, [line, column]) {
  const lines = text.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  return before + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
}

/**
 * Says what is wrong: at controls, which `find(place)` gives with `{ control, error }`, or in `slot` what has none. The first
 * control gets the focus, with the cursor where the fault is.
 */
export function showFaults(life, slot, problem, find) {
  const others = [];
  let first = null;
  for (const fault of problem.fields ?? []) {
    const place = placeOf(fault);
    const found = place && find(place);
    if (!found) {
      others.push(fault.detail);
      continue;
    }
    found.error.textContent = place.words;
    found.control.setAttribute("aria-invalid", "true");
    const fold = found.control.closest("details");
    if (fold) fold.open = true;
    first ??= { ...found, place };
  }
  if (others.length || !first) trouble(life, slot, others.length ? Object.assign(problem, { detail: others.join(" ") }) : problem);
  if (!first) return;
  first.control.focus();
  if (first.place.at && first.control.setSelectionRange) {
    const at = offsetOf(first.control.value, first.place.at);
    first.control.setSelectionRange(at, at);
  }
}
