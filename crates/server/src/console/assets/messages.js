// What callers want somebody to know: those messages that nobody has taken care of first.

import { make, say } from "./dom.js";
import { actionButton, ask, moment } from "./operator.js";

const PAGE = 50;

/** Gives the section, and `look()`, which asks again. */
export function messages(life, contacts) {
  const heading = make("h2", { text: "Messages" });
  const notice = make("div", { class: "listing-notice" });
  const open = make("ul", { class: "rows" });
  const handled = make("ul", { class: "rows" });
  const summary = make("summary", {});
  const earlier = make("details", { class: "more-counts", hidden: true }, summary, handled);
  const more = make("button", { type: "button", class: "button small", "data-action": "more-messages", text: "Show more", hidden: true });
  const root = make("section", { class: "part-of-page", "data-part": "messages" }, heading, notice, open, earlier, more);
  let all = [];
  let next = null;

  function row(message) {
    const isHandled = message.handled_at !== null;
    const who = message.name || contacts.name(message.contact_id) || "Somebody";
    const call = message.phone ? make("a", { href: `tel:${message.phone}`, text: message.phone }) : "no number";
    const from = make("p", { class: "soft" }, call, " · ", moment(message.created_at));
    if (message.call_id) from.append(" · ", make("a", { href: `/calls?id=${encodeURIComponent(message.call_id)}`, text: "the call" }));
    const button = actionButton(life, {
      label: isHandled ? "Open it again" : "Done",
      name: isHandled ? "open-again" : "handle",
      slot: notice,
      run: () => ask(life, "PATCH", `/v1/phone-messages/${message.id}`, { body: { handled: !isHandled } }),
      done: () => {
        say(isHandled ? "It is open again." : "It is done.");
        return look();
      },
    });
    return make("li", { class: isHandled ? "handled" : null, "data-message": message.id }, make("div", {}, make("strong", { text: who }), make("p", { class: "message-body", text: message.body }), from), button);
  }

  function draw() {
    const waiting = all.filter(({ handled_at }) => handled_at === null);
    const done = all.filter(({ handled_at }) => handled_at !== null);
    heading.textContent = waiting.length ? `Messages (${waiting.length} open)` : "Messages";
    open.replaceChildren(...(waiting.length ? waiting.map(row) : [make("li", { class: "soft", text: all.length ? "All are done." : "Nobody has left one." })]));
    handled.replaceChildren(...done.map(row));
    earlier.hidden = !done.length;
    summary.textContent = `Done (${done.length})`;
    more.hidden = next === null;
  }

  const page = (after) => ask(life, "GET", "/v1/phone-messages", { query: { limit: PAGE, after } });

  async function look() {
    const found = await page(null);
    // What somebody has asked for beyond the first page stays.
    const ids = new Set(found.data.map(({ id }) => id));
    const last = found.data.at(-1)?.id;
    const older = found.next === null ? [] : all.filter(({ id }) => !ids.has(id) && id < last);
    if (!older.length) next = found.next;
    all = [...found.data, ...older];
    await contacts.read(life, all.map(({ contact_id }) => contact_id));
    draw();
  }

  life.on(more, "click", async () => {
    const found = await page(next);
    all.push(...found.data);
    next = found.next;
    draw();
  });

  return { root, look };
}
