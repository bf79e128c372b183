// Security: one's own password and sign-ins, whether one agrees to recordings of pages, and for administrators and operators the audit trail.

import { adopt } from "./api.js";
import { make, say } from "./dom.js";
import { actionButton, ask, begin, moment, trouble } from "./operator.js";
import { input, labelled, onSubmit, submitButton } from "./reception.js";

const PAGE = 50;
const EVERYWHERE = { title: "Sign out everywhere?", text: "All your sign-ins end, on all devices, this one too. API keys stay.", yes: "Sign out everywhere", danger: true };

function passwordForm(life) {
  const slot = make("div", { class: "listing-notice" });
  const secret = (name, autocomplete) => input(name, { type: "password", required: true, autocomplete, maxlength: "200" });
  const form = make(
    "form",
    { class: "fields", "data-form": "password" },
    labelled("Your password until now", secret("current_password", "current-password")),
    labelled("The new one", secret("new_password", "new-password"), { hint: "10 to 200 characters. All your other sign-ins end." }),
    make("div", { class: "wide" }, submitButton("Change the password")),
  );
  onSubmit(life, form, slot, async () => {
    const body = { current_password: form.elements.current_password.value, new_password: form.elements.new_password.value, session: "cookie" };
    adopt(await ask(life, "POST", "/v1/auth/password", { body }));
    form.reset();
    slot.replaceChildren(make("p", { class: "told", role: "status", text: "It is changed, and you are signed out everywhere else." }));
  });
  return make("section", { class: "apart", "aria-labelledby": "password-heading" }, make("h2", { id: "password-heading", text: "Password" }), form, slot);
}

function signIns(life) {
  const slot = make("div", { class: "listing-notice" });
  const leave = actionButton(life, { label: "Sign out everywhere …", name: "sign-out-everywhere", danger: true, ask: EVERYWHERE, slot, run: () => ask(life, "POST", "/v1/auth/sign-out-everywhere"), done: () => location.assign("/") });
  return make("section", { class: "apart", "aria-labelledby": "sign-ins-heading" }, make("h2", { id: "sign-ins-heading", text: "Sign-ins" }), make("p", { class: "soft", text: "Where somebody else may have your password or one of your devices." }), leave, slot);
}

const AGREEING = "What pages look like is recorded for whoever runs this installation, so that faults can be understood. Every letter of every text is replaced by an asterisk before it leaves this browser, and images are left out.";

/** Recordings of pages: whether somebody agrees, and taking it back. Nothing where the installation takes none. */
async function recordings(life) {
  const consent = await ask(life, "GET", "/v1/replay-consent");
  if (!consent.available) return [];
  const slot = make("div", { class: "listing-notice" });
  const stands = make("p", { role: "status", "data-recordings": "" });
  const { agree, withdraw } = await import("./replay.js");
  const yes = actionButton(life, { label: "I agree", name: "agree-to-recordings", slot, run: agree, done: () => draw(true, "You agree. This browser is recorded from now on.") });
  const again = actionButton(life, { label: "Record this browser too", name: "record-this-browser", slot, run: agree, done: () => draw(true, "This browser is recorded from now on.") });
  const no = actionButton(life, { label: "I do not agree any more", name: "withdraw-from-recordings", danger: true, slot, run: withdraw, done: () => draw(false, "Nothing is recorded any more, and what there was of you is removed.") });

  function draw(isGiven, told) {
    yes.hidden = isGiven;
    again.hidden = !isGiven || localStorage.getItem("mainstay.replay") !== null;
    no.hidden = !isGiven;
    stands.textContent = told;
  }
  draw(consent.given_at !== null, consent.given_at === null ? "You do not agree: nothing of you is recorded." : "You agree to recordings.");
  const all = consent.sample_percent > 0 ? `Of ${consent.sample_percent} in a hundred sessions all is sent, of the others only what is around an error.` : "Only what is around an error is sent.";
  const share = `${all} It is kept for ${consent.keep_days} days.`;
  const words = make("p", { class: "soft", text: `${AGREEING} ${share} It is for you to choose, and you can take it back here at any time.` });
  return [make("section", { class: "apart", "aria-labelledby": "recordings-heading" }, make("h2", { id: "recordings-heading", text: "Recordings of pages" }), words, stands, make("div", { class: "item-buttons" }, yes, again, no), slot)];
}

/** Who did it, in words. */
function doer(said, names) {
  if (!said) return "erased";
  const { person, api_key: key, login } = said.by ?? {};
  if (login) return `${login}, on the command line`;
  if (!person) return "nobody who is known";
  const name = names.get(person) ?? `person ${person.slice(0, 8)}`;
  return key ? `${name}, by a key` : name;
}

/** A chain, the last entry first, page by page. */
async function trail(life, { name, heading, path, about, names }) {
  const notice = make("div", { class: "listing-notice" });
  const rows = make("tbody");
  const table = make("table", { "data-trail": name }, make("caption", { class: "visually-hidden", text: heading }), make("thead", {}, make("tr", {}, ...["When", "What", "Who", "From"].map((text) => make("th", { scope: "col", text })))), rows);
  const more = make("button", { type: "button", class: "button small", "data-action": "more", text: "Show more" });
  let next = null;

  function row({ position, at, action, said }) {
    const what = make("th", { scope: "row", "data-label": "What" }, make("code", { text: action }));
    if (said?.path && said.path !== action.split(" ")[1]) what.append(" ", make("span", { class: "soft", text: said.path }));
    return make("tr", { "data-position": position }, make("td", { "data-label": "When" }, moment(at)), what, make("td", { "data-label": "Who", text: doer(said, names) }), make("td", { "data-label": "From", text: said?.address ?? "" }));
  }

  async function read(after) {
    try {
      const page = await ask(life, "GET", path, { query: { limit: PAGE, after } });
      rows.append(...page.data.map(row));
      ({ next } = page);
      more.hidden = next === null;
      if (after) say(`${rows.children.length} entries.`);
    } catch (problem) {
      trouble(life, notice, problem, () => read(after));
    }
  }
  more.addEventListener("click", life.guard(() => read(next)));
  await read(null);
  const id = `trail-${name}`;
  return make("section", { class: "apart", "aria-labelledby": id }, make("h2", { id, text: heading }), make("p", { class: "soft", text: about }), notice, make("div", { class: "listing" }, table), more);
}

/** What the members of the organisation are called. Of many only the first hundred: the others are told by their ids. */
async function memberNames(life) {
  const { data } = await ask(life, "GET", "/v1/members", { query: { limit: 100 } });
  return new Map(data.map(({ id, name, email }) => [id, name || email]));
}

begin("security", async (life, root) => {
  const { operator, role } = await ask(life, "GET", "/v1/me");
  root.append(passwordForm(life), signIns(life), ...(await recordings(life)));
  const names = role === "member" ? new Map() : await memberNames(life);
  if (role !== "member") root.append(await trail(life, { name: "organisation", heading: "Audit trail of the organisation", path: "/v1/audit-trail", about: "Who has signed in, and what owners and admins have changed. No entry can be changed or taken out unseen.", names }));
  if (operator) root.append(await trail(life, { name: "installation", heading: "Audit trail of the installation", path: "/v1/installation-audit-trail", about: "What operators and the command line have changed, and sign-ins that failed.", names }));
});
