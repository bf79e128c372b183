// The calls: those that go on, the log of all, and one with what was said and done. What happens on the phone appears by
// itself.

import { agentSettings } from "./agent.js";
import { make } from "./dom.js";
import { listing } from "./listing.js";
import { messages } from "./messages.js";
import { actionButton, ask, badge, begin, facts, moment, moments, trouble } from "./operator.js";
import { Contacts, follow, zoneOf } from "./reception.js";

const PAGE = 100;
/** Pages of calls that are counted for today. */
const PAGES = 5;
const SECOND_MS = 1000;
const MICROS = 1_000_000;
const STATES = { scheduled: "", queued: "", ringing: "live", in_progress: "live", forwarding: "live", ended: "good", lost: "bad" };
const OUTCOMES = { answered: "answered", transferred: "passed on", message_taken: "message taken", cancelled: "cancelled", rescheduled: "moved", booked: "booked" };
const DIRECTIONS = { inbound: "called here", outbound: "was called", web: "from the web" };
const TOOLS = { check_availability: "Looked for free times", book_appointment: "Booked", reschedule_appointment: "Moved an appointment", cancel_appointment: "Cancelled an appointment", find_contact: "Looked who it is", opening_hours: "Told the hours", search_knowledge: "Looked up an answer", take_message: "Took a message" };
/** What providers say when it was not the caller who ended it. */
const FAILURE = /error|fault|fail|invalid|not-found|did-not-connect/i;

const words = (text) => String(text).replaceAll("_", " ");
const isLive = ({ state }) => state !== "ended" && state !== "lost";
const isFailure = ({ state, ended_reason: reason }) => state === "lost" || FAILURE.test(reason ?? "");
const stateOf = (call) => badge(words(call.state), isFailure(call) ? "bad" : STATES[call.state]);
const outcomeOf = ({ outcome }) => (outcome ? badge(OUTCOMES[outcome] ?? words(outcome), outcome === "booked" ? "good" : "") : "–");
const money = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 4 });
const costOf = ({ cost_micros: micros }) => (micros === null ? "–" : money.format(micros / MICROS));

/** 75 000 as "1:15". */
function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / SECOND_MS));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const whoOf = (call, contacts) => contacts.name(call.contact_id) ?? call.number ?? "Unknown number";

function transcript(lines) {
  if (!lines?.length) return make("p", { class: "soft", text: "Nothing that was said is kept." });
  const line = ({ role, text, at_ms: at }) => {
    const who = role === "agent" ? "Agent" : "Caller";
    const said = typeof at === "number" ? `${who}, ${clock(at)}` : who;
    return make("li", { "data-role": role === "agent" ? "agent" : "caller" }, make("span", { class: "said", text: said }), String(text));
  };
  return make("ol", { class: "transcript" }, ...lines.map(line));
}

/** The recording is asked for when somebody wants to hear it, and not before: it is at the provider's. */
function player(call) {
  if (!call.recording_url) return [];
  const box = make("div", { class: "player" });
  const isSafe = URL.canParse(call.recording_url) && new URL(call.recording_url).protocol === "https:";
  if (!isSafe) {
    box.append(make("p", { class: "soft", text: "The recording is not at an https address, and is not played." }));
    return [make("h3", { text: "Recording" }), box];
  }
  const button = make("button", { type: "button", class: "button small", "data-action": "listen", text: "Listen to the recording" });
  button.addEventListener("click", () => {
    const audio = make("audio", { controls: true, preload: "metadata", src: call.recording_url, "aria-label": "Recording of the call" });
    audio.addEventListener("error", () => box.append(make("p", { class: "off", role: "alert", text: "The recording cannot be played. The provider may not have it any more." })), { once: true });
    box.replaceChildren(audio);
    audio.focus();
  });
  box.append(button);
  return [make("h3", { text: "Recording" }), box];
}

function actionsOf(life, call, zone, slot) {
  if (!call.actions.length) return [];
  const show = ({ appointment_id: id }) =>
    actionButton(life, {
      label: "Show the appointment",
      name: "appointment",
      slot,
      run: async () => {
        const { starts_at } = await ask(life, "GET", `/v1/appointments/${id}`);
        location.assign(`/calendar?view=day&day=${zone.at(starts_at).day}`);
      },
    });
  const line = (action) => {
    const isDone = action.outcome === "done";
    const head = make("p", {}, make("strong", { text: TOOLS[action.tool] ?? action.tool }), " ", badge(words(action.outcome), isDone ? "good" : "bad"), " ", moment(action.created_at));
    return make("li", { "data-tool": action.tool }, head, make("p", { class: "soft", text: action.answer }), ...(action.appointment_id ? [show(action)] : []));
  };
  return [make("h3", { text: "What the agent did" }), slot, make("ol", { class: "attempts" }, ...call.actions.map(line))];
}

function detail(life, call, contacts, zone) {
  const slot = make("div", { class: "listing-notice" });
  const name = contacts.name(call.contact_id);
  const list = facts([
    ["Number", call.number],
    ["Contact", call.contact_id && make("a", { href: `/contacts?id=${encodeURIComponent(call.contact_id)}`, text: name ?? "Who it is" })],
    ["Direction", DIRECTIONS[call.direction] ?? call.direction],
    ["Began", call.started_at && moments(call.started_at)],
    ["Ended", call.ended_at && moments(call.ended_at)],
    ["Took", call.duration_ms === null ? null : clock(call.duration_ms)],
    ["Outcome", outcomeOf(call)],
    ["Ended because", call.ended_reason],
    ["Cost", costOf(call)],
    ["Provider's id", make("code", { text: call.provider_id })],
  ]);
  const summary = call.summary ? [make("h3", { text: "Summary" }), make("p", { class: "message-body", text: call.summary })] : [];
  return [
    make("h2", {}, name ?? call.number ?? "Unknown number", " ", stateOf(call)),
    list,
    ...summary,
    ...actionsOf(life, call, zone, slot),
    ...player(call),
    make("h3", { text: "What was said" }),
    transcript(call.transcript),
  ];
}

/** Today's numbers, of the zone of the reception. */
async function today(life, zone) {
  const day = zone.today();
  const found = [];
  let after = null;
  let isMore = false;
  for (let pages = 0; pages < PAGES; pages += 1) {
    const page = await ask(life, "GET", "/v1/calls", { query: { limit: PAGE, after } });
    const ofToday = page.data.filter(({ created_at }) => zone.at(created_at).day === day);
    found.push(...ofToday);
    after = page.next;
    isMore = after !== null && ofToday.length === page.data.length;
    if (!isMore) break;
  }
  return { calls: found.length, bookings: found.filter(({ outcome }) => outcome === "booked").length, failures: found.filter(isFailure).length, isMore, people: found.map(({ contact_id }) => contact_id) };
}

const format = new Intl.NumberFormat();

function drawToday(root, { calls, bookings, failures, isMore }) {
  const number = (value, label, name) => make("p", { "data-figure": name }, make("strong", { text: `${format.format(value)}${isMore ? "+" : ""}` }), label);
  root.replaceChildren(number(calls, calls === 1 ? "call today" : "calls today", "calls"), number(bookings, "booked by them", "bookings"), number(failures, "failed", "failures"));
}

/** The calls that go on, whose clocks run. */
function liveCalls(life, contacts, open) {
  const list = make("div", { class: "counts" });
  const root = make("section", { class: "part-of-page", "data-part": "live", "aria-live": "polite" }, make("h2", { text: "On the phone now" }), list);
  const card = (call) => {
    const link = make("a", { href: `/calls?id=${encodeURIComponent(call.id)}`, text: whoOf(call, contacts) });
    link.addEventListener("click", life.guard((event) => open(event, call.id)));
    const since = make("span", { "data-since": call.started_at ?? call.created_at, "aria-live": "off" });
    return make("section", { class: "card", "data-live": call.id }, make("h3", {}, link), make("p", {}, stateOf(call), " ", since), ...(call.outcome ? [make("p", {}, outcomeOf(call))] : []));
  };
  const run = () => {
    for (const since of root.querySelectorAll("[data-since]")) since.textContent = clock(Date.now() - Date.parse(since.dataset.since));
  };
  life.every(SECOND_MS, run);
  const draw = (calls) => {
    list.replaceChildren(...(calls.length ? calls.map(card) : [make("p", { class: "soft nothing", text: "Nobody is on the phone." })]));
    run();
  };
  return { root, draw };
}

begin("calls", async (life, root) => {
  const [me, zone] = await Promise.all([ask(life, "GET", "/v1/me"), zoneOf(life)]);
  const contacts = new Contacts();
  const notice = make("div", { class: "listing-notice" });
  const figures = make("div", { class: "figures", "aria-live": "polite" });
  const below = make("div", {});
  const calls = listing(life, below, {
    path: "/v1/calls",
    nouns: ["call", "calls"],
    filters: [{ name: "q", label: "Words, a name or a number", wide: true }, { name: "live", label: "Which", options: [{ value: "true", label: "only those that go on" }] }],
    columns: [
      { label: "Who", cell: (call) => whoOf(call, contacts), main: true },
      { label: "State", cell: stateOf },
      { label: "Outcome", cell: outcomeOf },
      { label: "Took", cell: (call) => (call.duration_ms === null ? "–" : clock(call.duration_ms)) },
      { label: "Cost", cell: costOf },
      { label: "Began", cell: (call) => moment(call.started_at ?? call.created_at) },
    ],
    detail: (call) => detail(life, call, contacts, zone),
    actions: () => [],
    lasts: isLive,
  });
  const live = liveCalls(life, contacts, (event, id) => calls.follow(event, () => calls.one(id)));
  const heard = messages(life, contacts);
  const log = make("section", { class: "part-of-page" }, make("h2", { class: "only-list", text: "All calls" }), below);
  const shown = [notice, figures, live.root, heard.root];
  for (const part of shown) part.classList.add("only-list");
  root.append(...shown, log);
  if (me.role !== "member") root.append(agentSettings(life));

  async function look() {
    try {
      const [{ data }, numbers] = await Promise.all([ask(life, "GET", "/v1/calls", { query: { live: true } }), today(life, zone)]);
      await contacts.read(life, [...data.map(({ contact_id }) => contact_id), ...numbers.people]);
      drawToday(figures, numbers);
      live.draw(data);
      await heard.look();
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
    await calls.renew();
  }

  await look();
  await calls.open();
  await follow(life, me, look);
});
