// The sequence of a campaign: its steps, one below the other, the fields that texts may name, and the try of what is saved.

import { Problem } from "./api.js";
import { make, say } from "./dom.js";
import { ask, sure, trouble } from "./operator.js";
import { choice, input, labelled } from "./reception.js";
import { freshStep, stepOf } from "./sequence-step.js";
import { trial } from "./sequence-trial.js";
import { showFaults } from "./template-faults.js";

const MOST_STEPS = 20;
/** Leads among whom fields of the organisation's own are looked for. */
const LEADS = 50;
const KNOWN = ["first_name", "last_name", "company", "email", "unsubscribe_url"];
/** Of these nobody lacks one. */
const ALWAYS = new Set(["email", "unsubscribe_url"]);

/** The fields that some leads have, beside those that are known. */
function fieldsOf(leads) {
  const own = new Set(leads.flatMap(({ fields }) => Object.keys(fields)));
  return [...KNOWN, ...[...own].filter((name) => !KNOWN.includes(name)).sort()];
}

const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** What puts a field into the text that was typed in last, with what stands there for those without one. */
function inserter(life, root, names) {
  const field = choice("field", names.map((name) => [name, name]), names[0]);
  const instead = input("instead", { value: "there", maxlength: "200" });
  const button = make("button", { type: "button", class: "button small", "data-action": "insert-field", text: "Put it in" });
  const without = labelled("For leads without one", instead);
  let last = null;
  life.on(root, "focusin", ({ target }) => {
    if (target.matches("[name=subject], [name=text], [name=html]")) last = target;
  });
  life.on(field, "change", () => (without.hidden = ALWAYS.has(field.value)));
  life.on(button, "click", () => {
    const control = last?.isConnected ? last : root.querySelector("[name=subject], [name=text]");
    if (!control) return;
    const words = instead.value.trim() && !ALWAYS.has(field.value) ? `{{${field.value} | ${quoted(instead.value.trim())}}}` : `{{${field.value}}}`;
    control.setRangeText(words, control.selectionStart, control.selectionEnd, "end");
    control.dispatchEvent(new Event("input", { bubbles: true }));
    control.focus();
  });
  return make("section", { class: "inserter", "aria-label": "A field of the lead" }, make("div", { class: "inserter-row" }, labelled("A field of the lead", field), without, button), make("p", { class: "field-hint", text: "It goes where the cursor is. With nothing for leads without one, the campaign is not launched while a lead lacks it." }));
}

export async function sequence(life, root, context) {
  const { id, path, drafts } = context;
  const mayChange = context.mayChange && context.known.campaign.state !== "stopped";
  const [saved, leads] = await Promise.all([ask(life, "GET", `${path}/steps`), ask(life, "GET", `${path}/leads`, { query: { limit: LEADS } })]);
  let kept = saved.steps;
  let steps = [];
  const notice = make("div", { class: "listing-notice" });
  const list = make("div", { class: "steps" });
  const add = make("button", { type: "button", class: "button", "data-action": "add-step", text: "Add a step" });
  const save = make("button", { type: "submit", class: "button primary", "data-action": "save-steps", text: "Save the sequence" });
  const discard = make("button", { type: "button", class: "button quiet", "data-action": "discard", text: "Leave the changes", hidden: true });
  const words = make("span", { class: "soft", role: "status" });
  const form = make("form", { "data-form": "steps", novalidate: true }, list, make("div", { class: "item-buttons" }, add), make("div", { class: "save-bar" }, save, discard, words));
  const tries = trial(life, context, leads.data, () => drafts.has(id));

  const read = () => steps.map((step) => step.read());

  function changed() {
    drafts.set(id, read());
    discard.hidden = false;
    words.textContent = "Not saved yet.";
    tries.changed();
  }

  /** Shows these steps, in place of what was there. */
  function draw(wanted) {
    list.replaceChildren();
    steps = wanted.map((step, n) => {
      const remove = wanted.length > 1 ? () => redraw(read().filter((_, other) => other !== n), Math.max(0, n - 1)) : null;
      return stepOf({ number: n + 1, step, isFirst: n === 0, mayChange, changed, remove });
    });
    list.append(...steps.map((step) => step.root));
    add.hidden = !mayChange || steps.length >= MOST_STEPS;
  }

  function redraw(wanted, focused) {
    draw(wanted);
    changed();
    steps[focused]?.focus();
  }

  function settle(found) {
    kept = found;
    drafts.delete(id);
    discard.hidden = true;
    words.textContent = "";
    draw(kept.length ? kept : [freshStep(true)]);
    tries.renew(kept);
  }

  function clear() {
    notice.replaceChildren();
    for (const place of list.querySelectorAll(".field-error")) place.textContent = "";
    for (const control of list.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  }

  async function store() {
    if (save.hasAttribute("aria-disabled")) return;
    clear();
    save.setAttribute("aria-disabled", "true");
    try {
      const found = await ask(life, "PUT", `${path}/steps`, { body: { steps: read() } });
      settle(found.steps);
      words.textContent = "The sequence is saved.";
      say("The sequence is saved.");
    } catch (problem) {
      if (problem instanceof Problem && problem.fields.length) showFaults(life, notice, problem, (place) => steps[place.step]?.find(place));
      else trouble(life, notice, problem, store);
    } finally {
      save.removeAttribute("aria-disabled");
    }
  }

  life.on(form, "submit", (event) => {
    event.preventDefault();
    return store();
  });
  life.on(add, "click", () => redraw([...read(), freshStep(false)], steps.length));
  life.on(discard, "click", async () => {
    if (await sure({ title: "Leave the changes?", text: "What was typed since it was saved is gone.", yes: "Leave them", danger: true })) settle(kept);
  });

  for (const button of [save, add]) button.hidden = !mayChange;
  if (mayChange) form.prepend(inserter(life, form, fieldsOf(leads.data)));
  root.append(notice, form, tries.root);
  const draft = drafts.get(id);
  settle(kept);
  if (draft) {
    draw(draft);
    changed();
  }
}
