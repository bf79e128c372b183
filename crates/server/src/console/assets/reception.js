// What the pages of the reception share: how they hear of what others do, lists that are read whole, the names of contacts,
// windows with a form, and how the fields of a form are labelled and told what is wrong with them.

import { Problem } from "./api.js";
import { events } from "./bus.js";
import { copy, make, say, uuid } from "./dom.js";
import { startFollowing } from "./following.js";
import { ask, trouble } from "./operator.js";
import { database, openStore } from "./store.js";
import { Zone, deviceZone } from "./zone.js";

const PAGE = 100;
/** Rows of a list that are read whole. */
const MOST = 2000;
const SOON_MS = 120;
/** What may be missed is looked for this often, and more often where nothing is followed. */
const SAFETY_MS = 60_000;
const BLIND_MS = 8000;
/** Contacts that are asked for one by one when the first page of all does not have them. */
const MOST_CONTACTS = 40;

/** Everything of a list, page by page, as far as `most`. */
export async function everything(life, path, query = {}, most = MOST) {
  const all = [];
  let after = null;
  do {
    const page = await ask(life, "GET", path, { query: { ...query, limit: PAGE, after } });
    all.push(...page.data);
    after = page.next ?? null;
  } while (after !== null && all.length < most);
  return all;
}

/** What is asked for, or what stands in for it where the server says that it is not to be had. */
export async function orElse(asked, otherwise) {
  try {
    return await asked;
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.isPassing) throw problem;
    return otherwise;
  }
}

/** The zone of the reception, or of this device while there is none. */
export async function zoneOf(life) {
  const reception = await orElse(ask(life, "GET", "/v1/reception"), null);
  return new Zone(reception?.time_zone ?? deviceZone());
}

/** The name of a contact, or the number or address of somebody without one. */
export const nameOf = ({ name, phone, email }) => name || phone || email || "Somebody";

/**
 * Calls `look` soon after something has happened at the reception, whoever did it: the board of the organisation counts
 * that, and syncs. One window of this browser follows the server for all.
 */
export async function follow(life, me, look) {
  const soon = life.soon(SOON_MS, look);
  const seen = () => document.hidden || soon();
  await openStore(me);
  startFollowing(me);
  life.on(events, "local:rows", ({ detail: { changes, all } }) => {
    if (all || changes.some(({ kind }) => kind === "board")) soon();
  });
  // Whoever signs out elsewhere is told so by the page, begun anew.
  life.on(events, "signed-out", () => location.reload());
  life.on(document, "visibilitychange", seen);
  life.every(database() ? SAFETY_MS : BLIND_MS, seen);
}

/** The names of contacts, by id. Each is asked for once: reading them is noted on the server. */
export class Contacts {
  #known = new Map();
  #hasLooked = false;

  /** What somebody is called; null for nobody. */
  name(id) {
    const found = this.#known.get(id);
    return found ? nameOf(found) : null;
  }

  put(contact) {
    this.#known.set(contact.id, contact);
  }

  /** Reads those that are not known yet. Who cannot be read stays nameless. */
  async read(life, ids) {
    const missing = () => [...new Set(ids)].filter((id) => id && !this.#known.has(id));
    if (missing().length > 1 && !this.#hasLooked) {
      this.#hasLooked = true;
      const { data } = await ask(life, "GET", "/v1/contacts", { query: { limit: PAGE } });
      for (const contact of data) this.put(contact);
    }
    for (const id of missing().slice(0, MOST_CONTACTS)) {
      this.put(await orElse(ask(life, "GET", `/v1/contacts/${id}`), { id, name: "Removed" }));
    }
  }
}

/** A window over the page. `close()` takes it away; `slot` is for what goes wrong. */
export function sheet(title, name) {
  const heading = make("h2", { id: `${name}-heading`, text: title });
  const close = make("button", { type: "button", class: "button small quiet", "data-action": "close", text: "Close" });
  const slot = make("div", { class: "listing-notice" });
  const body = make("div", { class: "sheet-body" });
  const head = make("div", { class: "sheet-head" }, heading, close);
  const dialog = make("dialog", { class: "dialog sheet", "data-sheet": name, "aria-labelledby": `${name}-heading` }, head, slot, body);
  const before = document.activeElement?.dataset?.id;
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    // What was there before may have been drawn anew.
    if (before) document.querySelector(`[data-id="${CSS.escape(before)}"]`)?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, body, slot, close: () => dialog.close() };
}

let fields = 0;

/** A control under its label, with a hint and room for what is wrong with it. Its name is that of the server's field. */
export function labelled(text, control, { hint, wide = false } = {}) {
  const id = `field-${(fields += 1)}`;
  control.id = id;
  const below = make("span", { class: "field-error", id: `${id}-error` });
  const parts = [make("label", { for: id, text }), control];
  if (hint) parts.push(make("span", { class: "field-hint", id: `${id}-hint`, text: hint }));
  control.setAttribute("aria-describedby", [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(" "));
  return make("div", { class: wide ? "field wide" : "field" }, ...parts, below);
}

export const input = (name, attributes = {}) => make("input", { name, autocomplete: "off", ...attributes });

/** A choice between `[value, text]`. */
export function choice(name, options, value = "") {
  const control = make("select", { name }, ...options.map(([key, text]) => make("option", { value: key, text })));
  control.value = value;
  return control;
}

/** A tick with its words. */
export const tick = (name, text, checked = false) => make("label", { class: "check" }, make("input", { type: "checkbox", name, checked }), make("span", { text }));

/** Says beside the fields of a form what is wrong with them, and what else is wrong in `slot`. */
export function faults(life, form, slot, problem) {
  let first = null;
  const others = [];
  for (const { field, detail } of problem instanceof Problem ? problem.fields : []) {
    const control = form.elements[field.split(".").at(-1)];
    const place = control && document.getElementById(`${control.id}-error`);
    if (!place) {
      others.push(`${field}: ${detail}`);
      continue;
    }
    control.setAttribute("aria-invalid", "true");
    place.textContent = detail;
    first ??= control;
  }
  if (others.length) slot.replaceChildren(make("p", { class: "off", role: "alert", text: others.join(" ") }));
  else if (!first) trouble(life, slot, problem);
  if (first) first.focus();
  else slot.scrollIntoView({ block: "nearest" });
}

function clear(form, slot) {
  slot.replaceChildren();
  for (const control of form.elements) control.removeAttribute?.("aria-invalid");
  for (const place of form.querySelectorAll(".field-error")) place.textContent = "";
}

/** Sends what a form says by `send`, once at a time. What goes wrong goes to `refused`, if that takes it, or beside the fields. */
export function onSubmit(life, form, slot, send, refused = () => false) {
  let isSending = false;
  const submit = async () => {
    if (isSending) return;
    isSending = true;
    form.setAttribute("aria-busy", "true");
    clear(form, slot);
    try {
      await send();
    } catch (problem) {
      if (problem?.name !== "AbortError" && !refused(problem)) faults(life, form, slot, problem);
    } finally {
      isSending = false;
      form.removeAttribute("aria-busy");
    }
  };
  // This listener goes away with its element.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    life.run(submit);
  });
  return () => form.requestSubmit();
}

/** Gives the header with a key for what a form makes: the same for the same wish, so that one that is sent again is made once. */
export function onceOnly() {
  let last = { text: "", key: "" };
  return (wish) => {
    const text = JSON.stringify(wish);
    if (text !== last.text) last = { text, key: uuid() };
    return { "Idempotency-Key": last.key };
  };
}

/** A value that is pasted somewhere else. */
export function toCopy(label, text) {
  const button = make("button", { type: "button", class: "button small", text: "Copy", "aria-label": `Copy ${label}` });
  button.addEventListener("click", async () => say((await copy(text)) ? "Copied." : "It could not be copied."));
  return make("li", {}, make("div", {}, make("p", { class: "soft", text: label }), make("code", { text })), button);
}

/** The button that sends a form. */
export const submitButton = (text) => make("button", { type: "submit", class: "button primary", text });
