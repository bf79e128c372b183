// Whom nobody of the organisation writes to: addresses and whole domains, with why.

import { Problem } from "./api.js";
import { make, say } from "./dom.js";
import { actionButton, ask, badge, moment, trouble } from "./operator.js";
import { labelled, onSubmit } from "./reception.js";

const PAGE = 50;
/** So many at once. */
const MOST = 100;
const KINDS = { unsubscribed: "bad", bounced: "bad", complained: "bad", manual: "" };
const WORDS = { manual: "by hand" };

/** A domain is told and asked for with an @. */
const REMOVE = (subject) => ({ title: `Take ${subject} off the list?`, text: "Campaigns may write there again. Leads that were stopped stay so. Whoever has said no should not be written to.", yes: "Take it off", danger: true });

function addForm(life, done) {
  const slot = make("div", { class: "listing-notice" });
  const subjects = make("textarea", { name: "subjects", rows: "3", spellcheck: "false", autocapitalize: "none", required: true, placeholder: "someone@example.com" });
  const form = make("form", { class: "fields suppress", "data-form": "suppress" }, labelled("Nobody writes to", subjects, { wide: true, hint: "Addresses, or whole domains as @example.com: one on each line, at most 100. What is queued for them is cancelled." }), make("div", { class: "wide" }, make("button", { type: "submit", class: "button small", text: "Put them on the list" })));
  onSubmit(life, form, slot, async () => {
    const wanted = subjects.value.split(/[\s,;]+/).filter(Boolean);
    const refuse = (detail) => new Problem({ status: 400, code: "invalid_input", fields: [{ field: "subjects", detail }] });
    if (wanted.length > MOST) throw refuse(`These are ${wanted.length}. Put at most ${MOST} on the list at once.`);
    try {
      const { added } = await ask(life, "POST", "/v1/suppressions", { body: { subjects: wanted } });
      subjects.value = "";
      slot.replaceChildren(make("p", { class: "told", role: "status", text: added === wanted.length ? `${added} on the list.` : `${added} on the list; the others were there.` }));
    } catch (problem) {
      if (!(problem instanceof Problem) || !problem.fields.length) throw problem;
      // Each is told by its number; here it is told by what was written.
      throw refuse(problem.fields.map(({ field, detail }) => `${wanted[Number(/\d+/.exec(field)?.[0] ?? 0)]}: ${detail}`).join(" "));
    }
    await done();
  });
  return make("section", {}, form, slot);
}

export async function suppressions(life, root, { mayChange }) {
  const notice = make("div", { class: "listing-notice" });
  const list = make("ul", { class: "rows", id: "suppressions" });
  let next = null;

  function row({ subject, reason, email_id: email, created_at: at }) {
    const item = make("li", { "data-subject": subject });
    const about = make("div", {}, make("strong", { text: subject }), " ", badge(WORDS[reason] ?? reason, KINDS[reason] ?? ""), " ", make("span", { class: "soft" }, moment(at)));
    if (email) about.append(" ", make("a", { href: `/sending-accounts?part=emails&id=${encodeURIComponent(email)}`, "data-go": true, text: "The email" }));
    item.append(about);
    if (!mayChange) return item;
    const remove = actionButton(life, { label: "Remove …", name: "allow", ask: REMOVE(subject), slot: notice, run: () => ask(life, "DELETE", `/v1/suppressions/${encodeURIComponent(subject)}`), done: () => {
      say("It is off the list.");
      return renew();
    } });
    remove.setAttribute("aria-label", `Take ${subject} off the list`);
    item.append(remove);
    return item;
  }

  async function read(after) {
    const page = await ask(life, "GET", "/v1/suppressions", { query: { limit: PAGE, after } });
    if (after === null) list.replaceChildren();
    list.append(...page.data.map(row));
    if (!list.children.length) list.append(make("li", { class: "soft", text: "Nobody is on the list. Whoever leaves, and whose address does not exist, is put on it by itself." }));
    next = page.next;
    more.hidden = next === null;
  }

  const more = actionButton(life, { label: "Show more", name: "more", slot: notice, run: () => read(next) });
  more.hidden = true;

  async function renew() {
    notice.replaceChildren();
    try {
      await read(null);
    } catch (problem) {
      trouble(life, notice, problem, renew);
    }
  }

  root.append(make("p", { class: "soft", text: "Nobody of the organisation writes to these, in any campaign." }), ...(mayChange ? [addForm(life, renew)] : []), notice, list, more);
  await renew();
}
