// Accounts that send by Gmail: the form of one, and the way to Google and back by which somebody signs in to it.

import { Problem } from "./api.js";
import { make, say } from "./dom.js";
import { actionButton, ask } from "./operator.js";
import { input, labelled, onSubmit, sheet, submitButton } from "./reception.js";

const FRESH = { address: "", sender_name: "", reply_to: null, dkim: null, daily_cap: 50, ramp_up: { start: 10, step: 5 }, gap_seconds: 60, domain_gap_seconds: 0, tracking_domain: null };
/** The most that Google takes in 24 hours. */
const MOST = 2000;

export const isGmail = ({ kind }) => kind === "gmail";

const numeric = (name, value, min, max, required = true) => input(name, { type: "number", min: String(min), max: String(max), required, value: String(value) });

/** Ends what was begun at Google, when the address says that somebody comes back from there. */
export async function comeBack(life) {
  const query = new URLSearchParams(location.search);
  const [state, code] = [query.get("state"), query.get("code")];
  if (!state || !(code || query.get("error"))) return;
  history.replaceState(null, "", location.pathname);
  if (!code) throw new Problem({ status: 409, code: "not_allowed", title: "Nobody was signed in", detail: "Google was not allowed to let this server send by the account." });
  const { address } = await ask(life, "POST", "/v1/gmail-sign-ins", { body: { state, code } });
  say(`${address} sends by Gmail.`);
}

async function goToGoogle(life, id) {
  const { authorization_url: url } = await ask(life, "POST", `/v1/sending-accounts/${id}/sign-in`);
  location.assign(url);
}

/** The button by which somebody signs in to an account, for the first time or again. */
export function signInButton(life, { id, address, has_password: isSignedIn }, slot) {
  const label = isSignedIn ? "Sign in again" : "Sign in at Google";
  const element = actionButton(life, { label, name: `sign-in-${id}`, slot, run: () => goToGoogle(life, id) });
  element.setAttribute("aria-label", `${label} (${address})`);
  return element;
}

/** A window with the form. `account` is null for a new one, which somebody signs in to when it is made. */
export function gmailSheet(life, account, done) {
  const known = account ?? FRESH;
  const { body, slot, close } = sheet(account ? account.address : "A new account at Gmail", "gmail");
  const fields = [
    labelled("Address", input("address", { type: "email", required: true, value: known.address, readonly: account !== null }), { hint: account ? "It never changes." : "Sign in at Google as this one. It never changes." }),
    labelled("Name beside it", input("sender_name", { maxlength: "200", value: known.sender_name })),
    labelled("Answers go to", input("reply_to", { type: "email", value: known.reply_to ?? "" }), { hint: "Empty: to the address itself, where they are read." }),
    labelled("At most in 24 hours", numeric("daily_cap", known.daily_cap, 0, MOST), { hint: "Google takes 2,000 at most, and less of accounts that nobody pays for." }),
    labelled("On the first day", numeric("start", known.ramp_up?.start ?? "", 0, MOST, false), { hint: "Empty: as much as on every day." }),
    labelled("More each day", numeric("step", known.ramp_up?.step ?? "", 0, MOST, false)),
    labelled("Seconds between two emails", numeric("gap_seconds", known.gap_seconds, 1, 86_400), { hint: "Up to three quarters more by chance." }),
    labelled("Seconds between two to one domain", numeric("domain_gap_seconds", known.domain_gap_seconds, 0, 86_400)),
    labelled("Name in links", input("tracking_domain", { spellcheck: "false", value: known.tracking_domain ?? "", placeholder: "links.example.com" }), { wide: true, hint: "Under which links are followed that are noted. Empty: the name of this server." }),
  ];
  const form = make("form", { class: "fields", "data-form": "gmail" }, ...fields, make("div", { class: "dialog-buttons wide" }, submitButton(account ? "Save" : "Add it and sign in")));
  onSubmit(life, form, slot, async () => {
    const value = (name) => form.elements[name].value.trim();
    const wish = {
      kind: "gmail",
      address: value("address"),
      sender_name: value("sender_name"),
      reply_to: value("reply_to") || null,
      dkim: known.dkim,
      ramp_up: value("start") ? { start: Number(value("start")), step: Number(value("step")) } : null,
      tracking_domain: value("tracking_domain") || null,
      ...Object.fromEntries(["daily_cap", "gap_seconds", "domain_gap_seconds"].map((name) => [name, Number(value(name))])),
    };
    if (account) {
      await ask(life, "PUT", `/v1/sending-accounts/${account.id}`, { body: wish });
      close();
      say("The account is saved.");
      return done();
    }
    const { id } = await ask(life, "POST", "/v1/sending-accounts", { body: wish });
    close();
    await done();
    return goToGoogle(life, id);
  });
  body.append(form);
  (account ? form.elements.sender_name : form.elements.address).focus();
}
