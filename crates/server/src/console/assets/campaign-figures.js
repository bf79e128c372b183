// What came of a campaign, as it comes: in all, day by day, and by step, text and account.

import { make } from "./dom.js";
import { figureTable, number, share, sumsBy, sumsOf } from "./figure-tables.js";
import { actionButton, ask, trouble, whileSeen } from "./operator.js";
import { dayLabel, dayPlot } from "./plot.js";
import { choice, everything, labelled } from "./reception.js";
import { fileName, saveFile } from "./save-file.js";

const LOOK_MS = 4000;
/** The last days of the plot. */
const DAYS = 60;
const DAY_MS = 86_400_000;

/** What is told of what was sent. With `machines` it is told apart who did it; with a `setting` it is noted only where that is on. */
const OUTCOMES = [
  { kind: "opened", label: "Opened", machines: true, setting: "track_opens" },
  { kind: "clicked", label: "Clicked", machines: true, setting: "track_clicks" },
  { kind: "replied", label: "Replied" },
  { kind: "converted", label: "Converted" },
  { kind: "bounced", label: "Bounced" },
  { kind: "unsubscribed", label: "Unsubscribed" },
  { kind: "complained", label: "Called it junk" },
];
const LEADS = { lead_new: "new", lead_active: "active", lead_finished: "finished", lead_replied: "replied", lead_unsubscribed: "unsubscribed", lead_bounced: "bounced", lead_complained: "called it junk", lead_stopped: "stopped" };
const OTHERS = { queued: "queued", rejected: "rejected", unknown: "unknown", cancelled: "cancelled" };

const tile = (name, label, value, ...lines) =>
  make("div", { class: "tile", "data-figure": name }, make("dt", { text: label }), make("dd", {}, make("strong", { text: number(value) }), ...lines.filter(Boolean).map((text) => make("span", { class: "soft", text }))));

function tiles(sums, campaign) {
  const words = (names) => Object.entries(names).filter(([kind]) => sums[kind]).map(([kind, word]) => `${number(sums[kind])} ${word}`).join(" · ");
  const leads = Object.keys(LEADS).reduce((all, kind) => all + (sums[kind] ?? 0), 0);
  const sent = sums.accepted ?? 0;
  const outcome = ({ kind, label, machines, setting }) => {
    const count = sums[kind] ?? 0;
    const isOff = setting && !campaign[setting];
    const by = isOff ? "not noted: see the settings" : machines ? `${number(sums[`machine_${kind}`] ?? 0)} by machines` : "";
    const of = count ? `${share(count, sent)} of sent` : "";
    return tile(kind, machines ? `${label} by people` : label, count, of, by);
  };
  return make("dl", { class: "tiles" }, tile("leads", "Leads", leads, words(LEADS)), tile("sent", "Sent", sent, words(OTHERS)), ...OUTCOMES.map(outcome));
}

/** The days from the first to the last on which something went out, without gaps. */
function daysOf(rows, kind) {
  const by = sumsBy(rows, ({ day }) => day);
  const known = [...by.keys()].sort();
  if (!known.length) return [];
  const last = Date.parse(known.at(-1));
  const first = Math.max(Date.parse(known[0]), last - (DAYS - 1) * DAY_MS);
  const days = [];
  for (let at = first; at <= last; at += DAY_MS) {
    const day = new Date(at).toISOString().slice(0, 10);
    const sums = by.get(day) ?? {};
    days.push({ day, whole: sums.accepted ?? 0, part: sums[kind] ?? 0 });
  }
  return days;
}

/** Emails that wait for somebody who says what became of them. */
function waiting({ unknown = 0 }) {
  if (!unknown) return [];
  const words = unknown === 1 ? "Of one email nobody knows whether it was sent. " : `Of ${number(unknown)} emails nobody knows whether they were sent. `;
  return [make("p", { class: "off", "data-part": "unknown" }, words, make("a", { href: "/sending-accounts?part=emails&state=unknown", text: unknown === 1 ? "Say what became of it" : "Say what became of them" }))];
}

export async function campaignFigures(life, root, { path, known }) {
  const notice = make("div", { class: "listing-notice" });
  const top = make("div", { class: "live-figures" });
  const plotPlace = make("div", { class: "plot-place" });
  const beside = choice("beside", OUTCOMES.map(({ kind, label }) => [kind, label]), "opened");
  const days = make("tbody", {});
  const head = make("tr", {}, ...["Day (UTC)", "Sent"].map((text) => make("th", { scope: "col", text })), make("th", { scope: "col", class: "beside" }));
  const asTable = make("details", { class: "fold" }, make("summary", { text: "The days as a table" }), make("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Days" }, make("table", {}, make("thead", {}, head), days)));
  const byDay = make("section", { class: "by-day", hidden: true }, make("h3", { text: "By day" }), make("div", { class: "fields" }, labelled("Shown among what was sent", beside)), plotPlace, asTable);
  const tables = make("div", { class: "figure-tables" });
  const fileSlot = make("div", { class: "listing-notice" });
  const save = () => saveFile(`${path}/figures.csv`, `${fileName(known.campaign.name)}-figures.csv`);
  const file = actionButton(life, { label: "Download the figures as a table", name: "figures-file", slot: fileSlot, run: save });
  root.append(notice, top, byDay, tables, make("div", { class: "bulk" }, file), fileSlot);

  let drawn = "";
  let sums = { texts: [], accounts: [], days: [] };
  const names = { steps: [], accounts: new Map() };
  const asked = new Set();

  async function readNames() {
    const [{ steps }, accounts] = await Promise.all([ask(life, "GET", `${path}/steps`), everything(life, "/v1/sending-accounts")]);
    names.steps = steps;
    names.accounts = new Map(accounts.map((account) => [account.id, account.address]));
  }

  function variantName(variant) {
    for (const { step, variants } of names.steps) {
      const found = variants.find((one) => one.id === variant);
      if (found) return `Step ${step}, ${found.name}`;
    }
    const { step } = sums.texts.find((row) => row.variant_id === variant);
    return `Step ${step}, an earlier text`;
  }

  function drawDays() {
    const { label } = OUTCOMES.find(({ kind }) => kind === beside.value);
    const all = daysOf(sums.days, beside.value);
    byDay.hidden = all.length === 0;
    if (!all.length) return;
    const told = ({ day, whole, part }) => `${dayLabel(day)}: ${number(whole)} sent, ${number(part)} ${label.toLowerCase()}`;
    plotPlace.replaceChildren(dayPlot(all, `Sent day by day, and of that ${label.toLowerCase()}. The same is in the table below.`, told, plotPlace.clientWidth));
    head.querySelector(".beside").textContent = label;
    days.replaceChildren(...all.map(({ day, whole, part }) => make("tr", {}, make("th", { scope: "row", text: dayLabel(day) }), make("td", { text: number(whole) }), make("td", { text: number(part) }))));
  }

  function draw() {
    const all = sumsOf(sums.texts);
    top.replaceChildren(tiles(all, known.campaign), ...waiting(all));
    drawDays();
    const named = (rows, keyOf, name) => [...sumsBy(rows, keyOf)].map(([key, sums]) => [name(key), sums]).sort(([left], [right]) => left.localeCompare(right, undefined, { numeric: true }));
    if (!sums.accounts.length) return tables.replaceChildren(make("p", { class: "soft nothing", text: "Nothing was sent yet. What comes of each step, text and account stands here then." }));
    const groups = [
      ["By step", "Step", named(sums.texts, ({ step }) => step, (step) => `Step ${step}`)],
      ["By text", "Text", named(sums.texts, (row) => row.variant_id, variantName)],
      ["By account", "Account", named(sums.accounts, (row) => row.account_id, (account) => names.accounts.get(account) ?? "An account")],
    ];
    const scrolls = ([caption, first, all]) => make("div", { class: "listing scrolls", tabindex: "0", role: "region", "aria-label": caption }, figureTable(caption, first, all));
    return tables.replaceChildren(...groups.map(scrolls), make("p", { class: "soft", text: "Where something is opened or clicked, what machines did stands behind the +: programs that look at mail open and follow everything." }));
  }

  async function look() {
    try {
      sums = await ask(life, "GET", `${path}/sums`);
      // Texts come while somebody writes. One that is not found is asked for once.
      const strange = sums.texts.filter(({ variant_id: variant }) => variant !== null && !asked.has(variant));
      if (strange.length) await readNames();
      for (const row of strange) asked.add(row.variant_id);
      // Whoever reads a table with the keyboard stays in it while nothing changes.
      const text = JSON.stringify(sums);
      if (text !== drawn) draw();
      drawn = text;
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  }

  life.on(beside, "change", drawDays);
  life.on(window, "resize", drawDays);
  await whileSeen(life, LOOK_MS, look);
}
