// The life of a job, attempt by attempt: those that failed, and what becomes of it next or became of it.

import { make } from "./dom.js";
import { badge, moment, span } from "./operator.js";

/** The colours of the states of jobs. */
export const STATES_OF_JOBS = { dead: "bad", running: "live", done: "good", cancelled: "", ready: "live", scheduled: "" };

function failed({ attempt, outcome, error, started_at, ended_at }) {
  const took = span(new Date(ended_at) - new Date(started_at));
  const head = make("p", {}, make("strong", { text: `Attempt ${attempt}` }), " ", badge(outcome, outcome === "cancelled" ? "" : "bad"), ` after ${took}, `, moment(ended_at));
  return make("li", {}, head, make("pre", { class: "error", text: error, tabindex: "0", "aria-label": `Error of attempt ${attempt}` }));
}

function last(job) {
  const line = (number, ...rest) => make("li", {}, make("p", {}, make("strong", { text: `Attempt ${number}` }), " ", ...rest));
  switch (job.state) {
    case "running":
      return line(job.attempt, badge("running", "live"), " since ", moment(job.started_at));
    case "done": {
      const took = job.started_at ? ` after ${span(new Date(job.finished_at) - new Date(job.started_at))}` : "";
      return line(job.attempt, badge("done", "good"), `${took}, `, moment(job.finished_at));
    }
    case "ready":
    case "scheduled":
      return line(job.attempt + 1, badge(job.state, STATES_OF_JOBS[job.state]), " due ", moment(job.run_at));
    default:
      return null;
  }
}

export function attemptsOf(job) {
  const all = [...job.attempts.map(failed), last(job)].filter(Boolean);
  return all.length ? make("ol", { class: "attempts" }, ...all) : make("p", { class: "soft", text: "No attempt was begun." });
}
