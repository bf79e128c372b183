// What a campaign is told to do, and which accounts send for it.

import { make, say } from "./dom.js";
import { ask, badge, trouble } from "./operator.js";
import { goLink } from "./parts.js";
import { everything, input, labelled, onSubmit, onceOnly, sheet, submitButton, tick } from "./reception.js";
import { deviceZone } from "./zone.js";

const OFFICE = "mon-fri 09:00-17:00";
const FRESH = { name: "", time_zone: deviceZone(), sending_window: OFFICE, starts_at: null, stop_on_reply: true, track_opens: false, track_clicks: false, goal_url: null };
const TEXT = (form, name) => form.elements[name].value.trim();
const TICKED = (form, name) => form.elements[name].checked;

/** A moment as `<input type="datetime-local">` takes it, in the time of this device. */
function local(text) {
  if (!text) return "";
  const at = new Date(text);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function moment(form, name) {
  const { value } = form.elements[name];
  return value ? new Date(value).toISOString() : null;
}

/** The settings, each with its control and how that is read. */
const SETTINGS = [
  { name: "name", control: (name, value) => labelled("Name", input(name, { required: true, maxlength: "200", value }), { wide: true }), read: TEXT },
  { name: "time_zone", control: (name, value) => labelled("Time zone", input(name, { value, list: "zones", required: true, spellcheck: "false" }), { hint: "Where days are counted for leads of whom nobody knows the zone, such as Europe/Berlin." }), read: TEXT },
  { name: "sending_window", control: (name, value) => labelled("When it sends", input(name, { value, required: true, spellcheck: "false" }), { hint: `By the clock where the lead is: ${OFFICE}, or mon-sun 00:00-24:00 for always.` }), read: TEXT },
  { name: "starts_at", control: (name, value) => labelled("Nothing before", input(name, { type: "datetime-local", value: local(value) }), { hint: "In the time of this device. Empty is at once." }), read: moment },
  { name: "stop_on_reply", control: (name, value) => tick(name, "Whoever answers is written to no more", value), read: TICKED },
  { name: "track_opens", control: (name, value) => tick(name, "It is noted who opens an email, by a picture in its HTML", value), read: TICKED },
  { name: "track_clicks", control: (name, value) => tick(name, "It is noted who follows a link: links lead over this server", value), read: TICKED },
  { name: "goal_url", control: (name, value) => labelled("Goal", input(name, { type: "url", value: value ?? "", spellcheck: "false" }), { hint: "A link of the texts that leads there, or below it, is what the campaign is for: while it is noted who follows links, whoever does is converted. Empty is none.", wide: true }), read: (form, name) => TEXT(form, name) || null },
];

const fieldsOf = (known) => {
  const zones = make("datalist", { id: "zones" }, ...Intl.supportedValuesOf("timeZone").map((value) => make("option", { value })));
  return [...SETTINGS.map(({ name, control }) => control(name, known[name])), zones];
};
const wishOf = (form) => Object.fromEntries(SETTINGS.map(({ name, read }) => [name, read(form, name)]));

/** A window in which a campaign is made. */
export function campaignSheet(life, done) {
  const { body, slot, close } = sheet("A new campaign", "campaign");
  const form = make("form", { class: "fields", "data-form": "campaign" }, ...fieldsOf(FRESH), make("div", { class: "dialog-buttons wide" }, submitButton("Make it")));
  const key = onceOnly();
  onSubmit(life, form, slot, async () => {
    const wish = wishOf(form);
    const made = await ask(life, "POST", "/v1/campaigns", { body: wish, headers: key(wish) });
    close();
    say("It is made. Nothing is sent before it is launched.");
    done(made);
  });
  body.append(form);
  form.elements.name.focus();
}

/** Says below a form that it is stored. */
function told(slot, text) {
  slot.replaceChildren(make("p", { class: "told", role: "status", text }));
}

function settingsForm(life, context, mayChange) {
  const { campaign } = context.known;
  const slot = make("div", { class: "listing-notice" });
  const group = make("fieldset", { class: "fields", disabled: !mayChange }, ...fieldsOf(campaign), make("div", { class: "wide" }, ...(mayChange ? [submitButton("Save the settings")] : [])));
  const form = make("form", { "data-form": "settings" }, group);
  onSubmit(life, form, slot, async () => {
    context.show(await ask(life, "PUT", context.path, { body: wishOf(form) }));
    told(slot, "The settings are saved.");
  });
  return make("section", {}, make("h3", { text: "Settings" }), form, slot);
}

async function accountsForm(life, context, mayChange) {
  const [{ account_ids: used }, accounts] = await Promise.all([ask(life, "GET", `${context.path}/accounts`), everything(life, "/v1/sending-accounts")]);
  const slot = make("div", { class: "listing-notice" });
  const heading = make("h3", { text: "Who sends" });
  if (!accounts.length) {
    const words = make("p", { class: "soft nothing" }, "There is no account that sends. ", make("a", { href: "/sending-accounts", text: "Add one" }), ", and choose it here.");
    return make("section", { "data-part": "accounts" }, heading, words);
  }
  const chosen = new Set(used);
  const row = ({ id, address, state, cap_now: cap, daily_cap: most }) => {
    const words = state === "active" ? `${cap} of ${most} a day` : state;
    const one = tick(`account-${id}`, address, chosen.has(id));
    one.append(state === "active" ? make("span", { class: "soft", text: words }) : badge(state, "bad"));
    return one;
  };
  const buttons = mayChange ? [make("div", { class: "wide" }, submitButton("Save who sends"))] : [];
  const group = make("fieldset", { class: "fields accounts", disabled: !mayChange }, make("legend", { class: "visually-hidden", text: "Accounts" }), ...accounts.map(row), ...buttons);
  const form = make("form", { "data-form": "accounts" }, group);
  onSubmit(life, form, slot, async () => {
    const ids = accounts.map(({ id }) => id).filter((id) => form.elements[`account-${id}`].checked);
    await ask(life, "PUT", `${context.path}/accounts`, { body: { account_ids: ids } });
    told(slot, ids.length ? "It is saved. Emails are shared among these accounts." : "It is saved. Without an account it cannot send.");
  });
  return make("section", { "data-part": "accounts" }, heading, form, slot);
}

export async function campaignSettings(life, root, context) {
  const isOver = context.known.campaign.state === "stopped";
  const mayChange = context.mayChange && !isOver;
  if (isOver) root.append(make("p", { class: "soft" }, "It is stopped, and nothing of it changes any more. ", goLink({}, "Make another one"), "."));
  root.append(settingsForm(life, context, mayChange));
  const place = make("div", {});
  root.append(place);
  const draw = async () => {
    try {
      place.replaceChildren(await accountsForm(life, context, mayChange));
    } catch (problem) {
      trouble(life, place, problem, draw);
    }
  };
  await draw();
}
