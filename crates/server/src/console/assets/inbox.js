// The inbox: how what has arrived fares, by sender, the list of it, and the life of one event, attempt by attempt.

import { attemptsOf } from "./attempts.js";
import { board } from "./board.js";
import { make } from "./dom.js";
import { listing } from "./listing.js";
import { ask, badge, begin, facts, moment, moments, trouble, whileSeen } from "./operator.js";

const KINDS = { pending: "live", processed: "good", dead: "bad", cancelled: "" };
const STATES = Object.keys(KINDS);
const LOOK_MS = 4000;
/** List and senders are asked for each second time: together it stays well below what a person may ask in a minute. */
const LIST_EVERY = 2;
const SENDERS = 100;

const count = new Intl.NumberFormat();
const isPending = (event) => event.state === "pending";
const stateOf = (event) => (isPending(event) && event.job?.cancel_asked_at ? badge("stopping", "live") : badge(event.state, KINDS[event.state]));

/** The senders of the organisation, by id. */
class Senders {
  all = new Map();

  async read(life) {
    const { data } = await ask(life, "GET", "/v1/inbox-sources", { query: { limit: SENDERS } });
    this.all = new Map(data.map((sender) => [sender.id, sender]));
  }

  name = (id) => this.all.get(id)?.name ?? "removed";
}

function detail(event, senders) {
  const { job } = event;
  const sender = senders.all.get(event.source_id);
  const list = facts([
    ["Id", make("code", { text: event.id })],
    ["Sender", sender ? sender.name : make("code", { text: event.source_id })],
    ["Provider", event.provider],
    ["Identity", make("code", { text: event.identity })],
    ["Version", event.version],
    ["Arrived", moments(event.received_at)],
    ["Attempts", job && `${job.attempt} of ${job.most_attempts}`],
    ["Due", job && isPending(event) ? moments(job.run_at) : null],
    ["Ended", job?.finished_at && moments(job.finished_at)],
    ["Asked to stop", job?.cancel_asked_at && moments(job.cancel_asked_at)],
  ]);
  const life = job ? attemptsOf(job) : make("p", { class: "soft", text: "It was processed so long ago that nothing more is known of that." });
  const what = make("pre", { text: JSON.stringify(event.payload, null, 2), tabindex: "0", "aria-label": "What it says" });
  const heading = make("h2", {}, event.kind, " ", stateOf(event));
  return [heading, list, make("h3", { text: "Processing" }), life, make("h3", { text: "What it says" }), what];
}

function actions(event) {
  if (!isPending(event)) {
    const question = event.state === "processed" ? { title: "Process it again?", text: "It was processed. What is not newer than what is known changes nothing.", yes: "Process it again" } : null;
    return [{ label: "Process again", name: "replay", ask: question, path: `/v1/inbox/${event.id}/replay`, said: () => "It is processed again." }];
  }
  return [
    {
      label: event.job?.cancel_asked_at ? "Ask again to stop" : "Cancel",
      name: "cancel",
      danger: true,
      ask: { title: "Cancel this event?", text: "It will not be processed, unless that is begun anew. What is being done with it just now is asked to stop.", yes: "Cancel it", danger: true },
      path: `/v1/inbox/${event.id}/cancel`,
      said: ({ cancelled }) => (cancelled ? "It is cancelled." : "It was asked to stop."),
    },
  ];
}

/** All of a filter are processed again in bites, from the newest back. */
function bulk(life, senders, filter) {
  if (!filter.state || filter.state === "pending") return [];
  const of = [filter.kind && `kind ${filter.kind}`, filter.source && `sender ${senders.name(filter.source)}`].filter(Boolean);
  const which = `${filter.state} events${of.length ? ` of ${of.join(", ")}` : ""}`;
  const run = async (tell) => {
    let replayed = 0;
    let after = null;
    do {
      const wanted = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
      const bite = await ask(life, "POST", "/v1/inbox/replays", { body: { filter: wanted, after } });
      replayed += bite.replayed;
      after = bite.next;
      tell(`${count.format(replayed)} so far …`);
    } while (after !== null);
    return replayed;
  };
  const said = (replayed) => (replayed === 1 ? "One event is processed again." : `${count.format(replayed)} events are processed again.`);
  const text = `All ${which}, each with all its attempts before it. What is not newer than what is known changes nothing.`;
  return [{ label: `Process all ${which} again`, name: "replay-all", ask: { title: "Process all of them again?", text, yes: "Process them again" }, run, said }];
}

function figures(life, root, senders, events) {
  const { notice, number, draw } = board(life, root, events);

  function numbers(counts, filter, more) {
    const one = (state) => number(state, counts[state], { state, ...filter }, more && counts[state] > 0);
    return make("p", { class: "numbers" }, ...STATES.map(one));
  }

  function card(sender, counts) {
    const head = make("h2", {}, sender.name, ...(sender.disabled_at ? [" ", badge("disabled", "bad")] : []));
    const newest = counts?.newest_at ? make("span", {}, ", newest ", moment(counts.newest_at)) : ", nothing has arrived";
    const parts = [head, make("p", { class: "soft" }, sender.provider, newest)];
    if (counts) parts.push(numbers(counts, { source: sender.id }, false));
    const refusal = sender.last_refusal;
    if (refusal) parts.push(make("p", { class: "off" }, "Refused ", moment(refusal.at), `: ${refusal.detail}`));
    return make("section", { class: "card", "data-sender": sender.id }, ...parts);
  }

  async function look() {
    try {
      const found = await ask(life, "GET", "/v1/inbox/counts");
      const by = new Map(found.senders.map((counts) => [counts.source_id, counts]));
      const all = make("section", { class: "card", "data-sender": "" }, make("h2", { text: "All senders" }), numbers(found, {}, found.more));
      if (found.more) all.append(make("p", { class: "soft", text: "Of the newest 10,000." }));
      if (senders.all.size === 0) all.append(make("p", { class: "soft" }, "No sender is set up. ", make("code", { text: "POST /v1/inbox-sources" }), " adds one."));
      const woes = (sender) => (by.get(sender.id)?.dead ?? 0) + (sender.last_refusal ? 1 : 0);
      const sorted = [...senders.all.values()].sort((left, right) => woes(right) - woes(left));
      draw([all, ...sorted.map((sender) => card(sender, by.get(sender.id)))]);
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  }
  return look;
}

begin("inbox", async (life, root) => {
  const senders = new Senders();
  // Whoever may not see it is told so once, in place of all.
  await senders.read(life);
  const top = make("div");
  const below = make("div");
  const events = listing(life, below, {
    path: "/v1/inbox",
    nouns: ["event", "events"],
    filters: [
      { name: "state", label: "State", options: STATES },
      { name: "source", label: "Sender", options: [], wide: true },
      { name: "kind", label: "Kind", wide: true },
    ],
    columns: [
      { label: "Kind", cell: (event) => event.kind, main: true },
      { label: "State", cell: stateOf },
      { label: "Sender", cell: (event) => senders.name(event.source_id) },
      { label: "Identity", cell: (event) => make("span", { class: "cut", title: event.identity, text: event.identity }) },
      { label: "Arrived", cell: (event) => moment(event.received_at) },
    ],
    detail: (event) => detail(event, senders),
    actions,
    bulk: (filter) => bulk(life, senders, filter),
    lasts: isPending,
  });
  const look = figures(life, top, senders, events);
  root.append(top, below);
  const offer = () => events.offer("source", [...senders.all.values()].map(({ id, name }) => ({ value: id, label: name })));
  offer();
  await events.open();
  whileSeen(life, LOOK_MS, async (tick) => {
    const isSecond = tick > 0 && tick % LIST_EVERY === 0;
    if (isSecond) await senders.read(life).then(offer, () => {});
    await look();
    if (isSecond) await events.renew();
  });
});
