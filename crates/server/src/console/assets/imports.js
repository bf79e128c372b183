// Lists of people on their way into a campaign: choosing a file, saying what its columns are, and how far each list is read.

import { Problem, upload } from "./api.js";
import { make, say } from "./dom.js";
import { number } from "./figure-tables.js";
import { columnTable } from "./import-columns.js";
import { importFaults } from "./import-faults.js";
import { actionButton, ask, badge, moment, trouble, whileSeen } from "./operator.js";
import { labelled, onceOnly } from "./reception.js";
import { Upload } from "./upload.js";

/** What is looked at before a list is read. */
const HEAD = 64 * 1024;
/** The server counts the bytes of a file in 32 bits. */
const MOST_BYTES = 2 ** 32 - 1;
const PAGE = 10;
const LOOK_MS = 8000;
const KINDS = { running: "live", finished: "good", cancelled: "" };
const CANCEL = { title: "End this import?", text: "What was read so far stays; the rest is not read.", yes: "End it", danger: true };

const size = (bytes) => (bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`);

function counts({ added, duplicates, suppressed, bad }) {
  const one = (name, value, label) => make("p", { "data-count": name }, make("strong", { text: number(value) }), ` ${label}`);
  return make("div", { class: "figures import-counts" }, one("added", added, "added"), one("duplicates", duplicates, "there already"), one("suppressed", suppressed, "not written to"), one("bad", bad, "bad"));
}

/** Whether a file looks like the one that an import was begun with. */
const fits = ({ state, name, bytes }, file) => state === "running" && name === file.name && bytes === file.size;

export async function imports(life, root, context) {
  const { path, uploads } = context;
  const mayChange = context.mayChange && context.known.campaign.state !== "stopped";
  const notice = make("div", { class: "listing-notice" });
  const chosen = make("section", { class: "chosen" });
  const list = make("div", { class: "imports" });
  const file = make("input", { type: "file", name: "file", accept: ".csv,.tsv,.txt,text/csv,text/plain" });
  const key = onceOnly();
  const shown = new Map();
  let rows = [];

  const runOf = (row) => uploads.get(row.id) ?? null;

  /** One list. While it is sent from here it is drawn with each part; the bad rows that somebody looks at stay. */
  function drawOne(row) {
    const run = runOf(row);
    const found = run ? run.import : row;
    const entry = shown.get(row.id) ?? { root: make("section", { class: "card import", "data-import": row.id }), slot: make("div", { class: "listing-notice" }), faults: null, bad: 0 };
    shown.set(row.id, entry);
    if (entry.bad !== found.bad && !entry.faults?.open) {
      entry.faults = importFaults(life, found);
      entry.bad = found.bad;
    }
    const whole = found.bytes ?? run?.file.size ?? null;
    const parts = [make("h3", {}, found.name, " ", badge(found.state, KINDS[found.state] ?? ""))];
    if (found.state === "running" && whole !== null) {
      const bar = make("progress", { max: String(whole), value: String(found.read_bytes), "aria-label": `How far ${found.name} is read` });
      parts.push(bar, make("p", { class: "soft", text: `${size(found.read_bytes)} of ${size(whole)} are read.${run?.isRunning ? " Keep this page open." : ""}` }));
    }
    if (run?.waits) parts.push(make("p", { class: "off", role: "status", text: run.waits }));
    parts.push(counts(found), make("p", { class: "soft" }, `${number(found.rows)} rows, begun `, moment(found.created_at)));
    if (found.state === "running" && mayChange) parts.push(...steering(found, run, entry.slot));
    parts.push(entry.slot, ...(entry.faults ? [entry.faults] : []));
    const focused = entry.root.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    entry.root.replaceChildren(...parts);
    if (focused) entry.root.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
    return entry.root;
  }

  function steering(found, run, slot) {
    const hint = run || found.state !== "running" ? [] : [make("p", { class: "off", text: "It is not read to its end. Choose the same file above, and it goes on from there." })];
    const end = actionButton(life, { label: "End it …", name: "cancel-import", ask: CANCEL, slot, run: async () => {
      run?.pause();
      uploads.delete(found.id);
      await ask(life, "POST", `/v1/imports/${found.id}/cancel`);
    }, done: renew });
    const buttons = [end];
    if (run?.isRunning) buttons.unshift(actionButton(life, { label: "Pause", name: "pause-import", slot, run: async () => run.pause() }));
    else if (run) buttons.unshift(actionButton(life, { label: "Go on", name: "resume-import", slot, run: async () => void life.run(() => run.run()) }));
    return [...hint, make("div", { class: "item-buttons" }, ...buttons)];
  }

  function draw() {
    const drawn = rows.map(drawOne);
    // Moving what is there would take the focus from whoever is in it.
    if (drawn.length !== list.childElementCount || drawn.some((one, n) => list.children[n] !== one)) list.replaceChildren(...drawn);
    if (!rows.length) list.replaceChildren(make("p", { class: "soft nothing", text: "Nothing was imported yet." }));
  }

  async function renew() {
    rows = (await ask(life, "GET", `${path}/imports`, { query: { limit: PAGE } })).data;
    draw();
  }

  /** Draws a list again while it is sent, and says how that ended. */
  function watch(run) {
    const change = () => {
      const row = rows.find((one) => one.id === run.import.id);
      if (!row) return;
      drawOne(row);
      const { slot } = shown.get(row.id);
      if (run.problem) trouble(life, slot, run.problem, () => run.run());
      else if (run.isRunning) slot.replaceChildren();
      if (run.isOver) {
        uploads.delete(run.import.id);
        say(`${run.import.name} is read: ${run.import.added} added, ${run.import.bad} bad.`);
        life.run(renew);
      }
    };
    life.on(run, "change", change);
    change();
  }

  async function start(chosenFile, found) {
    const run = new Upload(context.life, chosenFile, found);
    uploads.set(found.id, run);
    chosen.replaceChildren();
    file.value = "";
    await renew();
    watch(run);
    await run.run();
  }

  async function begin(chosenFile, columns) {
    const wish = { name: chosenFile.name, bytes: chosenFile.size, columns };
    return start(chosenFile, await ask(life, "POST", `${path}/imports`, { body: wish, headers: key(wish) }));
  }

  /** A list that was begun and not read to its end: it goes on, unless somebody wants it from the beginning. */
  function offerToGoOn(chosenFile, found, seen) {
    const slot = make("div", { class: "listing-notice" });
    const part = Math.floor((found.read_bytes / chosenFile.size) * 100);
    const words = make("p", {}, `${found.name} was begun `, moment(found.created_at), ` and is read to ${part} %. It is the same name and size.`);
    const on = actionButton(life, { label: "Go on from there", name: "go-on", slot, run: async () => void life.run(() => start(chosenFile, found)) });
    const anew = actionButton(life, { label: "Begin anew", name: "begin-anew", slot, run: async () => showColumns(chosenFile, seen) });
    on.classList.add("primary");
    chosen.replaceChildren(make("h3", { text: "It was begun already" }), words, make("div", { class: "item-buttons" }, on, anew), slot);
    on.focus();
  }

  function showColumns(chosenFile, seen) {
    const slot = make("div", { class: "listing-notice" });
    const table = columnTable(seen);
    const between = { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars" }[seen.delimiter] ?? seen.delimiter;
    const go = make("button", { type: "submit", class: "button primary", "data-action": "begin-import", text: "Import it" });
    const leave = make("button", { type: "button", class: "button", "data-action": "leave-import", text: "Leave it" });
    const form = make("form", { "data-form": "columns" }, table.root, make("div", { class: "item-buttons" }, go, leave));
    form.addEventListener("submit", life.guard(async (event) => {
      event.preventDefault();
      const columns = table.read();
      if (!columns || go.hasAttribute("aria-disabled")) return;
      go.setAttribute("aria-disabled", "true");
      slot.replaceChildren();
      try {
        await begin(chosenFile, columns);
      } catch (problem) {
        trouble(life, slot, problem);
      } finally {
        go.removeAttribute("aria-disabled");
      }
    }));
    leave.addEventListener("click", () => {
      chosen.replaceChildren();
      file.value = "";
      file.focus();
    });
    chosen.replaceChildren(make("h3", { text: `What the columns of ${chosenFile.name} are`, tabindex: "-1" }), make("p", { class: "soft", text: `${size(chosenFile.size)}, divided by ${between}. Fields of your own are named in texts as {{custom.…}}.` }), slot, form);
    chosen.querySelector("h3").focus();
  }

  async function look(chosenFile) {
    notice.replaceChildren();
    chosen.replaceChildren(make("p", { class: "soft", text: "Looking at it …" }));
    try {
      if (chosenFile.size > MOST_BYTES) throw new Problem({ status: 400, code: "too_large", detail: `${chosenFile.name} has ${size(chosenFile.size)}; at most ${size(MOST_BYTES)} are read at once. Divide it.` });
      const isWhole = chosenFile.size <= HEAD;
      const seen = await upload(`/v1/imports/preview?whole=${isWhole}`, chosenFile.slice(0, HEAD), life.signal);
      await renew();
      const begun = rows.find((row) => fits(row, chosenFile) && !runOf(row)?.isRunning && (row.header ?? seen.header).join("\n") === seen.header.join("\n"));
      if (begun) offerToGoOn(chosenFile, begun, seen);
      else showColumns(chosenFile, seen);
    } catch (problem) {
      chosen.replaceChildren();
      trouble(life, notice, problem, () => look(chosenFile));
    }
  }

  life.on(file, "change", () => file.files[0] && look(file.files[0]));
  if (mayChange) root.append(labelled("A list as CSV", file, { hint: "One row for each person, with the names of the columns first. Any encoding and any usual delimiter. The file itself is not kept." }));
  root.append(notice, chosen, make("h3", { text: "Lists that were read" }), list);
  await renew();
  for (const row of rows) if (runOf(row)) watch(runOf(row));
  whileSeen(life, LOOK_MS, async (tick) => {
    // What is sent from here tells of itself; others may read lists in too.
    if (tick > 0 && !rows.some((row) => runOf(row)?.isRunning)) await renew().catch(() => {});
  });
}
