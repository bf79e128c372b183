// The part that lists the conversations: search, open, rename, delete.

import { Problem, call } from "./api.js";
import { emit, events } from "./bus.js";
import { $, icon, make, say } from "./dom.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";
import { retitle, talk } from "./talk.js";

const PAGE = 40;
const SEARCH_PAUSE_MS = 250;
/** A page of a search may be empty with more behind it: this often it is asked on before a person is. */
const SEARCH_ON = 3;

export const drawerPart = new Part("drawer", (part) => {
  const find = (selector) => $(selector, part.root);
  const list = find("#conversations");
  const search = find("#conversation-search");
  const state = { items: [], next: null, query: "", problem: null, loading: true, control: new AbortController() };
  part.onStop(() => state.control.abort());

  /** Asks for the first page, or with `more` for the one behind what is there. */
  async function load({ more = false, quiet = false } = {}) {
    state.control.abort();
    state.control = new AbortController();
    const { signal } = state.control;
    Object.assign(state, { problem: null, loading: true });
    if (!quiet) draw();
    try {
      const found = await pages(more ? state.next : null, signal);
      if (quiet && !state.query && state.items.length > PAGE) merge(found.items);
      else Object.assign(state, { items: more ? union(state.items, found.items) : found.items, next: found.next });
      for (const item of found.items) retitle(item);
    } catch (problem) {
      if (signal.aborted) return;
      if (!(problem instanceof Problem)) throw problem;
      // A list that is a little old is better than none, when nobody asked for a new one.
      if (!quiet || !state.items.length) state.problem = problem;
    }
    state.loading = false;
    draw();
    if (state.query && !state.problem) say(state.items.length ? `${state.items.length} found.` : "Nothing found.");
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
  const merge = (fresh) => {
    state.items = union(fresh, state.items);
  };

  function draw() {
    list.setAttribute("aria-busy", String(state.loading));
    const nodes = [];
    if (state.problem) {
      const slot = make("div");
      showProblem(part, slot, state.problem, { retry: () => load() });
      nodes.push(slot);
    }
    const sorted = state.items.toSorted((a, b) => (a.updated_at < b.updated_at ? 1 : -1));
    for (const [name, items] of Object.entries(Object.groupBy(sorted, (item) => ageOf(item.updated_at)))) {
      const heading = make("h2", { class: "group", text: name });
      nodes.push(make("section", {}, heading, make("ul", {}, ...items.map(row))));
    }
    if (state.loading && !state.items.length) nodes.push(...Array.from({ length: 7 }, () => make("span", { class: "bone", "aria-hidden": "true" })));
    if (!state.loading && !state.problem && !state.items.length) nodes.push(make("p", { class: "nothing", text: nothing() }));
    if (state.next !== null && !state.problem) {
      const text = state.query ? "Search further" : "Show more";
      const button = make("button", { type: "button", class: "button quiet wide", "data-action": "more", text });
      button.disabled = state.loading;
      part.on(button, "click", () => load({ more: true }));
      nodes.push(button);
    }
    const focused = document.activeElement?.closest?.("[data-conversation-id]")?.dataset.conversationId;
    if (list.querySelector("form")) return; // A title is being edited: the list waits.
    list.replaceChildren(...nodes);
    if (focused) $(`[data-conversation-id="${CSS.escape(focused)}"] a`, list)?.focus();
  }

  const nothing = () => {
    if (!state.query) return "No conversations yet. The first message begins one.";
    return state.next === null ? `Nothing found for “${state.query}”.` : `Nothing found so far for “${state.query}”.`;
  };

  function row(item) {
    const title = item.title || "Untitled";
    const current = item.id === talk.id;
    const link = make("a", { class: "conversation-link", href: `/?c=${encodeURIComponent(item.id)}`, "aria-current": current ? "page" : null }, make("span", { class: "conversation-title", text: title, title }));
    const rename = make("button", { type: "button", class: "icon-button", "data-action": "rename", "aria-label": `Rename “${title}”`, title: "Rename" }, icon("rename"));
    const remove = make("button", { type: "button", class: "icon-button", "data-action": "delete", "aria-label": `Delete “${title}”`, title: "Delete" }, icon("delete"));
    const element = make("li", { "data-conversation-id": item.id, class: current ? "current" : null }, link, rename, remove);
    part.on(link, "click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      emit("open", { id: item.id, title: item.title });
    });
    part.on(rename, "click", () => edit(item, element));
    part.on(remove, "click", () => confirmDelete(item));
    return element;
  }

  function edit(item, element) {
    const input = make("input", { class: "rename-input", maxlength: 200, "aria-label": "New title", autocomplete: "off" });
    input.value = item.title;
    const error = make("p", { class: "field-error", role: "alert" });
    const save = make("button", { type: "submit", class: "button small primary", text: "Save" });
    const cancel = make("button", { type: "button", class: "button small", "data-action": "cancel-rename", text: "Cancel" });
    const form = make("form", { class: "rename", novalidate: true }, input, make("div", { class: "rename-buttons" }, save, cancel), error);
    const close = () => {
      form.remove();
      draw();
      $(`[data-conversation-id="${CSS.escape(item.id)}"] [data-action=rename]`, list)?.focus();
    };
    part.on(cancel, "click", close);
    part.on(form, "keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // The drawer stays open.
      close();
    });
    part.on(form, "submit", async (event) => {
      event.preventDefault();
      const title = input.value.trim();
      if (!title || title === item.title) return close();
      save.disabled = true;
      try {
        const changed = await call("PATCH", `/v1/conversations/${encodeURIComponent(item.id)}`, { body: { title }, signal: part.signal });
        Object.assign(item, changed);
        retitle(item);
        say("Renamed.");
        close();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        error.textContent = problem.fields[0]?.detail ?? problem.detail;
        input.setAttribute("aria-invalid", "true");
        save.disabled = false;
        input.focus();
      }
    });
    element.replaceChildren(form);
    input.select();
  }

  const dialog = find("#confirm-delete");
  let condemned = null;

  function confirmDelete(item) {
    condemned = item;
    find("#confirm-text").textContent = `“${item.title || "Untitled"}” and its messages will be gone for good.`;
    find(".dialog-notice").replaceChildren();
    dialog.showModal();
    find("#confirm-no").focus();
  }

  part.on(find("#confirm-no"), "click", () => dialog.close());
  part.on(dialog, "click", (event) => event.target === dialog && dialog.close());
  part.on(find("#confirm-yes"), "click", async () => {
    const item = condemned;
    const button = find("#confirm-yes");
    button.disabled = true;
    try {
      await call("DELETE", `/v1/conversations/${encodeURIComponent(item.id)}`, { signal: part.signal }).catch((problem) => {
        if (problem.status !== 404) throw problem; // Gone already is what was asked for.
      });
      state.items = state.items.filter((known) => known.id !== item.id);
      dialog.close();
      draw();
      say("Deleted.");
      if (talk.id === item.id) emit("open", { id: null, replace: true });
      else find("#new-conversation").focus();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(part, find(".dialog-notice"), problem);
    } finally {
      button.disabled = false;
    }
  });

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

  part.on(events, "chat:reset", ({ detail }) => detail?.earlier || draw());
  part.on(events, "chat:started", () => load({ quiet: true }));
  part.on(events, "chat:done", () => load({ quiet: true }));
  part.on(events, "restored", () => {
    if (state.problem) return load();
  });
  part.on(document, "visibilitychange", () => {
    if (!document.hidden && !state.loading) return load({ quiet: true });
  });
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
