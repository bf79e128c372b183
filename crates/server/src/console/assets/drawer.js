// The part that lists the conversations: search and open; row.js and condemn.js rename and delete. The list is that of the
// copy on this device as soon as there is a whole one, and the server's until then and for a search.

import { Problem, call } from "./api.js";
import { emit, events } from "./bus.js";
import { condemner } from "./condemn.js";
import { $, make, say } from "./dom.js";
import { keptConversation, keptConversations, withQueue } from "./history.js";
import { isReachable } from "./network.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";
import { entries } from "./queue.js";
import { rowOf } from "./row.js";
import { retitle, talk } from "./talk.js";
import { showUnsent } from "./unsent.js";

const PAGE = 40;
const SEARCH_PAUSE_MS = 250;
/** A page of a search may be empty with more behind it: this often it is asked on before a person is. */
const SEARCH_ON = 3;
/** What only the server said is not shown for longer than two minutes. The copy keeps itself up to date. */
const STALE_MS = 110_000;
/** `state.next` while the copy has more. */
const KEPT = Symbol("kept");

export const drawerPart = new Part("drawer", (part) => {
  const find = (selector) => $(selector, part.root);
  const list = find("#conversations");
  const search = find("#conversation-search");
  const state = { items: [], next: null, query: "", queue: [], problem: null, loading: true, isKept: false, control: new AbortController() };
  part.onStop(() => state.control.abort());
  const condemn = condemner(part, (id) => {
    state.items = state.items.filter((known) => known.id !== id);
    draw();
  });

  /** Asks for the first page, or with `more` for the one behind what is there. */
  async function load({ more = false, quiet = false } = {}) {
    state.control.abort();
    state.control = new AbortController();
    const { signal } = state.control;
    Object.assign(state, { problem: null, loading: true });
    if (!quiet) draw();
    try {
      const [found, queue] = [await read(more, quiet, signal), await entries()];
      if (signal.aborted) return;
      Object.assign(state, found, { queue });
      for (const item of state.items) retitle(item);
      emit("waiting", queue.filter((entry) => entry.state === "waiting").length);
    } catch (problem) {
      if (signal.aborted) return;
      if (!(problem instanceof Problem)) throw problem;
      // A list that is a little old is better than none, when nobody asked for a new one.
      if (!quiet || !state.items.length) state.problem = problem;
    }
    state.loading = false;
    draw();
    if (state.query && !state.problem && !quiet) say(state.items.length ? `${state.items.length} found.` : "Nothing found.");
  }

  /** What is to be shown, from the copy or the server. */
  async function read(more, quiet, signal) {
    const here = async () => {
      const limit = more ? state.items.length + PAGE : Math.max(PAGE, quiet && state.isKept ? state.items.length : 0);
      const kept = await keptConversations(limit, state.query);
      return kept && { items: kept.items, next: kept.more ? KEPT : null, isKept: true };
    };
    const kept = !state.query || !isReachable() ? await here() : null;
    if (kept) return kept;
    try {
      const { items, next } = await pages(more && state.next !== KEPT ? state.next : null, signal);
      if (more) return { items: union(state.items, items), next, isKept: false };
      // Pages that were asked for stay; the first one is new.
      if (quiet && !state.query && state.items.length > PAGE) return { items: union(items, state.items), next: state.next, isKept: false };
      return { items, next, isKept: false };
    } catch (problem) {
      // A fault of the server is said; only where there is no answer does the copy answer instead.
      const instead = problem instanceof Problem && problem.status === 0 ? await here() : null;
      if (!instead) throw problem;
      return instead;
    }
  }

  async function pages(after, signal) {
    const items = [];
    for (let asked = 0; ; asked += 1) {
      const page = await call("GET", "/v1/conversations", { query: { limit: PAGE, after, search: state.query }, signal });
      items.push(...page.data);
      after = page.next;
      if (!state.query || after === null || items.length >= PAGE / 2 || asked >= SEARCH_ON) return { items, next: after };
    }
  }

  const union = (old, fresh) => [...old, ...fresh.filter((item) => !old.some((known) => known.id === item.id))];

  /** What was found by a search stays, as far as it is still there, with its titles of now. */
  async function freshen() {
    const now = await Promise.all(state.items.map(({ id }) => keptConversation(id)));
    state.items = state.items.filter((_, at) => now[at]).map(({ id }) => now.find((item) => item?.id === id));
    state.queue = await entries();
    draw();
  }

  function draw() {
    list.setAttribute("aria-busy", String(state.loading));
    const nodes = [];
    if (state.problem) {
      const slot = make("div");
      showProblem(part, slot, state.problem, { retry: () => load() });
      nodes.push(slot);
    }
    const shown = state.query ? state.items : withQueue(state.items, state.queue);
    const sorted = shown.toSorted((a, b) => (a.updated_at < b.updated_at ? 1 : -1));
    for (const [name, items] of Object.entries(Object.groupBy(sorted, (item) => ageOf(item.updated_at)))) {
      const heading = make("h2", { class: "group", text: name });
      const rows = items.map((item) => rowOf(part, item, { isCurrent: item.id === talk.id, condemn, redraw: draw, list }));
      nodes.push(make("section", {}, heading, make("ul", {}, ...rows)));
    }
    if (state.loading && !sorted.length) nodes.push(...Array.from({ length: 7 }, () => make("span", { class: "bone", "aria-hidden": "true" })));
    if (!state.loading && !state.problem && !sorted.length) nodes.push(make("p", { class: "nothing", text: nothing() }));
    if (state.next !== null && !state.problem) {
      const text = state.query ? "Search further" : "Show more";
      const button = make("button", { type: "button", class: "button quiet wide", "data-action": "more", text });
      button.disabled = state.loading;
      button.addEventListener("click", part.guard(() => load({ more: true })));
      nodes.push(button);
    }
    const focused = document.activeElement?.closest?.("[data-conversation-id]")?.dataset.conversationId;
    showUnsent(part, find("#unsent"), state.queue);
    if (list.querySelector("form")) return; // A title is being edited: the list waits.
    list.replaceChildren(...nodes);
    if (focused) $(`[data-conversation-id="${CSS.escape(focused)}"] a`, list)?.focus();
  }

  /** Another conversation is open: its row says so. */
  function markCurrent() {
    for (const row of list.querySelectorAll("[data-conversation-id]")) {
      const isCurrent = row.dataset.conversationId === talk.id;
      row.classList.toggle("current", isCurrent);
      if (isCurrent) $("a", row)?.setAttribute("aria-current", "page");
      else $("a", row)?.removeAttribute("aria-current");
    }
  }

  const nothing = () => {
    if (!state.query) return "No conversations yet. The first message begins one.";
    return state.next === null ? `Nothing found for “${state.query}”.` : `Nothing found so far for “${state.query}”.`;
  };

  let cancelSearch = () => {};
  part.on(search, "input", () => {
    cancelSearch();
    cancelSearch = part.after(SEARCH_PAUSE_MS, () => {
      state.query = search.value.trim();
      state.items = [];
      state.next = null;
      return load();
    });
  });
  part.on(search, "keydown", (event) => {
    if (event.key !== "Escape" || !search.value) return;
    event.stopPropagation(); // The first Escape empties the field, the next one closes the drawer.
    event.preventDefault();
    search.value = "";
    search.dispatchEvent(new Event("input"));
  });
  part.on(find("#new-conversation"), "click", () => emit("open", { id: null }));

  const look = part.soon(40, () => (state.query ? freshen() : load({ quiet: true })));
  part.on(events, "local:queue", look);
  part.on(events, "local:rows", ({ detail: { changes, all } }) => {
    if (all || changes.some(({ kind }) => kind === "conversation")) look();
  });
  part.on(events, "local:diverged", () => {
    const detail = "It differed from what the server has, more than once, and was made again. What you see now is right; whoever runs the server should know.";
    showProblem(part, find("#sync-notice"), new Problem({ code: "replica_diverged", detail }), { dismiss: true });
  });
  part.on(events, "local:held", ({ detail: why }) => {
    if (why) showProblem(part, find("#sync-notice"), new Problem(why), { dismiss: true });
    else find("#sync-notice").replaceChildren();
  });
  /** Something was done here: the copy hears of it from the leader, and without one the server is asked. */
  const renew = () => {
    emit("wanted");
    if (!state.isKept) look();
  };
  part.on(events, "chat:reset", ({ detail }) => detail?.earlier || detail?.quiet || markCurrent());
  part.on(events, "chat:started", renew);
  part.on(events, "chat:done", renew);
  part.on(events, "restored", () => {
    if (state.problem) return load();
  });
  const renewStale = () => {
    if (!document.hidden && !state.loading && !state.isKept && !state.query) return load({ quiet: true });
  };
  part.on(document, "visibilitychange", renewStale);
  part.every(STALE_MS, renewStale);
  return load();
});

/** The name of the group that a time falls in. */
function ageOf(text) {
  const start = new Date();
  start.setHours(0, 0, 0, 0);
  const days = Math.ceil((start - new Date(text)) / 86_400_000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= 7) return "Last seven days";
  if (days <= 30) return "Last thirty days";
  return "Earlier";
}
