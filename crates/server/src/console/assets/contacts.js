// The contacts: all by name, and one with what is known of them, their appointments and their calls.

import { WORDS, stateBadge } from "./appointment.js";
import { make, say } from "./dom.js";
import { ask, badge, begin, moment, trouble } from "./operator.js";
import { everything, follow, input, labelled, nameOf, onSubmit, orElse, sheet, submitButton, zoneOf } from "./reception.js";

const PAGE = 100;
/** Calls among which those of a contact are looked for. */
const CALLS = 200;
const NOBODY = { name: "", phone: null, email: null, note: "" };

/** What is read once and is the same for all contacts. */
async function readKnown(life) {
  const [zone, services] = await Promise.all([zoneOf(life), orElse(everything(life, "/v1/services"), [])]);
  return { zone, service: (id) => services.find((service) => service.id === id)?.name ?? "Appointment" };
}

function fieldsOf(contact) {
  const note = make("textarea", { name: "note", rows: "4", maxlength: "2000" });
  note.value = contact.note;
  return [
    labelled("Name", input("name", { maxlength: "200", value: contact.name })),
    labelled("Telephone", input("phone", { type: "tel", value: contact.phone ?? "" })),
    labelled("Email", input("email", { type: "email", value: contact.email ?? "" })),
    labelled("Note", note, { wide: true }),
  ];
}

function valuesOf(form, isNew) {
  const value = (name) => form.elements[name].value.trim();
  const all = { name: value("name"), phone: value("phone") || null, email: value("email") || null, note: form.elements.note.value };
  return isNew ? Object.fromEntries(Object.entries(all).filter(([, one]) => one)) : all;
}

function addSheet(life, done) {
  const { body, slot, close } = sheet("A new contact", "contact");
  const form = make("form", { class: "fields" }, ...fieldsOf(NOBODY), make("div", { class: "dialog-buttons wide" }, submitButton("Save")));
  onSubmit(life, form, slot, async () => {
    const made = await ask(life, "POST", "/v1/contacts", { body: valuesOf(form, true) });
    close();
    await done(made);
  });
  body.append(form);
}

async function appointmentsOf(life, known, id) {
  const { data, next } = await ask(life, "GET", `/v1/contacts/${id}/appointments`, { query: { limit: PAGE } });
  if (!data.length) return make("p", { class: "soft", text: "None." });
  const row = (appointment) => {
    const day = known.zone.at(appointment.starts_at).day;
    const link = make("a", { href: `/calendar?view=day&day=${day}`, text: known.zone.full(appointment.starts_at) });
    return make("li", { "data-appointment": appointment.id }, make("div", {}, link, " ", known.service(appointment.service_id), " ", appointment.state in WORDS ? stateBadge(appointment) : ""));
  };
  const rows = make("ul", { class: "rows" }, ...data.map(row));
  return next === null ? rows : make("div", {}, rows, make("p", { class: "soft", text: "There are more." }));
}

async function callsOf(life, id) {
  const calls = await everything(life, "/v1/calls", {}, CALLS);
  const own = calls.filter(({ contact_id }) => contact_id === id);
  if (!own.length) return make("p", { class: "soft", text: calls.length < CALLS ? "None." : `None among the last ${CALLS} calls of all.` });
  const row = (call) => make("li", { "data-call": call.id }, make("div", {}, make("a", { href: `/calls?id=${encodeURIComponent(call.id)}` }, moment(call.started_at ?? call.created_at)), " ", badge((call.outcome ?? call.state).replaceAll("_", " ")), ...(call.summary ? [make("p", { class: "soft", text: call.summary })] : [])));
  return make("ul", { class: "rows" }, ...own.map(row));
}

/** One contact. Gives the elements, and `look()`, which asks again for what may have happened. */
function one(life, known, contact, changed) {
  const slot = make("div", { class: "listing-notice" });
  const heading = make("h2", { text: nameOf(contact) });
  const form = make("form", { class: "fields", "data-form": "contact" }, ...fieldsOf(contact), make("div", { class: "wide" }, submitButton("Save")));
  onSubmit(life, form, slot, async () => {
    const saved = await ask(life, "PATCH", `/v1/contacts/${contact.id}`, { body: valuesOf(form, false) });
    heading.textContent = nameOf(saved);
    form.elements.phone.value = saved.phone ?? "";
    slot.replaceChildren(make("p", { class: "told", role: "status", text: "It is saved." }));
    changed(saved);
  });
  const appointments = make("div", { "data-part": "appointments", text: "Loading …" });
  const calls = make("div", { "data-part": "calls", text: "Loading …" });
  const fill = async (part, read) => {
    try {
      part.replaceChildren(await read());
    } catch (problem) {
      trouble(life, part, problem, () => fill(part, read));
    }
  };
  const look = () => Promise.all([fill(appointments, () => appointmentsOf(life, known, contact.id)), fill(calls, () => callsOf(life, contact.id))]);
  const elements = [heading, slot, form, make("h3", { text: "Appointments" }), appointments, make("h3", { text: "Calls" }), calls];
  return { elements, look };
}

/** The list, with a search in what is loaded. */
class List {
  items = [];
  next = null;

  constructor(life, open) {
    this.life = life;
    this.open = open;
    this.search = make("input", { type: "search", id: "contact-search", placeholder: "Search in what is shown", "aria-label": "Search contacts", autocomplete: "off" });
    this.words = make("p", { class: "soft", role: "status" });
    this.table = make("div", { class: "listing" });
    this.more = make("button", { type: "button", class: "button small", "data-action": "more", text: "Show more", hidden: true });
    life.on(this.search, "input", () => this.draw());
    life.on(this.more, "click", () => this.loadMore());
  }

  get elements() {
    return [make("div", { class: "find" }, this.search), this.words, this.table, this.more];
  }

  page = (after) => ask(this.life, "GET", "/v1/contacts", { query: { limit: PAGE, after } });

  /** Reads anew as much as is shown. */
  async load() {
    const wanted = Math.max(PAGE, this.items.length);
    const items = [];
    let next = null;
    do {
      const page = await this.page(next);
      items.push(...page.data);
      next = page.next;
    } while (next !== null && items.length < wanted);
    Object.assign(this, { items, next });
    this.draw();
  }

  async loadMore() {
    const { data, next } = await this.page(this.next);
    this.items.push(...data);
    this.next = next;
    this.draw();
  }

  draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const digits = wanted.replaceAll(/[\s()/-]/g, "");
    const fits = ({ name, phone, email }) => [name, email].some((text) => text?.toLowerCase().includes(wanted)) || (digits && phone?.includes(digits));
    const found = wanted ? this.items.filter(fits) : this.items;
    this.more.hidden = this.next === null;
    const among = this.next === null ? "" : ` among the first ${this.items.length}`;
    this.words.textContent = wanted ? `${found.length} found${among}.` : this.items.length ? "" : "There are no contacts yet.";
    const focused = document.activeElement?.dataset?.id;
    const head = make("tr", {}, ...["Name", "Telephone", "Email"].map((text) => make("th", { scope: "col", text })));
    const row = (contact) => {
      const link = make("a", { href: `/contacts?id=${encodeURIComponent(contact.id)}`, "data-id": contact.id, text: contact.name || "No name yet" });
      link.addEventListener("click", this.life.guard((event) => this.open(event, contact.id)));
      return make("tr", {}, make("th", { scope: "row", "data-label": "Name" }, link), make("td", { "data-label": "Telephone", text: contact.phone ?? "–" }), make("td", { "data-label": "Email" }, make("span", { class: "cut", title: contact.email, text: contact.email ?? "–" })));
    };
    this.table.replaceChildren(...(found.length ? [make("table", {}, make("caption", { class: "visually-hidden", text: "Contacts" }), make("thead", {}, head), make("tbody", {}, ...found.map(row)))] : []));
    if (focused) this.table.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }
}

begin("contacts", async (life, root) => {
  const me = await ask(life, "GET", "/v1/me");
  const known = await readKnown(life);
  const notice = make("div", { class: "listing-notice" });
  const add = make("button", { type: "button", class: "button small primary", "data-action": "add", text: "Add a contact" });
  const page = make("div");
  const item = make("section", { class: "item", tabindex: "-1", "aria-label": "One contact", hidden: true });
  let look = () => list.load();

  const plainly = (event) => !(event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0);
  function go(event, id) {
    if (event && !plainly(event)) return undefined;
    event?.preventDefault();
    history.pushState(null, "", id ? `/contacts?id=${encodeURIComponent(id)}` : "/contacts");
    return show();
  }
  const list = new List(life, go);
  page.append(make("div", { class: "bulk" }, add), ...list.elements);
  root.append(notice, page, item);

  async function show() {
    const id = new URLSearchParams(location.search).get("id");
    page.hidden = Boolean(id);
    item.hidden = !id;
    notice.replaceChildren();
    item.replaceChildren();
    try {
      if (!id) {
        look = () => list.load();
        return await list.load();
      }
      const back = make("a", { class: "back", href: "/contacts", text: "← All contacts" });
      back.addEventListener("click", life.guard((event) => go(event, null)));
      item.append(back);
      const contact = await ask(life, "GET", `/v1/contacts/${encodeURIComponent(id)}`);
      if (new URLSearchParams(location.search).get("id") !== id) return undefined;
      const shown = one(life, known, contact, () => say("It is saved."));
      item.append(...shown.elements);
      item.focus();
      look = shown.look;
      return await shown.look();
    } catch (problem) {
      return trouble(life, notice, problem, show);
    }
  }

  life.on(add, "click", () => addSheet(life, (made) => go(null, made.id)));
  life.on(window, "popstate", show);
  await show();
  await follow(life, me, () => look());
});
