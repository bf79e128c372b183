// How text messages are sent, and who wants none. For administrators.

import { Problem } from "./api.js";
import { make } from "./dom.js";
import { ask, badge, moment, trouble } from "./operator.js";
import { choice, input, labelled, onSubmit, onceOnly, submitButton, tick, toCopy } from "./reception.js";

const PROVIDER = "twilio";
const PAGE = 50;
const USUAL = { sender_id: "", account_sid: "", from: "", enabled: true, confirmations: true, reminder_minutes: [1440], quiet_hours: null, wording: {} };
const WORDINGS = { confirmation: "When it is made", moved: "When it is moved", cancelled: "When it is cancelled", reminder: "As a reminder" };
const PARTS = "In braces: {organisation}, {service}, {staff}, {day}, {time} and {link}. What is empty is said in the usual words.";

/** "1440, 120" as `[1440, 120]`. */
function minutesOf(control) {
  const minutes = control.value.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (minutes.every((one) => Number.isSafeInteger(one) && one >= 0)) return minutes;
  throw new Problem({ status: 400, code: "invalid_input", fields: [{ field: control.name, detail: "Write minutes so: 1440, 120." }] });
}

function wordingFields(wording) {
  const fields = Object.entries(WORDINGS).map(([reason, label]) => {
    const words = make("textarea", { name: reason, rows: "2", maxlength: "500", placeholder: "The usual words" });
    words.value = wording[reason] ?? "";
    return labelled(label, words, { wide: true });
  });
  return make("fieldset", { class: "fields" }, make("legend", { text: "What is said" }), make("p", { class: "field-hint wide", text: PARTS }), ...fields);
}

function settingsForm(life, known, senders, saved) {
  const slot = make("div", { class: "listing-notice" });
  const names = senders.map(({ id, name, disabled_at: disabled }) => [id, disabled ? `${name} (disabled)` : name]);
  const account = input("account_sid", { value: known.account_sid, required: true, spellcheck: "false", placeholder: "AC…" });
  const from = input("from", { value: known.from, required: true, spellcheck: "false", placeholder: "+15005550006" });
  const reminders = input("reminder_minutes", { value: known.reminder_minutes.join(", "), placeholder: "nobody is reminded" });
  const quiet = input("quiet_hours", { value: known.quiet_hours ?? "", spellcheck: "false", placeholder: "never" });
  const form = make(
    "form",
    { class: "fields", "data-form": "texts" },
    tick("enabled", "Text messages are sent", known.enabled),
    labelled("Sender", choice("sender_id", names, known.sender_id || names[0][0]), { hint: "By which Twilio tells of messages, and whose secret is the auth token." }),
    labelled("Account at Twilio", account, { hint: "AC and 32 digits." }),
    labelled("From", from, { hint: "A number, or a messaging service: MG and 32 digits." }),
    labelled("Quiet hours", quiet, { hint: "Such as 21:00-08:00. Empty is never." }),
    labelled("Reminders", reminders, { hint: "Minutes before it begins, at most three, such as 1440, 120. A day is 1440." }),
    tick("confirmations", "It is told that an appointment was made, moved or cancelled", known.confirmations),
    wordingFields(known.wording),
    make("div", { class: "wide" }, submitButton("Save")),
  );
  onSubmit(life, form, slot, async () => {
    const value = (name) => form.elements[name].value.trim();
    const wording = Object.fromEntries(Object.keys(WORDINGS).map((reason) => [reason, value(reason)]).filter(([, words]) => words));
    const body = {
      sender_id: value("sender_id"),
      account_sid: value("account_sid"),
      from: value("from"),
      enabled: form.elements.enabled.checked,
      confirmations: form.elements.confirmations.checked,
      reminder_minutes: minutesOf(form.elements.reminder_minutes),
      quiet_hours: value("quiet_hours") || null,
      wording,
    };
    const put = await ask(life, "PUT", "/v1/text-settings", { body });
    form.elements.reminder_minutes.value = put.reminder_minutes.join(", ");
    saved(put);
    slot.replaceChildren(make("p", { class: "told", role: "status", text: "It is saved." }));
    slot.scrollIntoView({ block: "nearest" });
  });
  return make("div", {}, slot, form);
}

/** The first step: a sender, by which the provider tells of messages. */
function senderForm(life, made) {
  const slot = make("div", { class: "listing-notice" });
  const token = input("secrets", { type: "password", required: true, autocomplete: "off", spellcheck: "false" });
  const form = make(
    "form",
    { class: "fields", "data-form": "text-sender" },
    make("p", { class: "wide", text: "Twilio sends the messages. First it needs a sender here, by which it tells what became of them." }),
    labelled("Auth token of the account at Twilio", token, { hint: "It is sealed, and never shown again." }),
    make("div", { class: "wide" }, submitButton("Make the sender")),
  );
  const key = onceOnly();
  onSubmit(life, form, slot, async () => {
    const body = { name: "Text messages", provider: PROVIDER, secrets: [token.value.trim()] };
    await ask(life, "POST", "/v1/inbox-sources", { body, headers: key(body) });
    await made();
  });
  return make("div", {}, slot, form);
}

async function settingsOf(life) {
  try {
    return await ask(life, "GET", "/v1/text-settings");
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return null;
    throw problem;
  }
}

/** The section about how they are sent. It is open while nobody has said. */
export function textSettings(life) {
  const body = make("div", { text: "Loading …" });
  const state = make("span", {});
  const root = make("details", { class: "part-of-page only-list", "data-part": "settings" }, make("summary", {}, "How they are sent ", state), body);
  const tell = (known) => state.replaceChildren(known === null ? badge("not set up", "live") : badge(known.enabled ? "on" : "off", known.enabled ? "good" : ""));

  async function draw() {
    try {
      const [known, { data }] = await Promise.all([settingsOf(life), ask(life, "GET", "/v1/inbox-sources", { query: { limit: 100 } })]);
      const senders = data.filter(({ provider }) => provider === PROVIDER);
      tell(known);
      root.open ||= known === null;
      if (!senders.length) return body.replaceChildren(senderForm(life, draw));
      const addresses = senders.map(({ name, url }) => toCopy(`${name}: the webhook of the number for messages that come in, at Twilio`, url));
      return body.replaceChildren(settingsForm(life, known ?? USUAL, senders, tell), make("ul", { class: "rows" }, ...addresses));
    } catch (problem) {
      return trouble(life, body, problem, draw);
    }
  }

  return { root, draw };
}

/** The section about who wants none, which asks when somebody opens it. */
export function optOuts(life) {
  const slot = make("div", { class: "listing-notice" });
  const list = make("ul", { class: "rows" });
  const more = make("button", { type: "button", class: "button small", "data-action": "more-opt-outs", text: "Show more", hidden: true });
  const about = make("p", { class: "soft", text: "Whoever has written STOP gets nothing until they write START." });
  const root = make("details", { class: "part-of-page only-list", "data-part": "opt-outs" }, make("summary", { text: "Who wants none" }), about, slot, list, more);
  let next = null;

  const row = ({ phone, stopped_at: at }) => make("li", { "data-phone": phone }, make("strong", { text: phone }), make("span", { class: "soft" }, "since ", moment(at)));

  async function load(after) {
    try {
      const page = await ask(life, "GET", "/v1/text-opt-outs", { query: { limit: PAGE, after } });
      if (after === null) list.replaceChildren();
      list.append(...page.data.map(row));
      if (!list.children.length) list.append(make("li", { class: "soft", text: "Nobody has said so." }));
      next = page.next;
      more.hidden = next === null;
      slot.replaceChildren();
    } catch (problem) {
      trouble(life, slot, problem, () => load(after));
    }
  }

  life.on(more, "click", () => load(next));
  life.on(root, "toggle", () => root.open && load(null));
  return root;
}
