// Deliveries: the endpoints of the organisation and how they fare, what they were told, and one delivery with each attempt,
// its request and its answer.

import { board } from "./board.js";
import { make } from "./dom.js";
import { listing } from "./listing.js";
import { actionButton, ask, badge, begin, facts, moment, moments, span, trouble, whileSeen } from "./operator.js";
import { askRange } from "./range.js";

const KINDS = { pending: "live", delivered: "good", failed: "bad", cancelled: "" };
const STATES = Object.keys(KINDS);
const LOOK_MS = 4000;
/** List and endpoints are asked for each second time: together it stays well below what a person may ask in a minute. */
const LIST_EVERY = 2;
/** More than there may be. */
const ENDPOINTS = 100;
const DAY_MS = 86_400_000;
const REASONS = { asked: "somebody has disabled it", gone: "it answered that nobody listens there any more", failing: "it has taken nothing for too long" };

const isPending = (delivery) => delivery.state === "pending";
const stateOf = (delivery) => badge(delivery.state, KINDS[delivery.state]);
const isResting = (endpoint) => endpoint.resting_until !== null && new Date(endpoint.resting_until) > Date.now();

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

const nameOf = (endpoint) => endpoint.description || hostOf(endpoint.url);

/** The endpoints of the organisation, by id. */
class Endpoints {
  all = new Map();

  async read(life) {
    const { data } = await ask(life, "GET", "/v1/webhook-endpoints", { query: { limit: ENDPOINTS } });
    this.all = new Map(data.map((endpoint) => [endpoint.id, endpoint]));
  }

  name = (id) => (this.all.has(id) ? nameOf(this.all.get(id)) : "removed");
}

function when(delivery) {
  if (delivery.ended_at) return make("span", {}, "ended ", moment(delivery.ended_at));
  if (delivery.next_at) return make("span", {}, "due ", moment(delivery.next_at));
  return make("span", {}, "promised ", moment(delivery.created_at));
}

const block = (label, text) => make("pre", { text, tabindex: "0", "aria-label": label });
const json = (value) => JSON.stringify(value, null, 2);
const lines = (headers) =>
  Object.entries(headers ?? {})
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");

function attemptOf({ number, started_at, took_ms, status, error, request_headers, response_headers, response_body }) {
  const answer = badge(status === null ? "no answer" : `answered ${status}`, error === null ? "good" : "bad");
  const head = make("p", {}, make("strong", { text: `Attempt ${number}` }), " ", answer, ` after ${span(took_ms)}, `, moment(started_at));
  const parts = [head];
  if (error !== null) parts.push(make("pre", { class: "error", text: error, tabindex: "0", "aria-label": `Error of attempt ${number}` }));
  const said = [lines(response_headers), response_body].filter(Boolean).join("\n\n");
  const exchange = [make("p", { class: "soft", text: "Sent, without signatures" }), block(`Headers of request ${number}`, lines(request_headers))];
  if (said) exchange.push(make("p", { class: "soft", text: "Answered" }), block(`Answer to attempt ${number}`, said));
  parts.push(make("details", { "data-key": `attempt-${number}` }, make("summary", { text: "Request and answer" }), ...exchange));
  return make("li", {}, ...parts);
}

function detail(delivery, endpoints) {
  const endpoint = endpoints.all.get(delivery.endpoint_id);
  const list = facts([
    ["Id", make("code", { text: delivery.id })],
    ["Event", make("code", { text: delivery.event_id })],
    ["Endpoint", endpoint ? make("span", {}, nameOf(endpoint), " ", make("code", { text: endpoint.url })) : make("code", { text: `removed: ${delivery.endpoint_id}` })],
    ["Attempts", delivery.attempts],
    ["Published", delivery.published_at && moments(delivery.published_at)],
    ["Promised", moments(delivery.created_at)],
    ["Due", delivery.next_at && moments(delivery.next_at)],
    ["Ended", delivery.ended_at && moments(delivery.ended_at)],
    ["What was wrong", delivery.error],
  ]);
  const attempts = delivery.log.map(attemptOf);
  if (isPending(delivery) && delivery.next_at) {
    attempts.push(make("li", {}, make("p", {}, make("strong", { text: `Attempt ${delivery.attempts + 1}` }), " ", badge("waits", "live"), " due ", moment(delivery.next_at))));
  }
  const life = attempts.length ? make("ol", { class: "attempts" }, ...attempts) : make("p", { class: "soft", text: "No attempt has ended." });
  const isKept = delivery.published_at !== null;
  const body = { id: delivery.event_id, type: delivery.type, timestamp: delivery.published_at, data: delivery.data };
  const what = isKept ? block("What is sent", json(body)) : make("p", { class: "soft", text: "The event has been kept long enough, and is gone." });
  const heading = make("h2", {}, delivery.type, " ", stateOf(delivery));
  return [heading, list, make("h3", { text: "Attempts" }), life, make("h3", { text: "What is sent" }), what];
}

function actions(delivery) {
  if (!isPending(delivery)) {
    const taken = delivery.state === "delivered";
    const question = taken ? { title: "Deliver it again?", text: "It was taken. The event keeps its id, by which the receiver knows it.", yes: "Deliver it again" } : null;
    return [{ label: "Deliver again", name: "replay", ask: question, path: `/v1/webhook-deliveries/${delivery.id}/replay`, said: () => "It is delivered again, as this delivery.", leadsTo: ({ id }) => id }];
  }
  const text = "It is not tried again. An attempt that is under way may still be taken.";
  return [{ label: "Cancel", name: "cancel", danger: true, ask: { title: "Cancel this delivery?", text, yes: "Cancel it", danger: true }, path: `/v1/webhook-deliveries/${delivery.id}/cancel`, said: () => "It is cancelled." }];
}

/** How an endpoint is, in a word and in a sentence. */
function healthOf(endpoint) {
  const since = endpoint.failing_since ? `, nothing was taken for ${span(Date.now() - new Date(endpoint.failing_since))}` : "";
  if (!endpoint.enabled) return [badge("disabled", "bad"), make("span", {}, "Disabled ", moment(endpoint.disabled_at), `: ${REASONS[endpoint.disabled_reason] ?? endpoint.disabled_reason}.`)];
  if (isResting(endpoint)) return [badge("resting", "bad"), make("span", {}, "Left alone, and tried again ", moment(endpoint.resting_until), `${since}.`)];
  if (endpoint.consecutive_failures > 0) {
    const failures = endpoint.consecutive_failures === 1 ? "One failure" : `${endpoint.consecutive_failures} failures in a row`;
    return [badge("failing", "bad"), make("span", { text: `${failures}${since}.` })];
  }
  return [badge("enabled", "good"), make("span", { text: "Nothing has failed lately." })];
}

function figures(life, root, endpoints, deliveries) {
  const { notice, number, draw, tell } = board(life, root, deliveries);

  function numbers(counts, filter, more) {
    // What waits is counted whole.
    const one = (state) => number(state, counts[state], { state, ...filter }, more && state !== "pending" && counts[state] > 0);
    return make("p", { class: "numbers" }, ...STATES.map(one));
  }

  /** A button of a card. `run` may say what was done. */
  function button(endpoint, label, name, run, question = null) {
    const done = async () => {
      await endpoints.read(life).catch(() => {});
      await look();
    };
    const path = `/v1/webhook-endpoints/${endpoint.id}`;
    const element = actionButton(life, { label, name: `${name}-${endpoint.id}`, ask: question, slot: notice, run: () => run(path), done });
    element.setAttribute("aria-label", `${label} (${nameOf(endpoint)})`);
    return element;
  }

  function buttons(endpoint) {
    const name = nameOf(endpoint);
    if (!endpoint.enabled) {
      const enable = async (path) => {
        await ask(life, "PATCH", path, { body: { enabled: true } });
        tell(`${name} is enabled. What it has missed can be delivered again.`);
      };
      return [button(endpoint, "Enable", "enable", enable)];
    }
    const test = async (path) => {
      await ask(life, "POST", `${path}/test`);
      tell(`A test is on its way to ${name}.`);
    };
    const again = async (path) => {
      const range = await askRange(name, new Date(endpoint.failing_since ?? Date.now() - DAY_MS));
      if (range === null) return;
      await ask(life, "POST", `${path}/replays`, { body: range });
      tell(`What ${name} is told again is soon in the list.`);
    };
    return [button(endpoint, "Send a test", "test", test), button(endpoint, "Deliver again …", "range", again)];
  }

  function card(endpoint, counts) {
    const [word, sentence] = healthOf(endpoint);
    return make(
      "section",
      { class: "card", "data-endpoint": endpoint.id },
      make("h2", {}, nameOf(endpoint), " ", word),
      make("code", { class: "url", text: endpoint.url }),
      make("p", { class: "soft" }, sentence),
      ...(counts ? [numbers(counts, { endpoint: endpoint.id }, false)] : []),
      make("div", { class: "card-buttons" }, ...buttons(endpoint)),
    );
  }

  async function look() {
    try {
      const found = await ask(life, "GET", "/v1/webhook-deliveries/counts");
      const by = new Map(found.endpoints.map((counts) => [counts.endpoint_id, counts]));
      const all = make("section", { class: "card", "data-endpoint": "" }, make("h2", { text: "All endpoints" }), numbers(found, {}, found.more));
      if (found.more) all.append(make("p", { class: "soft", text: "Of the newest 10,000, and all that are pending." }));
      if (endpoints.all.size === 0) all.append(make("p", { class: "soft" }, "There is no endpoint. ", make("code", { text: "POST /v1/webhook-endpoints" }), " makes one."));
      const woes = (endpoint) => (endpoint.enabled ? Math.min(endpoint.consecutive_failures, 1) : 2);
      const sorted = [...endpoints.all.values()].sort((left, right) => woes(right) - woes(left));
      draw([all, ...sorted.map((endpoint) => card(endpoint, by.get(endpoint.id)))]);
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  }
  return look;
}

begin("deliveries", async (life, root) => {
  const endpoints = new Endpoints();
  // Whoever may not see it is told so once, in place of all.
  await endpoints.read(life);
  const top = make("div");
  const below = make("div");
  const deliveries = listing(life, below, {
    path: "/v1/webhook-deliveries",
    nouns: ["delivery", "deliveries"],
    filters: [
      { name: "state", label: "State", options: STATES },
      { name: "endpoint", label: "Endpoint", options: [], wide: true },
      { name: "type", label: "Type of event", wide: true },
    ],
    columns: [
      { label: "Type", cell: (delivery) => delivery.type, main: true },
      { label: "State", cell: stateOf },
      { label: "Endpoint", cell: (delivery) => endpoints.name(delivery.endpoint_id) },
      { label: "Attempts", cell: (delivery) => String(delivery.attempts) },
      { label: "Answer", cell: (delivery) => make("span", { class: "cut", title: delivery.error, text: delivery.error ?? delivery.status ?? "" }) },
      { label: "When", cell: when },
    ],
    detail: (delivery) => detail(delivery, endpoints),
    actions,
    lasts: isPending,
  });
  const look = figures(life, top, endpoints, deliveries);
  root.append(top, below);
  const offer = () => deliveries.offer("endpoint", [...endpoints.all.values()].map((endpoint) => ({ value: endpoint.id, label: nameOf(endpoint) })));
  offer();
  await deliveries.open();
  whileSeen(life, LOOK_MS, async (tick) => {
    const isSecond = tick > 0 && tick % LIST_EVERY === 0;
    if (isSecond) await endpoints.read(life).then(offer, () => {});
    await look();
    if (isSecond) await deliveries.renew();
  });
});
