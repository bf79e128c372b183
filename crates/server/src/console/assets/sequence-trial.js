// A try of what is saved: how a text reads for a lead, and an email of it to oneself.

import { make } from "./dom.js";
import { actionButton, ask, badge } from "./operator.js";
import { choice, everything, input, labelled, onSubmit, submitButton } from "./reception.js";

const KINDS = { accepted: "good", refused: "bad", unknown: "bad" };
const NOBODY = ["", "nobody in particular"];
const SAID = { accepted: "Its server has taken it.", refused: "Its server did not take it.", unknown: "Nobody knows whether it arrived." };

/** The HTML of an email in a frame that runs nothing, sends nothing and leads nowhere. */
function framed(html) {
  const frame = make("iframe", { class: "letter", sandbox: "", title: "The email as HTML", referrerpolicy: "no-referrer" });
  frame.srcdoc = html;
  return frame;
}

function letter({ subject, text, html, missing_fields: missing }) {
  const lacks = missing.length ? [make("p", { class: "off", role: "alert", text: `There is nothing for ${missing.join(", ")}. Such an email is not written: give the lead a value, or write what stands there instead.` })] : [];
  const markup = html === null ? [] : [make("h4", { text: "As HTML" }), framed(html), make("p", { class: "field-hint", text: "Pictures and styles of the email are not loaded here. Send it to yourself to see all of it." })];
  return [...lacks, make("p", { class: "subject" }, make("span", { class: "soft", text: "Subject " }), make("strong", { text: subject })), make("pre", { text, tabindex: "0", "aria-label": "The email as text" }), ...markup];
}

/** What there is to choose from: `[value, text]` of each text of each step. */
const textsOf = (steps) => steps.flatMap(({ step, variants }) => variants.map(({ id, name }) => [`${step}:${id}`, variants.length > 1 ? `Step ${step}, ${name}` : `Step ${step}`]));

function fill(control, options) {
  const before = control.value;
  control.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
  if (options.some(([value]) => value === before)) control.value = before;
}

/** The section, as `{ root, renew(steps), changed() }`. `isChanged()` says whether something was typed that is not saved. */
export function trial(life, { path, me, mayChange }, leads, isChanged) {
  const which = choice("which", []);
  const who = choice("lead", [NOBODY, ...leads.map(({ id, email }) => [id, email])]);
  const slot = make("div", { class: "listing-notice" });
  const shown = make("div", { class: "letter-place", "aria-live": "polite" });
  const hint = make("p", { class: "soft", hidden: true, text: "It shows what was saved last, and not what was typed since." });
  const wish = () => {
    const [step, variant] = which.value.split(":");
    return { step: Number(step), variant_id: variant, ...(who.value ? { lead_id: who.value } : {}) };
  };
  const preview = actionButton(life, {
    label: "Show it",
    name: "preview",
    slot,
    run: async () => {
      shown.replaceChildren(...letter(await ask(life, "POST", `${path}/preview`, { body: wish() })));
    },
  });
  const root = make("section", { class: "trial", hidden: true }, make("h3", { text: "Try it" }), hint, make("div", { class: "fields" }, labelled("Text", which), labelled("As it reads for", who)), make("div", { class: "item-buttons" }, preview), slot, shown);
  if (mayChange) root.append(testEmail(life, path, me, wish));

  return {
    root,
    renew(steps) {
      root.hidden = steps.length === 0;
      hint.hidden = true;
      fill(which, textsOf(steps));
      shown.replaceChildren();
    },
    changed() {
      hint.hidden = !isChanged();
    },
  };
}

/** The form that sends it to somebody who wants to see it arrive. It asks for the accounts when it is opened. */
function testEmail(life, path, me, wish) {
  const account = choice("account_id", []);
  const to = input("to", { type: "email", required: true, value: me.user.email ?? "" });
  const slot = make("div", { class: "listing-notice" });
  const nobody = make("p", { class: "soft", hidden: true }, "There is no account that sends. ", make("a", { href: "/sending-accounts", text: "Add one" }), ".");
  const form = make("form", { class: "fields", "data-form": "test-email" }, labelled("To", to), labelled("Sent by", account), make("div", { class: "wide" }, submitButton("Send it")));
  const fold = make("details", { class: "part-of-page fold" }, make("summary", { text: "Send it to yourself" }), make("p", { class: "soft", text: "It counts against the cap of its account, and for no lead. Its link to leave takes nobody off a list." }), nobody, form, slot);
  onSubmit(life, form, slot, async () => {
    const { outcome, code, enhanced, said } = await ask(life, "POST", `${path}/test-emails`, { body: { ...wish(), to: to.value.trim(), account_id: account.value } });
    const words = [code, enhanced, said].filter(Boolean).join(" ");
    slot.replaceChildren(make("p", { role: "status", "data-outcome": outcome }, badge(outcome, KINDS[outcome] ?? ""), ` ${SAID[outcome] ?? ""} `, make("code", { text: words })));
  });
  life.on(fold, "toggle", async () => {
    if (!fold.open || account.childElementCount) return;
    const accounts = await everything(life, "/v1/sending-accounts");
    fill(account, accounts.map(({ id, address }) => [id, address]));
    nobody.hidden = accounts.length > 0;
    form.hidden = accounts.length === 0;
  });
  return fold;
}
