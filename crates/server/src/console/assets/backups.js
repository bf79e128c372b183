// Backups: when they were made, whether one was restored for trial, and buttons for both.

import { make, say } from "./dom.js";
import { actionButton, ask, badge, begin, facts, moment, moments, whileSeen } from "./operator.js";

/** How often the page looks again, in milliseconds. */
const LOOKS_EVERY = 3_000;

const KINDS = { complete: "good", running: "live", failed: "bad", deleted: "" };
const WORDS = { complete: "whole", running: "being made", failed: "failed", deleted: "deleted" };
const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

function size(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 10240 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Math.round(value)} ${UNITS[unit]}`;
}

function seconds(millis) {
  return millis < 120000 ? `${(millis / 1000).toFixed(1)} s` : `${Math.round(millis / 60000)} min`;
}

function backup(one) {
  const head = make("p", {}, make("strong", { text: one.id }), " ", badge(WORDS[one.state] ?? one.state, KINDS[one.state] ?? ""), one.encrypted ? " " : "", one.encrypted ? badge("encrypted") : "");
  const list = facts([
    ["Taken", moments(one.started_at)],
    ["Rows", one.state === "complete" || one.state === "deleted" ? String(one.rows) : ""],
    ["Size", one.bytes ? size(one.bytes) : ""],
    ["Where", one.place],
    ["Error", one.error ?? ""],
  ]);
  return make("li", { "data-backup": one.id, "data-state": one.state }, head, list);
}

function drill(one) {
  const head = make("p", {}, make("strong", {}, moment(one.at)), " ", badge(one.passed ? "restored" : "failed", one.passed ? "good" : "bad"));
  const list = facts([
    ["Backup", one.backup],
    ["Recovery point", `${seconds(one.recovery_point_ms)} of work would have been lost`],
    ["Recovery time", `${seconds(one.recovery_time_ms)} until the copy answered`],
    ["Seen", one.detail],
  ]);
  return make("li", { "data-drill": one.passed ? "passed" : "failed" }, head, list);
}

function part(title, items, none) {
  const list = items.length ? make("ol", { class: "attempts" }, ...items) : make("p", { class: "soft nothing", text: none });
  return make("section", {}, make("h2", { text: title }), list);
}

function draw(found) {
  if (!found.place) {
    return [make("p", { class: "off", text: "No backups are made: backup.to is not set. Name a folder on another disk, or a bucket." })];
  }
  const warnings = [
    found.overdue ? make("p", { class: "off", text: "A backup that should have been made was not. The list of jobs says why." }) : null,
    found.drill_overdue ? make("p", { class: "off", text: "No backup was restored for trial when one should have been." }) : null,
  ];
  const trial = found.drill_schedule ? `, restored for trial at ${found.drill_schedule}` : ", never restored for trial by itself";
  const about = make("p", { class: "soft", text: `Kept in ${found.place}, made at ${found.schedule} (UTC)${trial}.` });
  return [
    ...warnings,
    about,
    part("Backups", found.backups.map(backup), "None was made yet."),
    part("Restored for trial", found.drills.map(drill), "None was restored for trial yet: whether they can be restored is not known."),
  ].filter(Boolean);
}

begin("backups", async (life, root) => {
  const notice = make("div", { class: "listing-notice" });
  const bar = make("div", { class: "bulk" });
  const body = make("div", { id: "backups" });
  const show = async () => {
    const found = await ask(life, "GET", "/v1/backups");
    body.replaceChildren(...draw(found));
    bar.hidden = !found.place;
  };
  const button = (label, name, path, said) =>
    actionButton(life, {
      label,
      name,
      slot: notice,
      run: async () => {
        await ask(life, "POST", path);
        say(said);
      },
      done: show,
    });
  bar.append(
    button("Back up now", "backup", "/v1/backups", "A backup is being made."),
    button("Restore for trial", "drill", "/v1/backup-drills", "The newest backup is being restored into a scratch copy."),
  );
  await show();
  root.append(notice, bar, body);
  await whileSeen(life, LOOKS_EVERY, show);
});
