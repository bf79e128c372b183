// One step of a sequence: when it comes, and its texts. What is typed is the state; `read()` gives it as the server takes it.

import { make } from "./dom.js";
import { choice, input, labelled } from "./reception.js";

const MOST_VARIANTS = 10;
const MOST_WEIGHT = 10_000;
/** A text has a subject for the server, also one of a later step, which goes out under that of the first. */
const UNUSED = "Re:";

export const freshVariant = (name = "A") => ({ name, weight: 1, subject: "", text: "", html: null });
export const freshStep = (isFirst) => ({ delay: isFirst ? "0d" : "3d", variants: [freshVariant()] });

function area(name, value, rows, attributes = {}) {
  const control = make("textarea", { name, rows: String(rows), spellcheck: "true", ...attributes });
  control.value = value;
  return control;
}

/** The first letter that no text of the step is called yet. */
function nextName(taken) {
  const letters = Array.from({ length: 26 }, (_, n) => String.fromCodePoint(65 + n));
  return letters.find((letter) => !taken.includes(letter)) ?? `${taken.length + 1}`;
}

function variantFields(variant, isFirst) {
  const name = input("name", { value: variant.name, required: true, maxlength: "100" });
  const weight = input("weight", { type: "number", min: "0", max: String(MOST_WEIGHT), required: true, value: String(variant.weight) });
  const subject = input("subject", { value: variant.subject, spellcheck: "true", maxlength: "1000" });
  const text = area("text", variant.text, 9);
  const html = area("html", variant.html ?? "", 9, { class: "markup" });
  const share = make("span", { class: "soft share" });
  const fold = make("details", { class: "fold" }, make("summary", { text: "As HTML too (optional)" }), labelled("HTML", html, { hint: "Whoever cannot see it reads the text." }));
  fold.open = Boolean(variant.html);
  const head = make("div", { class: "fields variant-head" }, labelled("Name of the text", name), labelled("Weight", weight), share);
  // A later step is an answer to the first, under its subject.
  const answers = "It goes out as an answer to the first step, under the same subject.";
  // One that was written elsewhere may name fields: it is shown, so that it can be mended.
  const hasSubject = isFirst || !["", UNUSED].includes(variant.subject);
  const under = hasSubject ? labelled("Subject", subject, isFirst ? {} : { hint: answers }) : make("p", { class: "field-hint", text: answers });
  const controls = { name, weight, subject: hasSubject ? subject : null, text, html };
  const read = () => ({ name: name.value.trim(), weight: Number(weight.value), subject: isFirst ? subject.value : (hasSubject && subject.value.trim()) || UNUSED, text: text.value, html: html.value.trim() ? html.value : null });
  return { parts: [head, under, labelled("Text", text), fold], controls, read, weight, share };
}

/**
 * A step, as `{ root, read, find }`. `isFirst` has no delay; `changed()` is called when something was typed or made; `remove`
 * is what takes the step away, or null where it cannot be.
 */
export function stepOf({ number, step, isFirst, mayChange, changed, remove }) {
  const [, amount, unit] = /^(\d+)([dh])$/.exec(step.delay) ?? [null, "3", "d"];
  const delay = input("delay", { type: "number", min: "0", max: "8760", required: true, value: amount });
  const units = choice("unit", [["d", "days"], ["h", "hours"]], unit);
  const list = make("div", { class: "variants" });
  const stepError = make("p", { class: "field-error", id: `step-${number}-error` });
  const heading = make("h3", { text: `Step ${number}`, tabindex: "-1" });
  const when = isFirst
    ? make("p", { class: "soft", text: "As soon as the campaign runs and the hour suits the lead." })
    : make("div", { class: "fields delay" }, labelled("After the step before", delay), labelled("Counted in", units, { hint: "Days are at the same hour." }));
  const add = make("button", { type: "button", class: "button small", "data-action": "add-variant", text: "Add a text" });
  let variants = [];

  function shares() {
    const whole = variants.reduce((sum, { fields }) => sum + Number(fields.weight.value || 0), 0);
    for (const { fields } of variants) {
      const part = whole > 0 ? Math.round((Number(fields.weight.value || 0) / whole) * 100) : 0;
      fields.share.textContent = `${part} % of the leads of this step get it.`;
    }
    add.hidden = !mayChange || variants.length >= MOST_VARIANTS;
    for (const { drop } of variants) drop.hidden = !mayChange || variants.length < 2;
  }

  function put(variant) {
    const fields = variantFields(variant, isFirst);
    const drop = make("button", { type: "button", class: "button small quiet", "data-action": "remove-variant", text: "Remove this text" });
    const error = make("p", { class: "field-error" });
    const group = make("fieldset", { class: "variant", disabled: !mayChange }, make("legend", { class: "visually-hidden", text: `A text of step ${number}` }), ...fields.parts, error, drop);
    const entry = { fields, drop, group, error, id: variant.id ?? null };
    drop.addEventListener("click", () => {
      variants = variants.filter((one) => one !== entry);
      group.remove();
      shares();
      changed();
      add.focus();
    });
    variants.push(entry);
    list.append(group);
    return fields;
  }

  for (const variant of step.variants) put(variant);
  add.addEventListener("click", () => {
    const fields = put(freshVariant(nextName(variants.map((one) => one.fields.controls.name.value))));
    shares();
    changed();
    (fields.controls.subject ?? fields.controls.text).focus();
  });
  const buttons = [add];
  if (remove && mayChange) {
    const away = make("button", { type: "button", class: "button small quiet", "data-action": "remove-step", text: `Remove step ${number}` });
    away.addEventListener("click", remove);
    buttons.push(away);
  }
  const root = make("section", { class: "step", "data-step": String(number) }, heading, when, stepError, list, make("div", { class: "item-buttons" }, ...buttons));
  root.addEventListener("input", () => {
    shares();
    changed();
  });
  shares();

  /** The control that a fault is about, and where it is said. */
  function find({ variant, name }) {
    if (variant === null) {
      if (name === "delay" && !isFirst) return { control: delay, error: root.querySelector(`#${delay.id}-error`) };
      return { control: heading, error: stepError };
    }
    const entry = variants[variant];
    const control = entry?.fields.controls[name];
    if (control) return { control, error: root.querySelector(`#${control.id}-error`) };
    return entry ? { control: entry.fields.controls.text, error: entry.error } : null;
  }

  const read = () => ({ delay: isFirst ? "0d" : `${Number(delay.value)}${units.value}`, variants: variants.map(({ fields }) => fields.read()) });
  return { root, read, find, focus: () => heading.focus() };
}
