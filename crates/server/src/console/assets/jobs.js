// Jobs: how much waits in each queue, the list of them, and the life of one, attempt by attempt.

import { STATES_OF_JOBS, attemptsOf } from "./attempts.js";
import { board } from "./board.js";
import { make, say } from "./dom.js";
import { listing } from "./listing.js";
import { actionButton, ask, badge, begin, facts, moment, moments, span, trouble, whileSeen } from "./operator.js";

const STATES = ["scheduled", "ready", "running", "done", "dead", "cancelled"];
const LOOK_MS = 4000;
/** The list is asked for each second time: together it stays well below what a person may ask in a minute. */
const LIST_EVERY = 2;
/** Jobs that are begun anew by one request. */
const BITE = 500;

const count = new Intl.NumberFormat();
const isEnd = (state) => state === "done" || state === "dead" || state === "cancelled";

function stateOf(job) {
  if (job.state === "running" && job.cancel_asked_at) return badge("stopping", "live");
  return badge(job.state, STATES_OF_JOBS[job.state]);
}

function when(job) {
  if (job.finished_at) return make("span", {}, "ended ", moment(job.finished_at));
  if (job.state === "running") return make("span", {}, "began ", moment(job.started_at));
  return make("span", {}, "due ", moment(job.run_at));
}

function detail(job) {
  const heading = make("h2", {}, job.kind, " ", stateOf(job));
  const list = facts([
    ["Id", make("code", { text: job.id })],
    ["Queue", job.queue],
    ["Group", job.group],
    ["Organisation", job.organisation_id && make("code", { text: job.organisation_id })],
    ["Priority", job.priority],
    ["Attempts", `${job.attempt} of ${job.most_attempts}`],
    ["Promised", moments(job.created_at)],
    ["Due", isEnd(job.state) ? null : moments(job.run_at)],
    ["Ended", job.finished_at && moments(job.finished_at)],
    ["Asked to stop", job.cancel_asked_at && moments(job.cancel_asked_at)],
    ["Trace", job.trace_id && make("code", { text: job.trace_id })],
    ["Unique by", job.unique_key && make("code", { text: job.unique_key })],
  ]);
  const what = make("pre", { text: JSON.stringify(job.arguments, null, 2), tabindex: "0", "aria-label": "What it is to do" });
  return [heading, list, make("h3", { text: "Attempts" }), attemptsOf(job), make("h3", { text: "What it is to do" }), what];
}

function actions(job) {
  if (isEnd(job.state)) {
    const question = job.state === "done" ? { title: "Do it again?", text: "It was done. Its effects may happen a second time.", yes: "Do it again" } : null;
    return [{ label: "Begin anew", name: "replay", ask: question, path: `/v1/jobs/${job.id}/replay`, said: () => "It begins anew." }];
  }
  const text = job.state === "running" ? "It runs now, and is asked to stop. What it has done already stays." : "It will never run, unless it is begun anew.";
  return [
    {
      label: job.cancel_asked_at ? "Ask again to stop" : "Cancel",
      name: "cancel",
      danger: true,
      ask: { title: "Cancel this job?", text, yes: "Cancel it", danger: true },
      path: `/v1/jobs/${job.id}/cancel`,
      said: ({ cancelled }) => (cancelled ? "It is cancelled." : "It was asked to stop."),
    },
  ];
}

/** Those that were given up or cancelled are begun anew in bites, from the newest back. */
function bulk(life, filter) {
  if (filter.state !== "dead" && filter.state !== "cancelled") return [];
  const of = [filter.kind && `kind ${filter.kind}`, filter.queue && `queue ${filter.queue}`, filter.group && `group ${filter.group}`].filter(Boolean);
  const which = of.length ? `${filter.state} jobs of ${of.join(", ")}` : `${filter.state} jobs`;
  const run = async (tell) => {
    let replayed = 0;
    let after = null;
    do {
      const body = { ...Object.fromEntries(Object.entries(filter).filter(([, value]) => value)), limit: BITE, after };
      const bite = await ask(life, "POST", "/v1/jobs/replays", { body });
      replayed += bite.replayed;
      after = bite.next;
      tell(`${count.format(replayed)} so far …`);
    } while (after !== null);
    return replayed;
  };
  const said = (replayed) => (replayed === 1 ? "One job begins anew." : `${count.format(replayed)} jobs begin anew.`);
  return [{ label: `Begin all ${which} anew`, name: "replay-all", ask: { title: "Begin all of them anew?", text: `All ${which}, each with all its attempts before it.`, yes: "Begin them anew" }, run, said }];
}

/** How much waits in each queue, with links into the list and a button to pause it. */
function counts(life, root, jobs) {
  const { notice, number, draw } = board(life, root, jobs);
  const schedules = make("details", { class: "schedules", hidden: true });
  root.append(schedules);

  function card(queue) {
    const isPaused = queue.paused_at !== null;
    const button = actionButton(life, {
      label: isPaused ? "Resume" : "Pause",
      name: `pause-${queue.name}`,
      slot: notice,
      ask: isPaused ? null : { title: `Pause ${queue.name}?`, text: "Nothing of this queue is begun on any node until it goes on. What runs is finished, and what is promised waits.", yes: "Pause it" },
      run: async () => {
        await ask(life, "POST", `/v1/queues/${encodeURIComponent(queue.name)}/${isPaused ? "resume" : "pause"}`);
        say(isPaused ? `${queue.name} goes on.` : `${queue.name} is paused.`);
      },
      done: look,
    });
    button.setAttribute("aria-label", `${isPaused ? "Resume" : "Pause"} ${queue.name}`);
    const oldest = queue.oldest_seconds === null ? "nothing waits" : `oldest ${span(queue.oldest_seconds * 1000)}`;
    const head = make("h2", {}, queue.name, ...(isPaused ? [" ", badge("paused", "bad")] : []), ...(queue.off_until ? [" ", badge("switched off", "bad")] : []));
    const figures = make("p", { class: "numbers" }, number("ready", queue.ready, { state: "ready", queue: queue.name }), number("running", queue.running, { state: "running", queue: queue.name }));
    return make("section", { class: "card", "data-queue": queue.name }, head, figures, make("p", { class: "soft", text: oldest }), button);
  }

  function drawSchedules(all) {
    schedules.hidden = all.length === 0;
    const rows = all.map(({ name, definition, next_at, last_at }) =>
      make("li", {}, make("strong", { text: name }), " ", make("code", { text: definition }), " next ", moment(next_at), ", last ", last_at ? moment(last_at) : "never"),
    );
    schedules.replaceChildren(make("summary", { text: `Schedules (${all.length})` }), make("ul", {}, ...rows));
  }

  async function look() {
    try {
      const found = await ask(life, "GET", "/v1/queues");
      const all = make("section", { class: "card", "data-queue": "" }, make("h2", { text: "All queues" }));
      all.append(make("p", { class: "numbers" }, number("scheduled", found.scheduled, { state: "scheduled" }), number("dead", found.dead, { state: "dead" })));
      draw([all, ...found.data.map(card)]);
      drawSchedules(found.schedules);
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  }
  return look;
}

begin("jobs", async (life, root) => {
  const top = make("div");
  const below = make("div");
  const jobs = listing(life, below, {
    path: "/v1/jobs",
    nouns: ["job", "jobs"],
    filters: [
      { name: "state", label: "State", options: STATES },
      { name: "queue", label: "Queue" },
      { name: "kind", label: "Kind" },
      { name: "group", label: "Group", wide: true },
    ],
    columns: [
      { label: "Kind", cell: (job) => job.kind, main: true },
      { label: "State", cell: stateOf },
      { label: "Queue", cell: (job) => job.queue },
      { label: "Group", cell: (job) => make("span", { class: "cut", title: job.group, text: job.group }) },
      { label: "Attempts", cell: (job) => `${job.attempt} of ${job.most_attempts}` },
      { label: "When", cell: when },
    ],
    detail,
    actions,
    bulk: (filter) => bulk(life, filter),
    lasts: (job) => !isEnd(job.state),
  });
  const look = counts(life, top, jobs);
  // Whoever may not see it is told so once, in place of all.
  await ask(life, "GET", "/v1/queues");
  root.append(top, below);
  await jobs.open();
  whileSeen(life, LOOK_MS, async (tick) => {
    await look();
    if (tick > 0 && tick % LIST_EVERY === 0) await jobs.renew();
  });
});
