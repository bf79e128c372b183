// What is to be known before a campaign is launched: what stands in its way, what would harm it, and the records of the DNS
// that cure it. It is read when it is opened, and again when somebody asks: name servers are asked each time.

import { make, say } from "./dom.js";
import { actionButton, ask, badge, trouble } from "./operator.js";
import { toCopy } from "./reception.js";

const SEVERITIES = { blocks: ["stands in the way", "bad"], warns: ["would harm", "warn"], informs: ["to know", ""] };

/** A record as whoever runs the DNS enters it. */
const recordOf = ({ kind, name, value }) =>
  make("div", { class: "record" }, make("p", { class: "soft", text: `Publish this record (${kind}):` }), make("ul", { class: "to-copy" }, toCopy("its name", name), toCopy("its value", value)));

function line({ code, severity, about, detail, account_ids: accounts, publish }, cures) {
  const [word, kind] = SEVERITIES[severity] ?? [severity, ""];
  // What is about an account is mended in its DNS.
  const links = severity === "blocks" && !accounts.length ? cures({ field: about, detail }) : [];
  return make(
    "li",
    { "data-check": code, "data-severity": severity },
    make("p", {}, badge(word, kind), " ", make("span", { class: "soft", text: about })),
    make("p", { text: detail }),
    ...(links.length ? [make("p", { class: "cures" }, ...links)] : []),
    ...(publish ? [recordOf(publish)] : []),
  );
}

function verdict({ ready, data }) {
  const blocks = data.filter(({ severity }) => severity === "blocks").length;
  if (!ready) return blocks === 1 ? "One thing stands in the way." : `${blocks} things stand in the way.`;
  return data.some(({ severity }) => severity === "warns") ? "Nothing stands in the way. Look at what would harm it." : "Nothing stands in the way.";
}

/** The checklist of a campaign. `cures` gives links to where a problem of the campaign is mended. */
export function checklist(life, path, cures) {
  const slot = make("div", { class: "listing-notice" });
  const words = make("p", { class: "verdict", role: "status" });
  const list = make("ul", { class: "checks" });
  let isRead = false;

  async function read() {
    words.textContent = "The texts, the leads and the name servers are asked …";
    let found;
    try {
      found = await ask(life, "GET", `${path}/checklist`);
    } catch (problem) {
      words.textContent = "";
      throw problem;
    }
    isRead = true;
    words.textContent = verdict(found);
    list.replaceChildren(...found.data.map((check) => line(check, cures)));
  }

  const again = actionButton(life, { label: "Check again", name: "check-again", slot, run: read, done: () => say(words.textContent) });
  const fold = make("details", { class: "fold checklist", "data-part": "checklist" }, make("summary", { text: "Before it is launched" }), words, slot, list, make("div", { class: "bulk" }, again));
  const first = async () => {
    if (!fold.open || isRead) return;
    try {
      await read();
    } catch (problem) {
      trouble(life, slot, problem, first);
    }
  };
  life.on(fold, "toggle", first);
  return fold;
}
