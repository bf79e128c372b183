// The page of the system: the last five minutes, each node, what is wrong and what was, what was deployed, and who is told.

import { make, say } from "./dom.js";
import { actionButton, ask, badge, begin, facts, moment, moments, whileSeen } from "./operator.js";

const LOOK_MS = 5_000;

const format = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
/** A number with its unit; a dash when it is not known. */
const told = (value, unit = "") => (value === null || value === undefined ? "–" : `${format.format(value)}${unit}`);

function figure(label, value, unit) {
  return make("section", { class: "card", "data-figure": label }, make("p", { class: "numbers" }, make("span", {}, make("strong", { text: told(value, unit) }))), make("p", { class: "soft", text: label }));
}

function figures(health) {
  return make(
    "div",
    { class: "counts" },
    figure("requests in five minutes", health.requests),
    figure("refused", health.refusals),
    figure("failed", health.errors),
    figure("error rate", health.error_percent, " %"),
    figure("p50 of answers", health.p50_ms, " ms"),
    figure("p95 of answers", health.p95_ms, " ms"),
    figure("p99 of answers", health.p99_ms, " ms"),
    figure("active jobs", health.active_jobs),
    figure("mean job time", health.mean_job_ms, " ms"),
    figure("live sockets", health.sockets),
    figure("database connections in use", health.pool_percent, " %"),
  );
}

function node(one) {
  const state = one.left ? badge("stopped") : one.redis_lost || one.left_alone.length ? badge("degraded", "bad") : badge("serves", "good");
  const list = facts([
    ["Told", moment(one.last_seen)],
    ["Requests", `${told(one.requests)}, ${told(one.errors)} failed, ${told(one.refusals)} refused`],
    ["Jobs, sockets", `${told(one.active_jobs)}, ${told(one.sockets)}`],
    ["Database", told(one.pool_percent, " %")],
    ["Processors", told(one.processor_percent, " %")],
    ["Memory", told(one.memory_percent, " %")],
    ["Disk", told(one.disk_percent, " %")],
    ["Open files", told(one.files_percent, " %")],
    ["Connections", told(one.connections_percent, " %")],
    ["Redis", one.redis_lost ? "away" : null],
    ["Left alone", one.left_alone.join(", ")],
  ]);
  return make("li", { "data-node": one.id }, make("p", {}, make("code", { text: one.id }), " ", state), list);
}

function alert(one) {
  const state = one.ended_at ? badge("over") : one.fired_at ? badge("wrong", "bad") : badge("for a moment", "live");
  const head = make("p", {}, make("strong", { text: one.title || one.rule }), one.subject ? ` (${one.subject}) ` : " ", state);
  const list = facts([
    ["Measured", `${told(one.value)} ${one.unit}`],
    ["Allowed", told(one.threshold)],
    ["Since", moments(one.began_at)],
    ["Over", one.ended_at ? moments(one.ended_at) : null],
    ["Told", one.told_at ? moment(one.told_at) : null],
    ["Cause", one.ended_at ? null : one.cause],
    ["Step", one.ended_at ? null : one.step],
    ["Look", one.ended_at || !one.page || one.page === location.pathname ? null : make("a", { href: one.page, text: one.page })],
  ]);
  return make("li", { "data-alert": one.rule }, head, list);
}

function receiver(one) {
  const took = one.accepted_at ? make("span", {}, "took a message ", moment(one.accepted_at)) : "never took a message";
  const failed = one.failed_at && (!one.accepted_at || one.failed_at > one.accepted_at);
  const words = failed ? make("span", { class: "off" }, ` failed `, moment(one.failed_at), `: ${one.failure}`) : null;
  return make("li", { "data-receiver": one.name }, make("strong", { text: one.name }), one.configured ? " " : " (not set up any more) ", took, ...[words].filter(Boolean));
}

const OUTCOMES = { succeeded: "good", failed: "bad", rolled_back: "bad" };

function deployment(one) {
  const head = make("p", {}, make("strong", { text: one.environment }), ` ${one.kind} `, badge(one.outcome.replace("_", " "), OUTCOMES[one.outcome] ?? ""));
  const list = facts([
    ["When", moments(one.ended_at)],
    ["Version", one.version],
    ["Commit", one.commit],
    ["Digest", make("code", { text: one.digest })],
    ["By", one.who],
    ["Why", one.reason],
  ]);
  return make("li", { "data-deployment": one.outcome }, head, list);
}

function list(title, items, draw, nothing) {
  const rows = items.length ? make("ol", { class: "attempts" }, ...items.map(draw)) : make("p", { class: "soft nothing", text: nothing });
  return make("section", { "data-part": title }, make("h2", { text: title }), rows);
}

function draw(health, alerts, deployments) {
  const earlier = alerts.history.length ? make("details", {}, make("summary", { text: `Earlier (${alerts.history.length})` }), make("ol", { class: "attempts" }, ...alerts.history.map(alert))) : null;
  return [
    list("Wrong", [...alerts.firing, ...alerts.pending], alert, "Nothing is wrong."),
    make("h2", { text: "The last five minutes" }),
    figures(health),
    list("Nodes", health.nodes, node, "No node has told of itself yet."),
    list("Deployments", deployments.data, deployment, "No deployment was recorded: mainstay deploy record does it."),
    list("Who is told", alerts.receivers, receiver, "Nobody is told of alerts: set alerts.slack_url or alerts.webhook_url."),
    earlier,
  ].filter(Boolean);
}

begin("system", async (life, root) => {
  const notice = make("div", { class: "listing-notice" });
  const bar = make("div", { class: "bulk" });
  const body = make("div", { id: "system" });
  const show = async () => {
    const [health, alerts, deployments] = await Promise.all([
      ask(life, "GET", "/v1/system-health"),
      ask(life, "GET", "/v1/alerts"),
      ask(life, "GET", "/v1/deployments?limit=5"),
    ]);
    // Whoever reads what was earlier goes on reading it.
    const isOpen = body.querySelector("details")?.open;
    body.replaceChildren(...draw(health, alerts, deployments));
    const details = body.querySelector("details");
    if (details) details.open = Boolean(isOpen);
  };
  bar.append(
    actionButton(life, {
      label: "Send a test message",
      name: "test",
      slot: notice,
      run: async () => {
        const { receivers } = await ask(life, "POST", "/v1/alerts/tests");
        const refused = receivers.filter((one) => !one.accepted);
        const words = receivers.length === 0 ? "Nobody is told of alerts." : refused.length ? refused.map((one) => `${one.name}: ${one.failure}`).join(" ") : "Everybody took the test message.";
        notice.replaceChildren(make("p", { class: refused.length || !receivers.length ? "off" : "told", role: "status", text: words }));
        say(words);
      },
      done: show,
    }),
  );
  await show();
  root.append(notice, bar, body);
  whileSeen(life, LOOK_MS, show);
});
