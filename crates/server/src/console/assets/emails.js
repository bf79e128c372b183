// Emails of campaigns: where each is in its life, and what somebody says of one of which nobody knows whether it was sent.

import { make } from "./dom.js";
import { listing } from "./listing.js";
import { badge, facts, moment, moments, whileSeen } from "./operator.js";
import { everything } from "./reception.js";

const LOOK_MS = 10_000;
const KINDS = { scheduled: "", claimed: "live", in_flight: "live", accepted: "good", rejected: "bad", unknown: "bad", cancelled: "" };
/** Nothing more happens to those by itself. */
const ENDED = new Set(["accepted", "rejected", "unknown", "cancelled"]);
const MEANS = {
  scheduled: "It is sent when it is due.",
  claimed: "It is about to go out.",
  in_flight: "It is going out at this moment.",
  rejected: "Its server refused it for good.",
  unknown: "Nobody knows whether it was sent: the line was cut after the last byte, or the server ended. It is never sent again by itself.",
  cancelled: "It was not sent, and will not be.",
};
/** What may have happened to one that was sent. */
const AFTER = [
  ["opened_at", "opened"],
  ["machine_opened_at", "opened by a machine"],
  ["clicked_at", "clicked"],
  ["machine_clicked_at", "clicked by a machine"],
  ["replied_at", "replied"],
  ["bounced_at", "bounced"],
  ["complained_at", "called junk"],
  ["unsubscribed_at", "unsubscribed"],
  ["converted_at", "converted"],
];

const stateOf = ({ state }) => badge(state.replace("_", " "), KINDS[state] ?? "");
const saidBy = ({ code, enhanced_code: enhanced, said }) => [code, enhanced, said].filter(Boolean).join(" ");

function when({ state, due_at: due, accepted_at: accepted, updated_at: updated }) {
  if (accepted) return make("span", {}, "sent ", moment(accepted));
  if (state === "scheduled") return make("span", {}, "due ", moment(due));
  return make("span", {}, moment(updated));
}

const happened = (email) => AFTER.filter(([name]) => email[name]).map(([name, word]) => [word, email[name]]);

/** An email of a lead, in a list of them. */
export function emailLine(email) {
  const link = make("a", { href: `/sending-accounts?part=emails&id=${encodeURIComponent(email.id)}`, text: `Step ${email.step}` });
  const line = make("p", {}, make("strong", {}, link), " ", stateOf(email), " ", when(email));
  const later = happened(email).map(([word, at]) => make("p", { class: "soft" }, `${word} `, moment(at)));
  const said = email.state === "accepted" ? "" : saidBy(email);
  return make("li", { "data-email": email.id }, line, ...later, ...(said ? [make("pre", { class: "error", text: said, tabindex: "0", "aria-label": "What the server said" })] : []));
}

function detail(email, accounts) {
  const list = facts([
    ["Campaign", make("a", { href: `/campaigns?campaign=${encodeURIComponent(email.campaign_id)}`, text: "Look at it" })],
    ["Lead", make("a", { href: `/campaigns?campaign=${encodeURIComponent(email.campaign_id)}&part=leads&id=${encodeURIComponent(email.lead_id)}`, text: email.to })],
    ["Step", email.step],
    ["Account", accounts.get(email.account_id) ?? make("code", { text: email.account_id })],
    ["Attempts", email.attempts],
    ["Due", moments(email.due_at)],
    ["Sent", email.accepted_at && moments(email.accepted_at)],
    ...happened(email).map(([word, at]) => [word[0].toUpperCase() + word.slice(1), moments(at)]),
    ["Message-ID", make("code", { text: email.message_id })],
    ["Changed", moments(email.updated_at)],
  ]);
  const means = MEANS[email.state] ? [make("p", { class: "soft", text: MEANS[email.state] })] : [];
  const said = saidBy(email);
  const words = said ? [make("h3", { text: "What the server said" }), make("pre", { text: said, tabindex: "0", "aria-label": "What the server said" })] : [];
  return [make("h2", {}, email.to, " ", stateOf(email)), ...means, list, ...words];
}

function actions({ id, state, to }) {
  const again = { label: "Send it again …", name: "resend", danger: true, path: `/v1/emails/${id}/resend`, said: () => "It is sent again as soon as its account may." };
  if (state === "rejected") return [{ ...again, ask: { title: "Send it again?", text: `The server refused it for good. ${to} gets it if it is taken this time.`, yes: "Send it again" } }];
  if (state !== "unknown") return [];
  const sent = { title: "Was it sent?", text: "Then it counts as sent, and its lead goes on to the next step.", yes: "It was sent" };
  const twice = { title: `Send it to ${to}, maybe for the second time?`, text: "Nobody knows whether the first one arrived. If it did, the same email arrives twice.", yes: "Send it all the same", danger: true };
  return [{ label: "It was sent", name: "sent", ask: sent, path: `/v1/emails/${id}/sent`, said: () => "It counts as sent." }, { ...again, ask: twice }];
}

export async function emails(life, root, { mayChange, keep }) {
  const accounts = new Map((await everything(life, "/v1/sending-accounts")).map(({ id, address }) => [id, address]));
  const about = make("p", { class: "soft only-list", text: "An email is unknown when nobody can tell whether it was sent. It waits until somebody says so, and its lead with it." });
  const place = make("div", {});
  root.append(about, place);
  const list = listing(life, place, {
    path: "/v1/emails",
    keep,
    nouns: ["email", "emails"],
    filters: [{ name: "state", label: "State", options: ["unknown", "rejected"] }],
    columns: [
      { label: "To", cell: ({ to }) => to, main: true },
      { label: "State", cell: stateOf },
      { label: "Step", cell: ({ step }) => String(step) },
      { label: "Account", cell: (email) => make("span", { class: "cut", text: accounts.get(email.account_id) ?? "–" }) },
      { label: "When", cell: when },
      { label: "What the server said", cell: (email) => make("span", { class: "cut", title: saidBy(email), text: saidBy(email) || "–" }) },
    ],
    detail: (email) => detail(email, accounts),
    actions: (email) => (mayChange ? actions(email) : []),
    lasts: ({ state }) => !ENDED.has(state),
  });
  await list.open();
  whileSeen(life, LOOK_MS, (tick) => (tick > 0 ? list.renew() : undefined));
}
