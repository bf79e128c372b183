// How the reception works: its hours, the days that are not like others, what is offered and by whom. For administrators.

import { Problem } from "./api.js";
import { calendars } from "./calendars.js";
import { make, say } from "./dom.js";
import { actionButton, ask, badge, trouble } from "./operator.js";
import { choice, input, labelled, onSubmit, onceOnly, sheet, submitButton, tick } from "./reception.js";
import { dayText, deviceZone, weekdays } from "./zone.js";

const STEPS = [5, 10, 15, 20, 30, 45, 60];
const MICROS = 1_000_000;
const OPENINGS = /^\d{2}:\d{2}-\d{2}:\d{2}$/;
const OFFICE = [...Array.from({ length: 5 }, () => ["09:00-17:00"]), [], []];
const HINT = "Such as 09:00-12:30, 13:30-18:00. Empty is closed.";

const wrong = (field, detail) => new Problem({ status: 400, code: "invalid_input", fields: [{ field, detail }] });

/** "09:00-12:30, 13:30-18:00" as the server takes it. */
function openingsOf(control) {
  const parts = control.value.split(",").map((part) => part.replaceAll(/\s/g, "").replace("–", "-")).filter(Boolean);
  if (!parts.every((part) => OPENINGS.test(part))) throw wrong(control.name, `Write openings so: ${HINT}`);
  return parts;
}

/** A field for the openings of each day of the week. */
function weekFields(week) {
  const fields = weekdays().map((name, place) => labelled(name, input(`week-${place}`, { value: week[place].join(", "), spellcheck: "false", placeholder: "closed" })));
  const group = make("fieldset", { class: "fields week" }, make("legend", { text: "Open" }), make("p", { class: "field-hint wide", text: HINT }), ...fields);
  const read = (form) => Array.from({ length: 7 }, (_, place) => openingsOf(form.elements[`week-${place}`]));
  return { group, read };
}

/** Hours and rules. `done` is called when they are saved. */
function hours(life, desk, done) {
  const known = desk.reception ?? { time_zone: deviceZone(), calling_code: null, week: OFFICE, step_minutes: 15, hold_minutes: 5, lead_minutes: 60, horizon_days: 60 };
  const number = (name, value, min, max) => input(name, { type: "number", min, max, value: value ?? "", required: name !== "calling_code" });
  const zones = make("datalist", { id: "zones" }, ...Intl.supportedValuesOf("timeZone").map((value) => make("option", { value })));
  const week = weekFields(known.week);
  const slot = make("div", { class: "listing-notice" });
  const form = make(
    "form",
    { class: "fields", "data-form": "hours" },
    labelled("Time zone", input("time_zone", { value: known.time_zone, list: "zones", required: true, spellcheck: "false" }), { hint: "Such as Europe/Berlin." }),
    labelled("Country of numbers", number("calling_code", known.calling_code, 1, 999), { hint: "What is before numbers without a country, such as 49." }),
    zones,
    week.group,
    labelled("Beginnings are apart", choice("step_minutes", STEPS.map((step) => [String(step), `${step} minutes`]), String(known.step_minutes))),
    labelled("Minutes before, at the latest", number("lead_minutes", known.lead_minutes, 0, 40_320), { hint: "How short before its beginning a time is still offered." }),
    labelled("Days ahead, at the most", number("horizon_days", known.horizon_days, 1, 730)),
    labelled("Minutes that a time is held", number("hold_minutes", known.hold_minutes, 1, 60)),
    make("div", { class: "wide" }, submitButton("Save the hours")),
  );
  onSubmit(life, form, slot, async () => {
    const value = (name) => form.elements[name].value;
    const body = {
      time_zone: value("time_zone").trim(),
      calling_code: value("calling_code") ? Number(value("calling_code")) : null,
      week: week.read(form),
      ...Object.fromEntries(["step_minutes", "hold_minutes", "lead_minutes", "horizon_days"].map((name) => [name, Number(value(name))])),
    };
    await ask(life, "PUT", "/v1/reception", { body });
    say("The hours are saved.");
    await done();
  });
  return make("section", {}, make("h2", { text: "Hours" }), slot, form);
}

/** A list of what can be changed, and a button that adds to it. */
function listed(title, name, items, draw, add, nothing) {
  const button = make("button", { type: "button", class: "button small", "data-action": `add-${name}`, text: `Add ${nothing}` });
  button.addEventListener("click", () => add(null));
  const rows = items.map((item) => {
    const change = make("button", { type: "button", class: "button small quiet", "data-action": `change-${name}`, "data-id": item.id, text: "Change", "aria-label": `Change ${item.name}` });
    change.addEventListener("click", () => add(item));
    return make("li", { "data-name": item.name }, make("div", {}, ...draw(item)), change);
  });
  const list = rows.length ? make("ul", { class: "rows" }, ...rows) : make("p", { class: "soft nothing", text: `There is ${nothing === "staff" ? "nobody" : "nothing"} yet.` });
  return make("section", { "data-part": name }, make("h2", { text: title }), list, button);
}

const gone = ({ archived_at }) => (archived_at ? [" ", badge("not offered any more")] : []);

function price({ price_micros: micros, currency }) {
  if (micros === null) return null;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(micros / MICROS);
  } catch {
    return `${micros / MICROS} ${currency}`;
  }
}

function services(life, desk, renew) {
  const draw = (service) => {
    const around = [service.before_minutes && `${service.before_minutes} before`, service.after_minutes && `${service.after_minutes} after`].filter(Boolean);
    const words = [`${service.minutes} min`, ...around, price(service)].filter(Boolean).join(" · ");
    return [make("strong", { text: service.name }), ...gone(service), make("p", { class: "soft", text: words })];
  };
  return listed("Services", "service", desk.services, draw, (service) => serviceSheet(life, service, renew), "a service");
}

function serviceSheet(life, service, done) {
  const { body, slot, close } = sheet(service ? service.name : "A new service", "service");
  const number = (name, value, min, max) => input(name, { type: "number", min, max, required: true, value });
  const amount = service?.price_micros ?? null;
  const form = make(
    "form",
    { class: "fields" },
    labelled("Name", input("name", { required: true, maxlength: "200", value: service?.name ?? "" }), { wide: true }),
    labelled("Minutes", number("minutes", service?.minutes ?? 30, 5, 720)),
    labelled("Minutes before it", number("before_minutes", service?.before_minutes ?? 0, 0, 240)),
    labelled("Minutes after it", number("after_minutes", service?.after_minutes ?? 0, 0, 240)),
    labelled("Price", input("price_micros", { inputmode: "decimal", value: amount === null ? "" : String(amount / MICROS), pattern: "[0-9]{0,9}([.][0-9]{0,6})?" }), { hint: "Empty where none is told." }),
    labelled("Currency", input("currency", { maxlength: "3", value: service?.currency ?? "", placeholder: "EUR" })),
    ...(service ? [tick("archived", "It is not offered any more", Boolean(service.archived_at))] : []),
    make("div", { class: "dialog-buttons wide" }, submitButton("Save")),
  );
  const key = onceOnly();
  onSubmit(life, form, slot, async () => {
    const value = (name) => form.elements[name].value.trim();
    const change = { name: value("name"), minutes: Number(value("minutes")), before_minutes: Number(value("before_minutes")), after_minutes: Number(value("after_minutes")) };
    const micros = value("price_micros") ? Math.round(Number(value("price_micros")) * MICROS) : null;
    if (micros !== null) Object.assign(change, { price_micros: micros, currency: value("currency").toUpperCase() || "EUR" });
    else if (service) change.price_micros = null;
    if (service) change.archived = form.elements.archived.checked;
    if (service) await ask(life, "PATCH", `/v1/services/${service.id}`, { body: change });
    else await ask(life, "POST", "/v1/services", { body: change, headers: key(change) });
    close();
    say("The service is saved.");
    await done();
  });
  body.append(form);
}

function staff(life, desk, renew) {
  const draw = (one) => {
    const names = one.services.map((id) => desk.service(id)?.name).filter(Boolean);
    const words = [names.length ? names.join(", ") : "No service", one.week ? "own hours" : null].filter(Boolean).join(" · ");
    return [make("strong", { text: one.name }), ...gone(one), make("p", { class: "soft", text: words })];
  };
  return listed("Staff", "staff", desk.staff, draw, (one) => staffSheet(life, desk, one, renew), "staff");
}

function staffSheet(life, desk, one, done) {
  const { body, slot, close } = sheet(one ? one.name : "Somebody new", "staff");
  const offered = desk.services.filter(({ archived_at }) => !archived_at);
  const does = new Set(one ? one.services : offered.map(({ id }) => id));
  const ticks = offered.map(({ id, name }) => tick(`service-${id}`, name, does.has(id)));
  const own = tick("own", "Hours of their own", Boolean(one?.week));
  const week = weekFields(one?.week ?? desk.reception.week);
  const isOwn = own.querySelector("input");
  const show = () => (week.group.hidden = !isOwn.checked);
  isOwn.addEventListener("change", show);
  show();
  const form = make(
    "form",
    { class: "fields" },
    labelled("Name", input("name", { required: true, maxlength: "200", value: one?.name ?? "" }), { wide: true }),
    make("fieldset", { class: "fields" }, make("legend", { text: "Does" }), ...ticks),
    own,
    week.group,
    ...(one ? [tick("archived", "Does not work here any more", Boolean(one.archived_at))] : []),
    make("div", { class: "dialog-buttons wide" }, submitButton("Save")),
  );
  const key = onceOnly();
  onSubmit(life, form, slot, async () => {
    const chosen = offered.filter(({ id }) => form.elements[`service-${id}`].checked).map(({ id }) => id);
    const change = { name: form.elements.name.value.trim(), services: chosen, week: isOwn.checked ? week.read(form) : null };
    if (one) change.archived = form.elements.archived.checked;
    if (one) await ask(life, "PATCH", `/v1/staff/${one.id}`, { body: change });
    else await ask(life, "POST", "/v1/staff", { body: change, headers: key(change) });
    close();
    say("It is saved.");
    await done();
  });
  body.append(form);
}

async function specialDays(life, desk, renew) {
  const slot = make("div", { class: "listing-notice" });
  const { data } = await ask(life, "GET", "/v1/special-days");
  const rows = data.map((one) => {
    const whose = one.staff_id ? `${desk.staffName(one.staff_id)}: ` : "";
    const words = one.openings.length ? one.openings.join(", ") : "closed";
    const remove = actionButton(life, {
      label: "Remove",
      name: "remove-day",
      slot,
      run: () => ask(life, "DELETE", `/v1/special-days/${one.day}`, { query: { staff_id: one.staff_id } }),
      done: renew,
    });
    return make("li", { "data-day": one.day }, make("div", {}, make("strong", { text: dayText(one.day) }), make("p", { class: "soft", text: `${whose}${one.name} · ${words}` })), remove);
  });
  const form = make(
    "form",
    { class: "fields", "data-form": "day" },
    labelled("Day", input("day", { type: "date", required: true })),
    labelled("What it is", input("name", { required: true, maxlength: "200", placeholder: "A holiday, an absence" })),
    labelled("Whose day", choice("staff_id", [["", "Everybody's"], ...desk.staff.filter(({ archived_at }) => !archived_at).map(({ id, name }) => [id, name])])),
    labelled("Open all the same", input("openings", { placeholder: "closed" }), { hint: HINT }),
    make("div", { class: "wide" }, make("button", { type: "submit", class: "button small", text: "Add the day" })),
  );
  onSubmit(life, form, slot, async () => {
    const { day, name, staff_id, openings } = form.elements;
    await ask(life, "PUT", `/v1/special-days/${day.value}`, { query: { staff_id: staff_id.value }, body: { name: name.value.trim(), openings: openingsOf(openings) } });
    say("The day is saved.");
    await renew();
  });
  return make("section", { "data-part": "days" }, make("h2", { text: "Days that are not like others" }), slot, rows.length ? make("ul", { class: "rows" }, ...rows) : make("p", { class: "soft nothing", text: "There are none in the next year." }), form);
}

/** Fills `root`. While the reception is not set up there are the hours only, and `begun` is called when they are saved. */
export async function settings(life, root, desk, begun = null) {
  const renew = async () => {
    try {
      await desk.read(life);
      await settings(life, root, desk);
    } catch (problem) {
      trouble(life, root, problem, renew);
    }
  };
  if (!desk.reception) return root.replaceChildren(hours(life, desk, begun));
  const { scrollY } = window;
  const [days, others] = await Promise.all([specialDays(life, desk, renew), calendars(life, desk, renew)]);
  root.replaceChildren(services(life, desk, renew), staff(life, desk, renew), others, days, hours(life, desk, renew));
  scrollTo(0, scrollY);
}
