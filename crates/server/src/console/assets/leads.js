// The leads of a campaign: all of them, one with what was sent to it, and adding one by hand.

import { Problem } from "./api.js";
import { make, say } from "./dom.js";
import { emailLine } from "./emails.js";
import { listing } from "./listing.js";
import { actionButton, ask, badge, facts, moment, moments, trouble, whileSeen } from "./operator.js";
import { everything, faults, input, labelled, onSubmit, sheet, submitButton } from "./reception.js";
import { fileName, saveFile } from "./save-file.js";

const LOOK_MS = 10_000;
const KINDS = { new: "", active: "live", finished: "good", replied: "good", unsubscribed: "bad", bounced: "bad", complained: "bad", stopped: "" };
const GOES_ON = new Set(["new", "active"]);
const OWN = /^custom\./;
const FILTERS = [
  { name: "query", label: "Address, name or company", wide: true },
  { name: "state", label: "State", options: Object.keys(KINDS) },
  {
    name: "sort",
    label: "Order",
    usual: "newest first",
    options: [
      { value: "created_at", label: "oldest first" },
      { value: "email", label: "address, A to Z" },
      { value: "-email", label: "address, Z to A" },
    ],
  },
];
const ADDED = {
  added: "It is added.",
  duplicate: "Its address is in this campaign already. Nothing was changed.",
  suppressed: "It is added and not written to: its address or domain is on the suppression list.",
};

const stateOf = ({ state }) => badge(state, KINDS[state] ?? "");
const personOf = ({ fields }) => [fields.first_name, fields.last_name].filter(Boolean).join(" ");

/** What was sent to leads: each keeps its place on the page while the lead is drawn anew. */
function sentTo(life, campaign) {
  const places = new Map();
  return ({ id }) => {
    if (!places.has(id)) places.set(id, make("ol", { class: "attempts", "data-part": "sent" }, make("li", { class: "soft", text: "Loading …" })));
    const place = places.get(id);
    const look = async () => {
      try {
        const emails = await everything(life, "/v1/emails", { campaign_id: campaign, lead_id: id });
        place.replaceChildren(...(emails.length ? emails.map(emailLine) : [make("li", { class: "soft", text: "Nothing yet." })]));
      } catch (problem) {
        const item = make("li", {});
        place.replaceChildren(item);
        trouble(life, item, problem, look);
      }
    };
    life.run(look);
    return place;
  };
}

function detail(lead, sent) {
  const known = { first_name: "First name", last_name: "Last name", company: "Company" };
  const own = Object.entries(lead.fields).filter(([name]) => !(name in known));
  const list = facts([
    ...Object.entries(known).map(([name, label]) => [label, lead.fields[name]]),
    ["Time zone", lead.time_zone],
    ["Step", lead.step === 0 ? "before the first" : lead.step],
    ["Added", moments(lead.created_at)],
    ["Changed", moments(lead.updated_at)],
    ...own.map(([name, value]) => [name.replace(OWN, ""), value]),
  ]);
  return [make("h2", {}, lead.email, " ", stateOf(lead)), list, make("h3", { text: "What was sent" }), sent(lead)];
}

/** `job_title: Engineer` line by line, as fields of the organisation's own. */
function ownFields(control) {
  const fields = {};
  for (const line of control.value.split("\n").filter((one) => one.trim())) {
    const at = line.indexOf(":");
    if (at < 1) throw new Problem({ status: 400, code: "invalid_input", fields: [{ field: control.name, detail: `Write a name, a colon and a value on each line. This has no colon: ${line.slice(0, 60)}` }] });
    fields[`custom.${line.slice(0, at).trim().replace(OWN, "")}`] = line.slice(at + 1).trim();
  }
  return fields;
}

function addSheet(life, path, zone, done) {
  const { body, slot, close } = sheet("A new lead", "lead");
  const own = make("textarea", { name: "fields", rows: "3", spellcheck: "false", placeholder: "job_title: Engineer" });
  const form = make(
    "form",
    { class: "fields", "data-form": "lead" },
    labelled("Email", input("email", { type: "email", required: true }), { wide: true }),
    labelled("First name", input("first_name", { maxlength: "200" })),
    labelled("Last name", input("last_name", { maxlength: "200" })),
    labelled("Company", input("company", { maxlength: "200" })),
    labelled("Time zone", input("time_zone", { spellcheck: "false", placeholder: zone }), { hint: "Empty: that of the campaign." }),
    labelled("Fields of your own", own, { wide: true, hint: "One on each line. Texts name them as {{custom.job_title}}." }),
    make("div", { class: "dialog-buttons wide" }, submitButton("Add it")),
  );
  const send = async () => {
    const value = (name) => form.elements[name].value.trim();
    const named = ["first_name", "last_name", "company"].filter(value).map((name) => [name, value(name)]);
    const lead = { email: value("email"), fields: { ...Object.fromEntries(named), ...ownFields(own) }, ...(value("time_zone") ? { time_zone: value("time_zone") } : {}) };
    const { data } = await ask(life, "POST", path, { body: { leads: [lead] } });
    close();
    await done(data[0]);
  };
  onSubmit(life, form, slot, send, (problem) => {
    if (!(problem instanceof Problem) || !problem.fields.length) return false;
    faults(life, form, slot, problem);
    return true;
  });
  body.append(form);
  form.elements.email.focus();
}

export async function leads(life, root, { id, path, known, mayChange }) {
  const zone = known.campaign.time_zone;
  const isOver = known.campaign.state === "stopped";
  const told = make("p", { class: "told", role: "status" });
  const add = make("button", { type: "button", class: "button small primary", "data-action": "add-lead", text: "Add a lead" });
  const below = make("div", {});
  const sent = sentTo(life, id);
  const list = listing(life, below, {
    path: `${path}/leads`,
    one: "/v1/leads",
    keep: { campaign: id, part: "leads" },
    nouns: ["lead", "leads"],
    filters: FILTERS,
    columns: [
      { label: "Email", cell: ({ email }) => email, main: true },
      { label: "Name", cell: (lead) => personOf(lead) || "–" },
      { label: "Company", cell: ({ fields }) => make("span", { class: "cut", title: fields.company, text: fields.company ?? "–" }) },
      { label: "State", cell: stateOf },
      { label: "Step", cell: ({ step }) => String(step) },
      { label: "Added", cell: ({ created_at: at }) => moment(at) },
    ],
    detail: (lead) => detail(lead, sent),
    actions: (lead) => {
      if (!mayChange || !GOES_ON.has(lead.state)) return [];
      const question = { title: "Stop this lead?", text: "Nothing more is written to it in this campaign, but for what is in flight at this moment. That cannot be undone.", yes: "Stop it", danger: true };
      return [{ label: "Stop this lead", name: "stop-lead", danger: true, ask: question, path: `/v1/leads/${lead.id}/stop`, said: () => "It is stopped." }];
    },
    lasts: ({ state }) => GOES_ON.has(state),
  });
  const slot = make("div", { class: "listing-notice" });
  const save = () => saveFile(`${path}/leads.csv`, `${fileName(known.campaign.name)}-leads.csv`);
  const file = actionButton(life, { label: "Download all as a table", name: "leads-file", slot, run: save });
  root.append(make("div", { class: "bulk only-list" }, ...(mayChange && !isOver ? [add] : []), file), slot, told, below);
  life.on(add, "click", () =>
    addSheet(life, `${path}/leads`, zone, async ({ outcome }) => {
      told.textContent = ADDED[outcome] ?? outcome;
      say(told.textContent);
      await list.renew();
    }),
  );
  await list.open();
  whileSeen(life, LOOK_MS, (tick) => (tick > 0 ? list.renew() : undefined));
}
