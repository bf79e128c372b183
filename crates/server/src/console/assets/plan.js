// What the organisation pays for. Each section asks for its own and fails on its own; what the provider of billing cannot
// do is said above them, and the rest of the page stays as it is.

import { Problem, call, refresh } from "./api.js";
import { $, make } from "./dom.js";

const MICROS = 1_000_000;
/** How often, and how many times, the plan is looked at again after something was asked for. */
const LOOK_MS = 3000;
const LOOKS = 20;
const RANKS = ["free", "core", "studio"];

const date = (text) => new Date(text).toLocaleDateString(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = (text) => new Date(text).toLocaleDateString(undefined, { day: "numeric", month: "long" });
const count = new Intl.NumberFormat();
const titled = (plan) => plan[0].toUpperCase() + plan.slice(1);

function money(micros, currency) {
  const amount = micros / MICROS;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(amount);
  } catch {
    return `${amount.toFixed(2)} ${currency}`;
  }
}

const isAdministrator = (me) => me.role === "admin" || me.role === "owner";

/** How things stand, in words. */
function words({ plan, subscription, grace_until: grace }) {
  if (!subscription) return plan === "free" ? "Nothing is paid." : "This plan was given to your organisation.";
  const { state, period_end: end, ends_at: ends } = subscription;
  if (state === "overdue") {
    if (grace && new Date(grace) > new Date()) return `Payment failed; the plan stays until ${shortDate(grace)}. Please check the payment with the provider.`;
    return "Payment failed, and the time to mend it is over. The plan comes back with the next payment.";
  }
  if (state === "canceled") return ends && new Date(ends) > new Date() ? `Cancelled; the plan stays until ${date(ends)}.` : "Cancelled; the period that was paid is over.";
  if (state === "paused") return "Paused; the plan comes back when the subscription goes on.";
  if (state === "deactivated") return "The subscription has ended.";
  if (state === "trial") return end ? `Tried until ${date(end)}; it is paid from then on.` : "Tried for now.";
  return end ? `Paid; the next payment is on ${date(end)}.` : "Paid.";
}

const isUrgent = ({ subscription }) => ["overdue", "canceled", "paused"].includes(subscription?.state);

/** Whether there is a subscription that can be changed, so that nothing new is bought. */
function goesOn({ subscription }) {
  if (!subscription || subscription.state === null || subscription.state === "deactivated") return false;
  return subscription.state !== "canceled" || !subscription.ends_at || new Date(subscription.ends_at) > new Date();
}

function button(text, kind, act) {
  const element = make("button", { type: "button", class: `button ${kind}`, text });
  element.addEventListener("click", async () => {
    for (const other of document.querySelectorAll(".offers button")) other.disabled = true;
    try {
      await act();
    } catch (problem) {
      say(trouble(problem));
    }
    for (const other of document.querySelectorAll(".offers button")) other.disabled = false;
  });
  return element;
}

function say(...nodes) {
  $("#notice").replaceChildren(...nodes);
}

/** Something was asked for: it is said, and looked for until it shows. */
async function ask(path, body) {
  const before = JSON.stringify(shown);
  const { detail } = await call("POST", path, { body });
  say(make("p", { class: "said", text: detail }));
  let looks = 0;
  clearInterval(looking);
  looking = setInterval(async () => {
    looks += 1;
    await section("#plan", drawPlan).catch(() => {});
    if (looks >= LOOKS || JSON.stringify(shown) !== before) clearInterval(looking);
  }, LOOK_MS);
}

async function buy(plan) {
  const { url } = await call("POST", "/v1/checkout-sessions", { body: { plan } });
  location.assign(url);
}

function offers(standing) {
  const { plan, subscription, products, changes_here: changesHere } = standing;
  const sold = [...new Set(products.map((product) => product.plan))].sort((one, other) => RANKS.indexOf(one) - RANKS.indexOf(other));
  if (!goesOn(standing)) return sold.map((name) => button(`Get ${titled(name)}`, "primary", () => buy(name)));
  if (!changesHere) return [make("p", { class: "plan-words", text: "To change or cancel it, follow the link in the provider's last email." })];
  const has = subscription.plan ?? plan;
  const isCancelled = subscription.state === "canceled";
  const change = (name) => {
    const word = RANKS.indexOf(name) > RANKS.indexOf(has) ? "Upgrade" : "Downgrade";
    return button(`${word} to ${titled(name)}`, word === "Upgrade" ? "primary" : "", () => ask("/v1/plan/change", { plan: name }));
  };
  const all = sold.filter((name) => name !== has).map(change);
  if (isCancelled) all.unshift(button(`Keep ${titled(has)}`, "primary", () => ask("/v1/plan/change", { plan: has })));
  else all.push(cancellation(standing));
  return all;
}

/** The button that cancels asks once more in its own place. */
function cancellation({ subscription }) {
  const place = make("span", { class: "offers" });
  const first = make("button", { type: "button", class: "button quiet", id: "cancel", text: "Cancel the subscription" });
  first.addEventListener("click", () => {
    const until = subscription.period_end ? ` on ${date(subscription.period_end)}` : "";
    const yes = button(`Cancel it; the plan ends${until}`, "danger", () => ask("/v1/plan/cancel"));
    const no = make("button", { type: "button", class: "button", text: "Keep it" });
    no.addEventListener("click", () => place.replaceChildren(first));
    place.replaceChildren(yes, no);
    no.focus();
  });
  place.append(first);
  return place;
}

let me = null;
let shown = null;
let looking = 0;

async function drawPlan() {
  const standing = await call("GET", "/v1/plan");
  const isNew = JSON.stringify(standing) !== JSON.stringify(shown);
  shown = standing;
  // What people have their hands on is not taken away for nothing.
  if (!isNew) return null;
  drawHistory(standing.history);
  const name = make("p", { class: "plan-name", text: standing.plan });
  const box = make("div", { class: "standing" }, name, make("p", { class: "plan-words", text: words(standing) }));
  box.classList.toggle("is-urgent", isUrgent(standing));
  const all = isAdministrator(me) ? offers(standing) : [make("p", { class: "plan-words", text: "Administrators of the organisation can change it." })];
  if (all.length) box.append(make("div", { class: "offers" }, ...all));
  return [box];
}

async function drawLimits() {
  const { limits, currency } = await call("GET", "/v1/usage");
  const rows = [];
  const add = (name, { used, limit }, write) => limit !== null && rows.push(make("div", {}, make("dt", { text: name }), make("dd", { text: `${write(used)} of ${write(limit)}` })));
  const plain = (value) => count.format(value);
  add("Messages today", limits.messages.day, plain);
  add("Messages this month", limits.messages.month, plain);
  add("Images this month", limits.images.month, plain);
  add("Seconds of speech this month", limits.voice_seconds.month, plain);
  add("Cost this month", limits.cost_micros, (value) => money(value, currency));
  return [rows.length ? make("dl", { class: "allowances" }, ...rows) : make("p", { text: "As much as you like." })];
}

function table(names, rows) {
  const head = make("tr", {}, ...names.map((text) => make("th", { text, scope: "col", class: text === "Amount" ? "amount" : null })));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

const STATES = { paid: "Paid", failed: "Not paid", returned: "Given back" };

async function drawInvoices() {
  if (!isAdministrator(me)) return [make("p", { text: "Administrators of the organisation see them." })];
  const { data } = await call("GET", "/v1/invoices");
  if (!data.length) return [make("p", { text: "There are none." })];
  const row = (invoice) => {
    const text = invoice.reference || invoice.id;
    const name = invoice.url?.startsWith("https://") ? make("a", { href: invoice.url, text, rel: "noreferrer", target: "_blank" }) : text;
    const amount = make("td", { class: "amount", text: money(invoice.total_micros, invoice.currency) });
    return make("tr", {}, make("td", {}, name), make("td", { class: "date", text: date(invoice.issued_at) }), make("td", { text: STATES[invoice.state] ?? invoice.state }), amount);
  };
  return [table(["Invoice", "Date", "State", "Amount"], data.map(row))];
}

function drawHistory(history) {
  const row = ({ from, to, cause, at }) => make("tr", {}, make("td", { class: "date", text: date(at) }), make("td", { class: "date", text: `${titled(from)} to ${titled(to)}` }), make("td", { class: "cause", text: cause }));
  const body = history.length ? table(["Date", "Change", "Why"], history.map(row)) : make("p", { text: "It has never changed." });
  $("#history .section-body").replaceChildren(body);
}

/** Draws one section. What fails is said in it, with a button to try again. */
async function section(css, draw) {
  const body = $(".section-body", $(css));
  try {
    const nodes = await draw();
    if (nodes) body.replaceChildren(...nodes);
  } catch (problem) {
    const again = make("button", { type: "button", class: "button small", text: "Try again" });
    again.addEventListener("click", () => section(css, draw));
    body.replaceChildren(trouble(problem), again);
    shown = css === "#plan" ? null : shown;
  }
}

function trouble(problem) {
  if (!(problem instanceof Problem)) throw problem;
  const paragraph = make("p", { class: "off", role: "alert" });
  if (problem.status === 401) paragraph.append("Nobody is signed in here. ", make("a", { href: "/", text: "Sign in" }), " and come back.");
  else paragraph.append(problem.detail);
  return paragraph;
}

async function start() {
  try {
    await refresh();
    me = await call("GET", "/v1/me");
  } catch (problem) {
    $("#plan .section-body").replaceChildren(trouble(problem));
    return;
  }
  await Promise.all([section("#plan", drawPlan), section("#limits", drawLimits), section("#invoices", drawInvoices)]);
  // Who comes back from paying sees what has come of it.
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && section("#plan", drawPlan));
}

start();
