// The audit: what the last one found, group by group, what is to be mended and how, and a button that makes another.

import { make, say } from "./dom.js";
import { actionButton, ask, badge, begin, facts, moment, moments } from "./operator.js";

const WORDS = { pass: "passed", warn: "nearly", fail: "failed", unknown: "not known", not_applicable: "not asked for here" };
const KINDS = { pass: "good", warn: "live", fail: "bad", unknown: "bad", not_applicable: "" };
/** What is to be mended comes first. */
const ORDER = ["fail", "unknown", "warn", "pass", "not_applicable"];
const WEIGHTS = ["critical", "high", "medium", "low"];

function card({ group, score, passed, checks }) {
  const head = make("h2", {}, group);
  const figures = make("p", { class: "numbers" }, make("span", {}, make("strong", { text: String(score) }), " of 100"));
  return make("section", { class: "card", "data-group": group }, head, figures, make("p", { class: "soft", text: `${passed} of ${checks} checks pass` }));
}

function finding(found) {
  const head = make("p", {}, make("strong", { text: found.title }), " ", badge(WORDS[found.verdict], KINDS[found.verdict]), " ", badge(found.severity));
  const list = facts([
    ["Seen", found.measured],
    ["Wanted", found.threshold],
    ["From", found.evidence],
    ["Cure", found.cure],
    ["Repeat", make("code", { text: found.repeat })],
  ]);
  return make("li", { "data-check": found.id }, head, list);
}

function part(title, findings, isOpen) {
  if (!findings.length) return null;
  const summary = make("summary", { text: `${title} (${findings.length})` });
  return make("details", { open: isOpen }, summary, make("ol", { class: "attempts" }, ...findings.map(finding)));
}

function draw(report, history) {
  if (!report) return [make("p", { class: "soft nothing", text: "No audit was made yet." })];
  const score = make("p", { class: "audit-score" }, make("strong", { text: String(report.score) }), " of 100 as a ", report.profile);
  const held = report.capped ? make("p", { class: "off", text: "Something critical fails, which holds the score down." }) : null;
  const about = make("p", { class: "soft" }, `${report.asked} checks in ${report.took_ms} ms, `, moments(report.at));
  const byWeight = (a, b) => WEIGHTS.indexOf(a.severity) - WEIGHTS.indexOf(b.severity);
  const parts = ORDER.map((verdict) => {
    const those = report.findings.filter((found) => found.verdict === verdict).sort(byWeight);
    const word = WORDS[verdict];
    return part(word[0].toUpperCase() + word.slice(1), those, verdict === "fail" || verdict === "unknown" || verdict === "warn");
  });
  const rows = history.map(({ at, score, profile }) => make("li", {}, make("strong", { text: String(score) }), ` as a ${profile}, `, moment(at)));
  const earlier = rows.length > 1 ? make("details", {}, make("summary", { text: `Earlier (${rows.length - 1})` }), make("ul", {}, ...rows.slice(1))) : null;
  return [score, held, about, make("div", { class: "counts" }, ...report.groups.map(card)), ...parts, earlier].filter(Boolean);
}

begin("audit", async (life, root) => {
  const notice = make("div", { class: "listing-notice" });
  const bar = make("div", { class: "bulk" });
  const body = make("div", { id: "audit" });
  const show = async () => {
    const { last, history } = await ask(life, "GET", "/v1/audit");
    body.replaceChildren(...draw(last, history));
  };
  bar.append(
    actionButton(life, {
      label: "Audit now",
      name: "audit",
      slot: notice,
      run: async () => {
        const { score } = await ask(life, "POST", "/v1/audit/runs");
        say(`The score is ${score} of 100.`);
      },
      done: show,
    }),
  );
  await show();
  root.append(notice, bar, body);
});
