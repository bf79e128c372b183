// One campaign: where it is in its life, what brings it further, and its parts.

import { Problem } from "./api.js";
import { campaignFigures } from "./campaign-figures.js";
import { stateOf } from "./campaign-list.js";
import { campaignSettings } from "./campaign-settings.js";
import { checklist } from "./checklist.js";
import { make, say } from "./dom.js";
import { imports } from "./imports.js";
import { leads } from "./leads.js";
import { actionButton, ask, moment, whileSeen } from "./operator.js";
import { goLink, parts } from "./parts.js";
import { sequence } from "./sequence.js";

const LOOK_MS = 10_000;
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

const PAUSE = { title: "Pause it?", text: "Nothing goes out until it is launched again, but for what is in flight at this moment.", yes: "Pause it" };
const STOP = { title: "Stop it for good?", text: "What was not sent never will be, and it cannot be launched again. To let it rest, pause it.", yes: "Stop it", danger: true };
const LAUNCH = { title: "Launch it?", text: "Its emails go out as they fall due, within what its accounts may send.", yes: "Launch it" };

/** What a campaign does now, in a sentence. */
function sentence(campaign) {
  const waits = campaign.starts_at !== null && new Date(campaign.starts_at) > Date.now();
  switch (campaign.state) {
    case "draft":
      return ["Nothing is sent before it is launched."];
    case "running":
      return waits ? ["It begins ", moment(campaign.starts_at), "."] : ["It sends what is due."];
    case "paused":
      return ["Nothing is sent until it is launched again."];
    default:
      return ["It is over."];
  }
}

/** Where something that is missing is mended, by the name of the field. */
function curesOf(id, { field, detail }) {
  if (field.startsWith("steps")) return [goLink({ campaign: id, part: "sequence" }, "Write the steps")];
  if (field.startsWith("account_ids")) return [goLink({ campaign: id, part: "settings" }, "Choose the accounts")];
  const lead = detail.match(UUID)?.[0];
  if (field.startsWith("leads")) return [goLink({ campaign: id, part: "leads", ...(lead ? { id: lead } : {}) }, lead ? "Look at the lead" : "Look at the leads"), goLink({ campaign: id, part: "sequence" }, "Change the text")];
  return [goLink({ campaign: id, part: "settings" }, "Look at the settings")];
}

/** What is missing before it can be launched, each with where it is mended. What many leads lack is one thing. `close` takes it away. */
function missing(id, fields, close) {
  const groups = Map.groupBy(fields, ({ field }) => field);
  const items = [...groups.values()].map(([first, ...others]) => {
    const more = others.length ? [make("p", { class: "soft", text: others.length === 1 ? "Another lead lacks it too." : `${others.length} other leads lack it too, or more.` })] : [];
    return make("li", { "data-field": first.field }, make("p", { text: first.detail }), ...more, make("p", { class: "cures" }, ...curesOf(id, first)));
  });
  const title = make("p", { class: "notice-title", text: items.length === 1 ? "One thing is missing before it can be launched:" : `${items.length} things are missing before it can be launched:` });
  const away = make("button", { type: "button", class: "button small quiet", "data-action": "dismiss", text: "Dismiss" });
  away.addEventListener("click", close);
  return make("div", { class: "notice missing", role: "alert" }, title, make("ul", {}, ...items), away);
}

export async function campaign(life, root, id, page) {
  const path = `/v1/campaigns/${encodeURIComponent(id)}`;
  const known = { campaign: await ask(life, "GET", path) };
  const heading = make("h2", { class: "campaign-name", tabindex: "-1" });
  const words = make("p", { class: "soft" });
  const notice = make("div", { class: "listing-notice" });
  const buttons = make("div", { class: "item-buttons" });

  const before = checklist(life, path, (problem) => curesOf(id, problem));

  function button(label, name, verb, question, done, isMain = false) {
    const run = async () => {
      try {
        show(await ask(life, "POST", `${path}/${verb}`));
        say(done);
      } catch (problem) {
        if (!(problem instanceof Problem) || !problem.fields.length) throw problem;
        const close = () => {
          notice.replaceChildren();
          buttons.querySelector("button")?.focus();
        };
        notice.replaceChildren(missing(id, problem.fields, close));
      }
    };
    const element = actionButton(life, { label, name, danger: question.danger, ask: question, run, slot: notice });
    element.classList.toggle("primary", isMain);
    return element;
  }

  function buttonsOf({ state }) {
    const launch = (label) => button(label, "launch", "launch", LAUNCH, "It is launched.", true);
    const stop = button("Stop …", "stop", "stop", STOP, "It is stopped.");
    if (state === "draft") return [launch("Launch"), stop];
    if (state === "running") return [button("Pause", "pause", "pause", PAUSE, "It is paused."), stop];
    return state === "paused" ? [launch("Launch again"), stop] : [];
  }

  /** Shows what was found. The buttons stay as they are while they would be the same. */
  function show(found) {
    const isSame = known.campaign.state === found.state && buttons.childElementCount > 0;
    known.campaign = found;
    heading.replaceChildren(found.name, " ", stateOf(found));
    words.replaceChildren(...sentence(found));
    before.hidden = found.state !== "draft" && found.state !== "paused";
    if (isSame || !page.mayChange) return;
    const focused = buttons.contains(document.activeElement);
    buttons.replaceChildren(...buttonsOf(found));
    if (focused) (buttons.querySelector("button") ?? heading).focus();
  }

  show(known.campaign);
  const back = goLink({}, "← All campaigns", { class: "back" });
  before.open = known.campaign.state === "draft";
  root.append(back, heading, words, buttons, notice, before);
  heading.focus();
  whileSeen(life, LOOK_MS, async (tick) => {
    // What cannot be asked now is asked the next time.
    if (tick > 0) await ask(life, "GET", path).then(show, () => {});
  });
  const context = { ...page, id, path, known, show };
  const part = (name, label, fill) => ({ name, label, fill: (own, place) => fill(own, place, context) });
  await parts(life, root, "Parts of the campaign", { campaign: id }, [
    part("figures", "Figures", campaignFigures),
    part("sequence", "Sequence", sequence),
    part("leads", "Leads", leads),
    part("import", "Import", imports),
    part("settings", "Settings", campaignSettings),
  ]);
}
