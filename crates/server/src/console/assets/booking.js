// Making an appointment and moving one. Who may do it and when it is free is said by the server; a time that somebody else has
// taken meanwhile is answered with others, which are offered as buttons.

import { make, say } from "./dom.js";
import { ask } from "./operator.js";
import { choice, faults, input, labelled, onSubmit, onceOnly, sheet, submitButton, tick } from "./reception.js";
import { clockText, minuteOf } from "./zone.js";

/** Free times of one day. */
const TIMES = 300;
const ANYBODY = ["", "Whoever is free"];
/** What another time may help against. */
const ELSEWHEN = new Set(["slot_taken", "not_offered"]);

/**
 * The fields of when and by whom, with the free times of the day to choose from. `desk` is what the page knows, `service()`
 * the id of the service. Gives the elements; `read()`; `set(moment)`; and `look()`, to be called when the service changes.
 */
function whenFields(life, desk, { service, staff, day, minute, anybody }) {
  const who = choice("staff_id", []);
  const date = input("day", { type: "date", required: true, value: day });
  const time = input("starts_at", { type: "time", required: true, value: minute === null ? "" : clockText(minute) });
  const free = make("div", { class: "times", role: "group", "aria-label": "Free times of this day" });
  const words = make("p", { class: "soft", role: "status" });
  let asked = new AbortController();
  life.onStop(() => asked.abort());

  function offerStaff() {
    const kept = who.value || staff || "";
    const able = desk.staff.filter(({ id, archived_at, services }) => id === staff || (!archived_at && services.includes(service())));
    const options = [...(anybody ? [ANYBODY] : []), ...able.map(({ id, name }) => [id, name])];
    who.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
    who.value = options.some(([value]) => value === kept) ? kept : options[0]?.[0] ?? "";
  }

  const mark = () => {
    for (const button of free.children) button.setAttribute("aria-pressed", String(button.dataset.time === time.value));
  };

  function draw(times) {
    words.textContent = times.length ? "" : "Nothing is free on this day.";
    free.replaceChildren(...times.map((local) => make("button", { type: "button", class: "button small time", "data-time": local, text: local })));
    mark();
    const chosen = free.querySelector("[aria-pressed=true]") ?? free.firstElementChild;
    free.scrollTop = chosen ? chosen.offsetTop - free.offsetTop - chosen.offsetHeight : 0;
  }

  async function look() {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    offerStaff();
    if (!date.value || !service()) return draw([]);
    try {
      const query = { service_id: service(), staff_id: who.value, from: date.value, days: 1, limit: TIMES };
      const { data } = await ask(life, "GET", "/v1/availability", { query, signal });
      if (!signal.aborted) draw(data.filter(({ local }) => local.startsWith(date.value)).map(({ local }) => local.slice(11, 16)));
    } catch (problem) {
      if (signal.aborted) return;
      words.textContent = `The free times cannot be told. ${problem.detail ?? ""}`;
      free.replaceChildren();
    }
  }

  free.addEventListener("click", (event) => {
    const button = event.target.closest("[data-time]");
    if (!button) return;
    time.value = button.dataset.time;
    mark();
  });
  time.addEventListener("input", mark);
  for (const control of [who, date]) control.addEventListener("change", life.guard(look));

  return {
    elements: [labelled("With", who), labelled("Day", date), labelled("Time", time), make("div", { class: "field wide" }, free, words)],
    read: () => ({ starts_at: desk.zone.moment(date.value, minuteOf(time.value)), staff_id: who.value || null }),
    set: (moment) => {
      const at = desk.zone.at(moment);
      Object.assign(date, { value: at.day });
      Object.assign(time, { value: clockText(at.minute) });
      return look();
    },
    look,
  };
}

/** Says that a time cannot be had, with others as buttons. True when the problem is of that kind. */
export function offerOthers(zone, slot, problem, take) {
  if (!ELSEWHEN.has(problem?.code)) return false;
  const buttons = problem.alternatives.map((moment) => {
    const button = make("button", { type: "button", class: "button small", "data-alternative": moment, text: zone.full(moment) });
    button.addEventListener("click", () => take(moment));
    return button;
  });
  const notice = make("div", { class: "notice taken", role: "alert", "data-code": problem.code }, make("p", { class: "notice-words", text: problem.detail }), make("div", { class: "times" }, ...buttons));
  slot.replaceChildren(notice);
  // Whoever sent the form is at its end.
  notice.scrollIntoView({ block: "nearest" });
  return true;
}

/** The fields of who comes. */
function contactFields() {
  const fields = [
    labelled("Name", input("name", { maxlength: "200" })),
    labelled("Telephone", input("phone", { type: "tel", inputmode: "tel" })),
    labelled("Email", input("email", { type: "email" })),
  ];
  return make("fieldset", { class: "fields" }, make("legend", { text: "For whom" }), ...fields);
}

function contactOf(form) {
  const pairs = ["name", "phone", "email"].map((name) => [name, form.elements[name].value.trim()]);
  return Object.fromEntries(pairs.filter(([, value]) => value));
}

/** Opens the form for a new appointment. `done(appointment)` is called when there is one. */
export function bookSheet(life, desk, { day, minute = null, staff = null }, done) {
  const offered = desk.services.filter(({ id, archived_at }) => !archived_at && (!staff || desk.staff.some((one) => one.id === staff && one.services.includes(id))));
  const { body, slot, close } = sheet("New appointment", "book");
  if (!offered.length) {
    body.append(make("p", { text: staff ? "They offer no service yet." : "No service is offered yet. Administrators add them in the settings." }));
    return;
  }
  const service = choice("service_id", offered.map(({ id, name, minutes }) => [id, `${name} (${minutes} min)`]), offered[0].id);
  const when = whenFields(life, desk, { service: () => service.value, staff, day, minute, anybody: true });
  const note = make("textarea", { name: "note", rows: "2", maxlength: "2000" });
  const outside = tick("outside_hours", "Also outside the hours that are offered");
  const form = make(
    "form",
    { class: "fields", novalidate: true },
    labelled("Service", service, { wide: true }),
    ...when.elements,
    contactFields(),
    labelled("Note", note, { wide: true }),
    outside,
    make("div", { class: "dialog-buttons wide" }, submitButton("Book")),
  );
  body.append(form);
  service.addEventListener("change", life.guard(when.look));
  const key = onceOnly();
  const send = async () => {
    if (!form.reportValidity()) return;
    const { starts_at, staff_id } = when.read();
    const contact = contactOf(form);
    const wish = { service_id: service.value, starts_at, staff_id, note: note.value, outside_hours: form.elements.outside_hours.checked };
    if (Object.keys(contact).length) wish.contact = contact;
    const made = await ask(life, "POST", "/v1/appointments", { body: wish, headers: key(wish) });
    close();
    say(`Booked for ${desk.zone.full(made.starts_at)}.`);
    await done(made);
  };
  const submit = onSubmit(life, form, slot, send, (problem) => {
    if (problem?.fields?.some(({ field }) => field === "contact")) {
      problem.fields = problem.fields.map((fault) => (fault.field === "contact" ? { ...fault, field: "name" } : fault));
    }
    return offerOthers(desk.zone, slot, problem, (moment) => life.run(() => when.set(moment)).then(submit));
  });
  life.run(when.look);
}

/** Opens the form that moves an appointment. A `problem` of a try before is shown at once, with other times. */
export function moveSheet(life, desk, appointment, done, { to = null, problem = null } = {}) {
  const { body, slot, close } = sheet("Move the appointment", "move");
  const at = to ?? { ...desk.zone.at(appointment.starts_at), staff: appointment.staff_id };
  const when = whenFields(life, desk, { service: () => appointment.service_id, staff: at.staff, day: at.day, minute: at.minute, anybody: false });
  const form = make(
    "form",
    { class: "fields", novalidate: true },
    make("p", { class: "wide soft", text: `It is on ${desk.zone.full(appointment.starts_at)}.` }),
    ...when.elements,
    tick("outside_hours", "Also outside the hours that are offered"),
    make("div", { class: "dialog-buttons wide" }, submitButton("Move")),
  );
  body.append(form);
  const send = async () => {
    if (!form.reportValidity()) return;
    const moved = await move(life, appointment.id, { ...when.read(), outside_hours: form.elements.outside_hours.checked });
    close();
    say(`Moved to ${desk.zone.full(moved.starts_at)}.`);
    await done(moved);
  };
  const instead = (refused) => offerOthers(desk.zone, slot, refused, (moment) => life.run(() => when.set(moment)).then(submit));
  const submit = onSubmit(life, form, slot, send, instead);
  if (problem && !instead(problem)) faults(life, form, slot, problem);
  life.run(when.look);
}

export const move = (life, id, to) => ask(life, "POST", `/v1/appointments/${id}/move`, { body: to });
