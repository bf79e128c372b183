// The sheet with what was used this month, what the plan allows and, for administrators, what the organisation has used
// and may spend.

import { Problem, call } from "./api.js";
import { events } from "./bus.js";
import { $, make, say } from "./dom.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";

const count = new Intl.NumberFormat();
const MICROS = 1_000_000;

/** An amount of millionths in the installation's currency; small ones with as many decimals as they need. */
function money(micros, currency) {
  const digits = micros !== 0 && Math.abs(micros) < MICROS / 100 ? 6 : 2;
  return new Intl.NumberFormat(undefined, { style: "currency", currency, maximumFractionDigits: digits }).format(micros / MICROS);
}

/** A row with how much of a limit is used. */
function meter(name, used, limit, show) {
  const row = make("div", {}, make("dt", { text: name }), make("dd", { text: limit === null ? show(used) : `${show(used)} of ${show(limit)}` }));
  if (limit !== null) {
    const bar = make("progress", { max: Math.max(limit, 1), value: Math.min(used, Math.max(limit, 1)), "aria-label": name });
    bar.classList.toggle("is-spent", used >= limit);
    row.append(bar);
  }
  return row;
}

/** The rows for what the plan allows and what was used. */
function meters(usage) {
  const plain = (value) => count.format(value);
  const cost = (value) => money(value, usage.currency);
  const { limits } = usage;
  const rows = [];
  const add = (name, { day, month }) => {
    if (day.limit !== null) rows.push(meter(`${name} today`, day.used, day.limit, plain));
    rows.push(meter(`${name} this month`, month.used, month.limit, plain));
  };
  add("Messages", limits.messages);
  if (limits.images.month.used > 0) add("Images", limits.images);
  if (limits.voice_seconds.month.used > 0) add("Seconds of speech", limits.voice_seconds);
  rows.push(meter("Cost this month", limits.cost_micros.used, limits.cost_micros.limit, cost));
  if (usage.budget.cost_micros !== null) rows.push(meter("Your budget", usage.budget.cost_micros - usage.budget.left_micros, usage.budget.cost_micros, cost));
  rows.push(meter("Tokens read", usage.input_tokens, null, plain), meter("Tokens written", usage.output_tokens, null, plain));
  return rows;
}

function memberRow(member, currency) {
  const cell = (text) => make("td", { text });
  const tokens = member.input_tokens + member.output_tokens;
  return make("tr", {}, cell(member.name || member.email || member.id), cell(count.format(member.messages)), cell(count.format(tokens)), cell(money(member.cost_micros, currency)));
}

export const usagePart = new Part("usage", (part) => {
  const find = (selector) => $(selector, part.root);
  const sheet = find("#usage");
  const body = find(".sheet-body");
  const amount = find("#usage-budget-amount");
  const more = find("[data-more]");
  let usage = null;

  const fail = (problem) => {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(part, find(".sheet-notice"), problem, { retry: load });
  };

  async function members(after) {
    const query = after ? `?after=${encodeURIComponent(after)}` : "";
    const page = await call("GET", `/v1/usage/members${query}`, { signal: part.signal });
    find("tbody").append(...page.data.map((member) => memberRow(member, usage.currency)));
    more.hidden = page.next === null;
    more.dataset.after = page.next ?? "";
  }

  function draw() {
    const month = new Date(`${usage.month}-01T00:00:00Z`).toLocaleDateString(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
    find(".usage-summary").textContent = `${month}, plan ${usage.plan}. Days and months are those of UTC.`;
    find(".usage-meters").replaceChildren(...meters(usage));
    const { organisation } = usage;
    find(".usage-organisation").hidden = organisation === null;
    if (organisation !== null) {
      const { cost_micros: budget } = organisation.budget;
      find(".usage-total").textContent = `${count.format(organisation.messages)} messages, ${money(organisation.cost_micros, usage.currency)} this month`;
      find(".usage-currency").textContent = usage.currency;
      amount.value = budget === null ? "" : String(budget / MICROS);
      find("tbody").replaceChildren();
    }
    body.hidden = false;
  }

  async function load() {
    find(".sheet-notice").replaceChildren();
    try {
      usage = await call("GET", "/v1/usage", { signal: part.signal });
      draw();
      if (usage.organisation !== null) await members();
    } catch (problem) {
      fail(problem);
    }
  }

  part.on(events, "usage:open", () => {
    sheet.showModal();
    return load();
  });
  part.on(find("[data-close]"), "click", () => sheet.close());
  // A click on the backdrop is one on the sheet itself, outside its contents.
  part.on(sheet, "click", (event) => event.target === sheet && sheet.close());
  part.on(more, "click", async () => {
    try {
      await members(more.dataset.after);
    } catch (problem) {
      fail(problem);
    }
  });
  part.on(find(".usage-budget"), "submit", async (event) => {
    event.preventDefault();
    const text = amount.value.trim();
    const micros = text === "" ? null : Math.round(Number(text) * MICROS);
    try {
      await call("PUT", "/v1/budgets/organisation", { body: { cost_micros: micros }, signal: part.signal });
      say("The budget is saved.");
      await load();
    } catch (problem) {
      fail(problem);
    }
  });
});
