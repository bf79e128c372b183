// Recordings of what pages of the console looked like, for operators: which there are, and one of them, played. Who looks at one
// is noted in the access log of its organisation.

import { make } from "./dom.js";
import { listing } from "./listing.js";
import { badge, begin, facts, moment, moments, span } from "./operator.js";
import { player } from "./replay-player.js";

const REASONS = { sampled: "one of the sessions that are looked at", error: "something went wrong in it" };
/** Ids begin with their time: what tells one from another is at the end. */
const short = (id) => make("code", { title: id, text: id.slice(-8) });

const errorsOf = ({ errors }) => (errors ? badge(errors === 1 ? "1 error" : `${errors} errors`, "bad") : badge("none"));

const columns = [
  { label: "Page", main: true, cell: ({ page }) => page },
  { label: "When", cell: ({ begun_at }) => moment(begun_at) },
  { label: "Organisation", cell: ({ organisation_id }) => short(organisation_id) },
  { label: "Person", cell: ({ person_id }) => short(person_id) },
  { label: "Length", cell: ({ duration_ms }) => span(duration_ms) },
  { label: "Errors", cell: errorsOf },
];

begin("replays", async (life, root) => {
  /** The one that is played. There is one at a time. */
  let playing = null;

  function detail(replay) {
    playing?.end();
    playing = player(life, replay.chunks.flat());
    const list = facts([
      ["Id", make("code", { text: replay.id })],
      ["Organisation", make("code", { text: replay.organisation_id })],
      ["Person", make("code", { text: replay.person_id })],
      ["Begun", moments(replay.begun_at)],
      ["Sent because", REASONS[replay.reason] ?? replay.reason],
      ["Release of the page", replay.version && make("code", { text: replay.version })],
      ["Size", `${Math.ceil(replay.bytes / 1000)} kB`],
    ]);
    return [make("h2", {}, replay.page, " ", errorsOf(replay)), playing.element, list];
  }

  const view = listing(life, root, {
    path: "/v1/replays",
    nouns: ["recording", "recordings"],
    filters: [{ name: "with_errors", label: "Which", options: [{ value: "true", label: "with errors" }], usual: "all" }],
    columns,
    detail,
    actions: () => [],
    // What is played must not be drawn anew.
    lasts: () => false,
  });
  life.onStop(() => playing?.end());
  await view.open();
});
