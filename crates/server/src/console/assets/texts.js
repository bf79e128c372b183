// Text messages: what people are told of their appointments, where each message is in its life, what it cost and what went
// wrong. Administrators see beside it how they are sent, and who wants none.

import { TEXT_KINDS, TOLD } from "./appointment.js";
import { make } from "./dom.js";
import { listing } from "./listing.js";
import { ask, badge, begin, facts, moment, moments, whileSeen } from "./operator.js";
import { zoneOf } from "./reception.js";
import { faultOf, helpOf } from "./text-faults.js";
import { optOuts, textSettings } from "./text-settings.js";

const LOOK_MS = 5000;
const MICROS = 1_000_000;
const STATES = ["waiting", "sending", "unknown", "accepted", "sent", "delivered", "read", "undelivered", "failed", "dropped"];
/** Nothing more happens to those. Of others that are over the price may come later. */
const ENDED = new Set(["failed", "dropped"]);
const OVER = new Set(["undelivered", "delivered", "read"]);
const FRACTION = 6;

const lasts = ({ state, price_micros: price }) => !ENDED.has(state) && !(OVER.has(state) && price !== null);
const reasonOf = ({ reason }) => TOLD[reason] ?? reason;
const stateOf = ({ state }) => badge(state, TEXT_KINDS[state] ?? "");

function priceOf({ price_micros: micros, currency }) {
  if (micros === null) return "–";
  const amount = micros / MICROS;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency, maximumFractionDigits: FRACTION }).format(amount);
  } catch {
    // What the provider calls a currency need not be one.
    return `${amount} ${currency}`;
  }
}

function when({ state, due_at: due, attempted_at: attempted, updated_at: updated }) {
  if (state === "waiting") return make("span", {}, "due ", moment(due));
  if (state === "dropped" || attempted === null) return make("span", {}, moment(updated));
  return make("span", {}, ENDED.has(state) || state === "sending" || state === "unknown" ? "tried " : "sent ", moment(attempted));
}

/** What went wrong, in a line of the list. */
function faultCell(text) {
  const fault = faultOf(text);
  if (fault === null) return "–";
  const words = fault.said ?? `Error ${fault.code}`;
  return make("span", { class: "cut", title: [words, fault.cure].filter(Boolean).join(" "), text: words });
}

/** What went wrong, and what can be done about it. */
function faultPart(text) {
  const fault = faultOf(text);
  if (fault === null) return [];
  const said = make("p", { class: "off" }, fault.said ?? "The provider gives no reason.");
  if (fault.code) said.append(" · ", make("a", { href: helpOf(fault.code), rel: "noreferrer", text: `Error ${fault.code} at Twilio` }));
  const cure = fault.cure ? [make("p", { "data-part": "cure", text: fault.cure })] : [];
  return [make("h3", { text: text.state === "dropped" ? "Why it was not sent" : "What went wrong" }), said, ...cure];
}

function detail(text, zone) {
  const begins = zone.full(text.starts_at);
  const list = facts([
    ["To", make("a", { href: `tel:${text.phone}`, text: text.phone })],
    ["Contact", make("a", { href: `/contacts?id=${encodeURIComponent(text.contact_id)}`, text: "Who it is" })],
    ["Appointment", make("a", { href: `/calendar?view=day&day=${zone.at(text.starts_at).day}`, text: begins })],
    ["Others", make("a", { href: `/texts?appointment_id=${encodeURIComponent(text.appointment_id)}`, text: "All messages about this appointment" })],
    ["Promised", moments(text.created_at)],
    ["Due", moments(text.due_at)],
    ["Tried", text.attempted_at && moments(text.attempted_at)],
    ["Attempts", text.attempts],
    ["Price", text.price_micros === null ? null : priceOf(text)],
    ["Parts that the network made of it", text.segments],
    ["Provider's id", text.provider_id && make("code", { text: text.provider_id })],
  ]);
  const nothing = ENDED.has(text.state) ? "Nothing was said." : "It is written when it is sent.";
  const said = text.body === null ? make("p", { class: "soft", text: nothing }) : make("p", { class: "message-body", text: text.body });
  return [make("h2", {}, reasonOf(text), " ", stateOf(text)), list, ...faultPart(text), make("h3", { text: "What is said" }), said];
}

begin("texts", async (life, root) => {
  const [me, zone] = await Promise.all([ask(life, "GET", "/v1/me"), zoneOf(life)]);
  const below = make("div", {});
  const texts = listing(life, below, {
    path: "/v1/text-messages",
    nouns: ["text message", "text messages"],
    filters: [
      { name: "state", label: "State", options: STATES },
      { name: "appointment_id", label: "Appointment", options: [] },
    ],
    columns: [
      { label: "Why", cell: reasonOf, main: true },
      { label: "State", cell: stateOf },
      { label: "To", cell: ({ phone }) => phone },
      { label: "Appointment", cell: ({ starts_at: starts }) => zone.full(starts) },
      { label: "When", cell: when },
      { label: "Price", cell: priceOf },
      { label: "What went wrong", cell: faultCell },
    ],
    detail: (text) => detail(text, zone),
    actions: () => [],
    lasts,
  });
  if (me.role !== "member") {
    const settings = textSettings(life);
    root.append(settings.root, optOuts(life));
    life.run(settings.draw);
  }
  root.append(below);
  const appointment = new URLSearchParams(location.search).get("appointment_id");
  if (appointment) texts.offer("appointment_id", [{ value: appointment, label: "one, as was asked" }]);
  await texts.open();
  whileSeen(life, LOOK_MS, (tick) => (tick > 0 ? texts.renew() : undefined));
});
