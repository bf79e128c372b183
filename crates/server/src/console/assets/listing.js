// A list with filters, and one of its items in full. Filters and the item that is open stand in the address, so that a view
// can be sent to somebody, and going back works. The pages say what a row and an item look like; this is how they are found,
// shown, kept up to date and acted on.

import { make, say } from "./dom.js";
import { actionButton, ask, trouble } from "./operator.js";

const PAGE = 50;
/** A page may be empty with more behind it: this often it is asked on before a person is. */
const SEARCH_ON = 3;

/**
 * Fills `root`. The options:
 * - `path`: where the list is asked for; an item is at `{path}/{id}`.
 * - `nouns`: what the items are called, one and many: `["job", "jobs"]`.
 * - `filters`: `{ name, label, options?, usual?, wide? }`; with options (words, or `{ value, label }`) one of them is chosen, else a
 *   text is typed; `usual` is what it is called when nothing is chosen.
 * - `columns`: `{ label, cell(item), main? }`; a cell is a text or an element. The main one is the link to the item.
 * - `detail(item)`: the elements of an item in full, its heading first. A `details` with a `data-key` stays open while it is
 *   the same item.
 * - `actions(item)`: what can be done with it: `{ label, name, danger?, ask?, path, said, leadsTo? }`; `leadsTo(result)` is the id
 *   of the item that is shown after it.
 * - `bulk(filter)`: what can be done with all that a filter names: `{ label, name, ask, run(tell), said(result) }`.
 * - `lasts(item)`: true while the item may still change.
 * - `one`: where an item is asked for, when it is not below `path`; `keep`: what else stands in the address and stays there;
 *   `changed()` is called after something was done with an item.
 * Returns, among others, `renew`, which asks again for what is shown; `show(filter)`, which sets the filters; `one(id)`, which
 * opens an item; and `offer(name, choices)`, which adds to what one of them may be.
 */
export function listing(life, root, options) {
  const { path, nouns, filters, columns, one = path, keep = {} } = options;
  const state = { items: [], next: null, isLoading: false, isLong: false, id: null, item: null, asked: new AbortController() };
  life.onStop(() => state.asked.abort());

  const form = make("form", { class: "filters", role: "search", "aria-label": `Which ${nouns[1]}` });
  const bar = make("div", { class: "bulk" });
  const notice = make("div", { class: "listing-notice" });
  const list = make("div", { class: "listing" });
  const item = make("section", { class: "item", tabindex: "-1", "aria-label": `One ${nouns[0]}` });
  root.append(form, bar, notice, list, item);

  const fields = filters.map((filter) => field(filter));
  const reset = make("button", { type: "button", class: "button small quiet", "data-action": "reset", text: "Show all" });
  form.append(...fields.map(({ label }) => label), make("button", { type: "submit", class: "button small", text: "Find" }), reset);

  function option(choice) {
    return make("option", { value: choice.value ?? choice, text: choice.label ?? choice });
  }

  /** Lets a filter be one of these, beside what it could be already. */
  function offer(name, choices) {
    const { control } = fields.find((filter) => filter.name === name);
    for (const choice of choices) {
      const known = [...control.options].find(({ value }) => value === choice.value);
      if (known) known.text = choice.label;
      else control.append(option(choice));
    }
  }

  /** Shows what the address says, also when it is something that cannot be chosen any more. */
  function fill(control, value) {
    if (control.matches("select") && ![...control.options].some((choice) => choice.value === value)) control.append(option(value));
    control.value = value;
  }

  function field(filter) {
    const id = `filter-${filter.name}`;
    const control = filter.options
      ? make("select", { id, name: filter.name }, make("option", { value: "", text: filter.usual ?? "any" }), ...filter.options.map(option))
      : make("input", { id, name: filter.name, autocomplete: "off", spellcheck: "false", autocapitalize: "none", placeholder: "any" });
    const label = make("label", { class: filter.wide ? "wide" : null }, make("span", { text: filter.label }), control);
    return { name: filter.name, control, label };
  }

  /** The filters of the address. */
  function filterOf() {
    const query = new URLSearchParams(location.search);
    return Object.fromEntries(filters.map(({ name }) => [name, query.get(name) ?? ""]));
  }

  function address(filter, id) {
    const query = new URLSearchParams(keep);
    for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
    if (id) query.set("id", id);
    const text = query.toString();
    return text ? `${location.pathname}?${text}` : location.pathname;
  }

  function go(filter, id) {
    const target = address(filter, id);
    if (location.pathname + location.search !== target) history.pushState(null, "", target);
    return open();
  }

  /** Shows what the address names. */
  async function open() {
    const filter = filterOf();
    for (const { name, control } of fields) fill(control, filter[name]);
    const before = state.id;
    state.id = new URLSearchParams(location.search).get("id");
    const isOne = state.id !== null;
    list.hidden = bar.hidden = isOne;
    form.hidden = isOne || filters.length === 0;
    item.hidden = !isOne;
    notice.replaceChildren();
    if (isOne) {
      state.item = null;
      item.replaceChildren(make("p", { class: "soft", text: "Loading …" }));
      await loadItem();
      item.focus();
      return;
    }
    item.replaceChildren();
    state.isLong = false;
    drawBulk(filter);
    await load();
    if (before) focusRow(before);
  }

  /** Asks for the first page, or for the one behind what is there. */
  async function load({ more = false, quiet = false } = {}) {
    state.asked.abort();
    state.asked = new AbortController();
    const { signal } = state.asked;
    const query = { ...filterOf(), limit: PAGE, after: more ? state.next : null };
    state.isLoading = true;
    list.setAttribute("aria-busy", "true");
    try {
      const found = [];
      let { after } = query;
      for (let asked = 0; ; asked += 1) {
        const page = await ask(life, "GET", path, { query: { ...query, after }, signal });
        found.push(...page.data);
        after = page.next;
        if (after === null || found.length >= PAGE / 2 || asked >= SEARCH_ON) break;
      }
      if (signal.aborted) return;
      const known = new Set(state.items.map(({ id }) => id));
      state.items = more ? [...state.items, ...found.filter(({ id }) => !known.has(id))] : found;
      state.next = after;
      state.isLong ||= more;
      if (!quiet) notice.replaceChildren();
      draw();
    } catch (problem) {
      if (signal.aborted) return;
      trouble(life, notice, problem, () => load({ more }));
    } finally {
      if (!signal.aborted) {
        state.isLoading = false;
        list.setAttribute("aria-busy", "false");
      }
    }
    if (!quiet && !signal.aborted) say(state.items.length === 1 ? `One ${nouns[0]}.` : `${state.items.length} ${nouns[1]}.`);
  }

  function row(entry) {
    const cells = columns.map(({ label, cell, main }) => {
      const content = cell(entry);
      if (!main) return make("td", { "data-label": label }, content);
      const link = make("a", { href: address(filterOf(), entry.id), "data-id": entry.id }, content);
      return make("th", { scope: "row", "data-label": label }, link);
    });
    return make("tr", {}, ...cells);
  }

  function draw() {
    const focused = document.activeElement?.dataset?.id;
    const nodes = [];
    if (state.items.length) {
      const head = make("tr", {}, ...columns.map(({ label }) => make("th", { scope: "col", text: label })));
      nodes.push(make("table", {}, make("caption", { class: "visually-hidden", text: nouns[1] }), make("thead", {}, head), make("tbody", {}, ...state.items.map(row))));
    } else {
      nodes.push(make("p", { class: "soft nothing", text: state.next === null ? `There are no such ${nouns[1]}.` : `No such ${nouns[1]} among the newest.` }));
    }
    if (state.next !== null) {
      const button = make("button", { type: "button", class: "button small", "data-action": "more", text: state.items.length ? "Show more" : "Search further" });
      button.addEventListener("click", life.guard(() => load({ more: true })));
      nodes.push(button);
    }
    list.replaceChildren(...nodes);
    if (focused) focusRow(focused);
  }

  const focusRow = (id) => list.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus();

  async function loadItem(quiet = false) {
    const { id } = state;
    try {
      const found = await ask(life, "GET", `${one}/${encodeURIComponent(id)}`);
      if (state.id !== id) return;
      state.item = found;
      drawItem();
    } catch (problem) {
      if (state.id !== id) return;
      if (!quiet) item.replaceChildren(back());
      trouble(life, notice, problem, () => loadItem(quiet));
    }
  }

  function back() {
    const link = make("a", { class: "back", href: address(filterOf(), null), text: `← All ${nouns[1]}` });
    link.addEventListener("click", life.guard((event) => follow(event, () => go(filterOf(), null))));
    return link;
  }

  function actionOf({ label, name, danger, ask: question, path: target, said, leadsTo }) {
    let result;
    return actionButton(life, {
      label,
      name,
      danger,
      ask: question,
      slot: notice,
      run: async () => {
        result = await ask(life, "POST", target);
        say(said(result));
      },
      done: () => {
        options.changed?.();
        return leadsTo ? go(filterOf(), leadsTo(result)) : loadItem(true);
      },
    });
  }

  function drawItem() {
    const entry = state.item;
    const focused = item.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const opened = new Set([...item.querySelectorAll("details[open]")].map(({ dataset }) => dataset.key));
    const buttons = options.actions(entry).map(actionOf);
    const [heading, ...rest] = options.detail(entry);
    item.replaceChildren(back(), heading, make("div", { class: "item-buttons" }, ...buttons), ...rest);
    for (const part of item.querySelectorAll("details[data-key]")) part.open = opened.has(part.dataset.key);
    if (focused) (item.querySelector(`[data-action="${CSS.escape(focused)}"]`) ?? item).focus();
  }

  function drawBulk(filter) {
    const progress = make("span", { class: "soft", role: "status" });
    const buttons = (options.bulk?.(filter) ?? []).map(({ label, name, ask: question, run, said }) => {
      let result;
      return actionButton(life, {
        label,
        name,
        ask: question,
        slot: notice,
        run: async () => {
          result = await run((text) => (progress.textContent = text));
        },
        done: () => {
          progress.textContent = said(result);
          return load({ quiet: true });
        },
      });
    });
    bar.replaceChildren(...buttons, ...(buttons.length ? [progress] : []));
  }

  /** Follows a link on this page, unless somebody wants it elsewhere. */
  function follow(event, then) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return undefined;
    event.preventDefault();
    return then();
  }

  const typed = () => Object.fromEntries(fields.map(({ name, control }) => [name, control.value.trim()]));
  life.on(form, "submit", (event) => {
    event.preventDefault();
    return go(typed(), null);
  });
  life.on(form, "change", (event) => {
    if (event.target.matches("select")) return go(typed(), null);
  });
  life.on(reset, "click", () => go({}, null));
  life.on(list, "click", (event) => {
    const link = event.target.closest("a[data-id]");
    if (link) return follow(event, () => go(filterOf(), link.dataset.id));
  });
  life.on(window, "popstate", open);

  /** Asks again for what is shown, unless somebody has asked for more, which would go. */
  async function renew() {
    if (state.id === null) {
      if (!state.isLong && !state.isLoading) await load({ quiet: true });
    } else if (state.item && options.lasts(state.item)) {
      await loadItem(true);
    }
  }

  return { open, renew, offer, show: (filter) => go(filter, null), one: (id) => go(filterOf(), id), follow };
}
