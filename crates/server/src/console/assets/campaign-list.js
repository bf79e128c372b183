// All campaigns, the newest first, with what came of them.

import { campaignSheet } from "./campaign-settings.js";
import { make } from "./dom.js";
import { ask, badge, moment, trouble, whileSeen } from "./operator.js";
import { go, addressOf, goLink } from "./parts.js";

const PAGE = 25;
const LOOK_MS = 5000;
const FIGURES = [
  ["Sent", "sent"],
  ["Opened", "opened"],
  ["Clicked", "clicked"],
  ["Replied", "replied"],
  ["Bounced", "bounced"],
];
const KINDS = { draft: "", running: "live", paused: "", stopped: "" };

export const stateOf = ({ state }) => badge(state, KINDS[state] ?? "");
const number = new Intl.NumberFormat();

export async function campaignList(life, root, page) {
  const notice = make("div", { class: "listing-notice" });
  const add = make("button", { type: "button", class: "button small primary", "data-action": "add-campaign", text: "New campaign" });
  const list = make("div", { class: "listing", id: "campaigns" });
  const more = make("button", { type: "button", class: "button small", "data-action": "more", text: "Show more", hidden: true });
  let rows = [];
  let next = null;
  if (page.mayChange) root.append(make("div", { class: "bulk" }, add));
  root.append(notice, list, more);

  async function read(after = null) {
    const found = await ask(life, "GET", "/v1/campaigns", { query: { figures: true, limit: PAGE, after } });
    rows = after ? [...rows, ...found.data] : found.data;
    next = found.next;
    draw();
  }

  /** The first page again, in place of what was there; what was read behind it stays. */
  async function renew() {
    const found = await ask(life, "GET", "/v1/campaigns", { query: { figures: true, limit: PAGE } });
    const known = new Set(found.data.map(({ id }) => id));
    if (rows.length <= PAGE) next = found.next;
    rows = [...found.data, ...rows.filter(({ id }) => !known.has(id))];
    draw();
  }

  function row(campaign) {
    const cell = (label, content) => make("td", { "data-label": label }, content);
    const shown = (kind) => number.format(campaign.figures[kind]);
    return make(
      "tr",
      { "data-campaign": campaign.id },
      make("th", { scope: "row", "data-label": "Name" }, goLink({ campaign: campaign.id }, campaign.name, { "data-id": campaign.id })),
      cell("State", stateOf(campaign)),
      cell("Leads", shown("leads")),
      ...FIGURES.map(([label, kind]) => cell(label, shown(kind))),
      cell("Made", moment(campaign.created_at)),
    );
  }

  function draw() {
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    more.hidden = next === null;
    if (!rows.length) {
      const words = page.mayChange ? "There are no campaigns yet. Make one, write its steps and add leads; nothing is sent before you launch it." : "There are no campaigns yet.";
      return list.replaceChildren(make("p", { class: "soft nothing", text: words }));
    }
    const head = make("tr", {}, ...["Name", "State", "Leads", ...FIGURES.map(([label]) => label), "Made"].map((text) => make("th", { scope: "col", text })));
    list.replaceChildren(make("table", {}, make("caption", { class: "visually-hidden", text: "Campaigns" }), make("thead", {}, head), make("tbody", {}, ...rows.map(row))));
    if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    return undefined;
  }

  async function look(tick) {
    try {
      await (tick === 0 ? read() : renew());
      notice.replaceChildren();
    } catch (problem) {
      trouble(life, notice, problem, () => look(tick));
    }
  }

  life.on(add, "click", () => campaignSheet(life, (made) => go(addressOf({ campaign: made.id }))));
  life.on(more, "click", async () => {
    try {
      await read(next);
    } catch (problem) {
      trouble(life, notice, problem, () => read(next));
    }
  });
  await whileSeen(life, LOOK_MS, look);
}
