// What sends the emails of campaigns: the accounts, each with its state, its cap and how it warms up; the emails that are not
// settled; and whom nobody writes to.

import { make, say } from "./dom.js";
import { emails } from "./emails.js";
import { number, share } from "./figure-tables.js";
import { comeBack, gmailSheet, isGmail, signInButton } from "./gmail-account.js";
import { mailboxPart } from "./mailbox.js";
import { actionButton, ask, badge, begin, facts, trouble, whileSeen } from "./operator.js";
import { followLinks, parts } from "./parts.js";
import { rampPlot } from "./plot.js";
import { everything } from "./reception.js";
import { accountSheet } from "./sending-account.js";
import { suppressions } from "./suppressions.js";

const LOOK_MS = 8000;
/** How wide a card is, about. */
const CARD = 340;
const STATES = { active: ["active", "good"], paused: ["paused", ""], reconnect: ["not let in", "bad"] };
const RESUME = { title: "Let it send again?", text: "What it has sent before weighs on it no more: what came back or was called junk is counted anew.", yes: "Let it send" };

/** Why an account does not send, with what helps. */
function whyNot({ kind, state, reason }) {
  if (state === "active") return [];
  const shutOut = isGmail({ kind }) ? "Sign in to it at Google; then it sends." : "Its server does not let it in. Correct the server, the user name or the password, and let it send again.";
  const cure = state === "reconnect" ? shutOut : "What it owes waits until it is let go on.";
  return [make("p", { class: state === "reconnect" ? "off" : "soft" }, ...(reason ? [make("span", { class: "reason", text: reason }), " "] : []), cure)];
}

function card(life, account, { mayChange, renew, slotOf, mailboxOf }) {
  const { id, state, address } = account;
  const [word, kind] = STATES[state] ?? [state, ""];
  const slot = slotOf(id);
  const { ramp_up: ramp, cap_now: now, daily_cap: most } = account;
  const isWarming = ramp !== null && now < most;
  const of = (count) => (account.sent ? `${number(count)} (${share(count, account.sent)})` : number(count));
  const list = facts([
    ["From", account.sender_name],
    ["Answers go to", account.reply_to],
    ["Server", isGmail(account) ? "Gmail" : `${account.host}:${account.port}`],
    ["May send in 24 hours", isWarming ? `${number(now)}, and later ${number(most)}` : number(most)],
    ["Sent", number(account.sent)],
    ["Came back", of(account.bounced)],
    ["Called junk", of(account.complained)],
    ["Signed", account.dkim ? `${account.dkim.selector} of ${account.dkim.domain}` : "by its server"],
  ]);
  const button = (label, name, verb, done, question = null) => {
    const run = async () => {
      await ask(life, "POST", `/v1/sending-accounts/${id}/${verb}`);
      say(done);
    };
    const element = actionButton(life, { label, name: `${name}-${id}`, ask: question, slot, run, done: renew });
    element.setAttribute("aria-label", `${label} (${address})`);
    return element;
  };
  const buttons = [];
  if (mayChange) {
    const change = make("button", { type: "button", class: "button small", "data-action": `change-${id}`, "data-id": id, text: "Change", "aria-label": `Change (${address})` });
    change.addEventListener("click", () => (isGmail(account) ? gmailSheet : accountSheet)(life, account, renew));
    if (isGmail(account)) buttons.push(signInButton(life, account, slot));
    buttons.push(change, state === "active" ? button("Pause", "pause", "pause", "It rests.") : button("Let it send", "resume", "resume", "It sends again.", RESUME));
  }
  const curve = ramp === null ? [] : [make("h4", { text: "How it warms up" }), rampPlot(ramp, most, now, CARD), make("p", { class: "soft", text: `${number(ramp.start)} on the first day, ${number(ramp.step)} more each day, up to ${number(most)}.` })];
  return make("section", { class: "card account", "data-account": id }, make("h2", {}, address, " ", badge(word, kind)), ...whyNot(account), list, ...curve, make("div", { class: "card-buttons" }, ...buttons), slot, ...(isGmail(account) ? [] : [mailboxOf(account)]));
}

async function accounts(life, root, { mayChange }) {
  const notice = make("div", { class: "listing-notice" });
  const add = make("button", { type: "button", class: "button small primary", "data-action": "add-account", text: "Add an account" });
  const addGmail = make("button", { type: "button", class: "button small", "data-action": "add-gmail", text: "Add an account at Gmail" });
  const list = make("div", { class: "counts accounts" });
  const slots = new Map();
  const slotOf = (id) => {
    if (!slots.has(id)) slots.set(id, make("div", { class: "listing-notice" }));
    return slots.get(id);
  };
  // What is open stays so while its card is drawn anew.
  const mailboxes = new Map();
  const mailboxOf = (account) => {
    if (!mailboxes.has(account.id)) mailboxes.set(account.id, mailboxPart(life, account, mayChange));
    return mailboxes.get(account.id);
  };
  let drawn = "";
  if (mayChange) root.append(make("div", { class: "bulk" }, add, addGmail));
  root.append(notice, list);

  async function renew() {
    const all = await everything(life, "/v1/sending-accounts");
    const text = JSON.stringify(all);
    if (text === drawn) return;
    drawn = text;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const nothing = make("p", { class: "soft nothing", text: mayChange ? "There is no account. Add one by SMTP or at Gmail: campaigns send through it, within what it may." : "There is no account." });
    list.replaceChildren(...(all.length ? all.map((account) => card(life, account, { mayChange, renew, slotOf, mailboxOf })) : [nothing]));
    if (focused) list.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
  }

  async function look() {
    try {
      await renew();
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  }
  life.on(add, "click", () => accountSheet(life, null, renew));
  life.on(addGmail, "click", () => gmailSheet(life, null, renew));
  await whileSeen(life, LOOK_MS, look);
}

begin("sending-accounts", async (life, root) => {
  const { role } = await ask(life, "GET", "/v1/me");
  const mayChange = role !== "member";
  followLinks(life, root);
  const back = make("div", { class: "listing-notice" });
  root.append(back);
  await comeBack(life).catch((problem) => trouble(life, back, problem, () => location.assign(location.pathname)));
  await parts(life, root, "Parts of sending", {}, [
    { name: "accounts", label: "Accounts", fill: (own, place) => accounts(own, place, { mayChange }) },
    { name: "emails", label: "Emails", fill: (own, place) => emails(own, place, { mayChange, keep: { part: "emails" } }) },
    { name: "suppressions", label: "Suppression list", fill: (own, place) => suppressions(own, place, { mayChange }) },
  ]);
});
