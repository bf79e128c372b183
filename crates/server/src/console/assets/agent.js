// Who answers the phone: what the agent says and may do, and where the provider of the calls tells of them. For
// administrators.

import { Problem } from "./api.js";
import { make } from "./dom.js";
import { actionButton, ask, trouble } from "./operator.js";
import { input, labelled, onSubmit, submitButton, tick, toCopy } from "./reception.js";

const PROVIDER = "vapi";
const USUAL = { assistant_id: null, greeting: "", instructions: "", transfer_number: null, keep_days: 90, mask: { cards: true, emails: false, phones: false } };
const MASKS = { cards: "card numbers", emails: "email addresses", phones: "telephone numbers" };

function form(life, agent) {
  const slot = make("div", { class: "listing-notice" });
  const greeting = make("textarea", { name: "greeting", rows: "2", maxlength: "500" });
  const instructions = make("textarea", { name: "instructions", rows: "5", maxlength: "2000" });
  greeting.value = agent.greeting;
  instructions.value = agent.instructions;
  const all = make(
    "form",
    { class: "fields", "data-form": "agent" },
    labelled("Greeting", greeting, { hint: "What is said first.", wide: true }),
    labelled("Instructions", instructions, { hint: "How the agent is to behave, and what it is to know.", wide: true }),
    labelled("Passes callers on to", input("transfer_number", { type: "tel", value: agent.transfer_number ?? "" }), { hint: "Empty where nobody is there for that." }),
    labelled("Days that calls are kept", input("keep_days", { type: "number", min: 1, max: 3650, required: true, value: agent.keep_days })),
    make("fieldset", { class: "wide" }, make("legend", { text: "Replaced in what was said, before it is kept" }), ...Object.entries(MASKS).map(([name, label]) => tick(`mask_${name}`, label, agent.mask[name]))),
    labelled("Assistant made at the provider", input("assistant_id", { value: agent.assistant_id ?? "", spellcheck: "false" }), { hint: "Its id, in place of what is described here." }),
    make("div", { class: "wide" }, submitButton("Save the agent")),
  );
  onSubmit(life, all, slot, async () => {
    const value = (name) => all.elements[name].value.trim();
    const mask = Object.fromEntries(Object.keys(MASKS).map((name) => [name, all.elements[`mask_${name}`].checked]));
    const body = { mask, greeting: value("greeting"), instructions: value("instructions"), transfer_number: value("transfer_number") || null, keep_days: Number(value("keep_days")), assistant_id: value("assistant_id") || null };
    await ask(life, "PUT", "/v1/phone-agent", { body });
    slot.replaceChildren(make("p", { class: "told", role: "status", text: "The agent is saved. The next call hears it." }));
  });
  return make("div", {}, slot, all);
}

/** Where the provider tells of calls; a button that makes such an address where there is none. */
function addresses(life, sources, renew, made) {
  const slot = make("div", { class: "listing-notice" });
  const heading = make("h3", { text: "Address for the provider" });
  const rows = sources.map(({ name, url, disabled_at }) => toCopy(disabled_at ? `${name} (disabled)` : name, url));
  if (made?.secret) rows.push(toCopy("Secret, shown this once", made.secret));
  const hint = "Set it as the server URL at the provider, with the secret in its header.";
  if (rows.length) return [heading, make("p", { class: "soft", text: hint }), make("ul", { class: "rows" }, ...rows)];
  const button = actionButton(life, {
    label: "Make an address",
    name: "make-address",
    slot,
    run: async () => {
      made = await ask(life, "POST", "/v1/inbox-sources", { body: { name: "Phone calls", provider: PROVIDER } });
    },
    done: () => renew(made),
  });
  return [heading, slot, make("p", { class: "soft", text: "The provider of the calls has no address here yet." }), button];
}

/** The section, which asks when somebody opens it. */
export function agentSettings(life) {
  const body = make("div", { text: "Loading …" });
  const root = make("details", { class: "part-of-page only-list", "data-part": "agent" }, make("summary", { text: "Who answers the phone" }), body);

  async function agent() {
    try {
      return await ask(life, "GET", "/v1/phone-agent");
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 404) return USUAL;
      throw problem;
    }
  }

  async function draw(made = null) {
    try {
      const [known, { data }] = await Promise.all([agent(), ask(life, "GET", "/v1/inbox-sources", { query: { limit: 100 } })]);
      const sources = data.filter(({ provider }) => provider === PROVIDER);
      body.replaceChildren(form(life, known), ...addresses(life, sources, draw, made));
    } catch (problem) {
      trouble(life, body, problem, draw);
    }
  }

  life.on(root, "toggle", () => root.open && draw());
  return root;
}
