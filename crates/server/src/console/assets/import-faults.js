// What is wrong with rows of a list: as a table, and as a file for whoever mends it.

import { make } from "./dom.js";
import { actionButton, ask, trouble } from "./operator.js";
import { saveFile } from "./save-file.js";

const PAGE = 20;
const HEADS = ["Line", "Column", "What is wrong", "The row"];

/** The section about the bad rows of an import. It asks when it is opened. */
export function importFaults(life, { id, name, bad }) {
  const slot = make("div", { class: "listing-notice" });
  const body = make("tbody", {});
  const head = make("tr", {}, ...HEADS.map((text) => make("th", { scope: "col", text })));
  const table = make("div", { class: "listing faults" }, make("table", {}, make("caption", { class: "visually-hidden", text: "Bad rows" }), make("thead", {}, head), body));
  let next = null;
  let isRead = false;

  const row = ({ line, column, detail, excerpt }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", "data-label": HEADS[0], text: String(line) }),
      make("td", { "data-label": HEADS[1], text: column || "the row" }),
      make("td", { "data-label": HEADS[2], text: detail }),
      make("td", { "data-label": HEADS[3] }, make("code", { class: "cut", title: excerpt, text: excerpt })),
    );

  async function read() {
    const page = await ask(life, "GET", `/v1/imports/${id}/faults`, { query: { limit: PAGE, after: next } });
    body.append(...page.data.map(row));
    next = page.next;
    more.hidden = next === null;
    isRead = true;
  }

  const more = actionButton(life, { label: "Show more", name: "more-faults", slot, run: read });
  more.hidden = true;
  const file = actionButton(life, { label: "Download as a table", name: "faults-file", slot, run: () => saveFile(`/v1/imports/${id}/faults.csv`, `${name.replace(/\.\w+$/, "")}-faults.csv`) });
  const fold = make("details", { class: "fold", "data-part": "faults" }, make("summary", { text: bad === 1 ? "One bad row" : `${bad} bad rows` }), make("div", { class: "item-buttons" }, file), slot, table, more);
  life.on(fold, "toggle", async () => {
    if (!fold.open || isRead) return;
    try {
      await read();
    } catch (problem) {
      trouble(life, slot, problem, read);
    }
  });
  return fold;
}
