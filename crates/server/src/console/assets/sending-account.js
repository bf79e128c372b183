// The form of an account that sends by SMTP: a new one, or one that is changed. What is secret is never shown; left empty, it
// stays as it is.

import { make, say } from "./dom.js";
import { ask } from "./operator.js";
import { rampPlot } from "./plot.js";
import { choice, input, labelled, onSubmit, sheet, submitButton, tick } from "./reception.js";

const LINES = [
  ["start_tls", "STARTTLS (port 587)"],
  ["tls", "TLS (port 465)"],
  ["none", "not protected"],
];
const PORTS = { start_tls: 587, tls: 465, none: 25 };
/** How wide the window is, about. */
const ROOM = Math.min(580, innerWidth - 70);
const FRESH = { address: "", sender_name: "", reply_to: null, host: "", port: 587, security: "start_tls", user_name: "", has_password: false, dkim: null, daily_cap: 50, ramp_up: { start: 10, step: 5 }, gap_seconds: 60, domain_gap_seconds: 0, connections: 1, tracking_domain: null, cap_now: 10 };

const numeric = (name, value, min, max) => input(name, { type: "number", min: String(min), max: String(max), required: true, value: String(value) });

function basics(known, isNew) {
  const address = input("address", { type: "email", required: true, value: known.address, readonly: !isNew });
  const kept = known.has_password ? "Empty: the one that is there." : "Over a protected line only. It is sealed, and never shown.";
  return [
    labelled("Address", address, { hint: isNew ? "It sends from this, and it never changes." : "It never changes." }),
    labelled("Name beside it", input("sender_name", { maxlength: "200", value: known.sender_name })),
    labelled("Answers go to", input("reply_to", { type: "email", value: known.reply_to ?? "" }), { hint: "Empty: to the address itself." }),
    labelled("Server", input("host", { required: true, spellcheck: "false", value: known.host, placeholder: "smtp.example.com" })),
    labelled("Line", choice("security", LINES, known.security)),
    labelled("Port", numeric("port", known.port, 1, 65_535)),
    labelled("User name", input("user_name", { spellcheck: "false", value: known.user_name })),
    labelled("Password", input("password", { type: "password", autocomplete: "new-password", spellcheck: "false" }), { hint: kept }),
  ];
}

/** How much it may send, with a drawing of the days in which it warms up. */
function caps(known) {
  const cap = numeric("daily_cap", known.daily_cap, 0, 1_000_000);
  const start = numeric("start", known.ramp_up?.start ?? 10, 0, 1_000_000);
  const step = numeric("step", known.ramp_up?.step ?? 5, 0, 1_000_000);
  const ramps = tick("ramps", "It warms up: few at first, and more each day", known.ramp_up !== null);
  const drawing = make("div", { class: "wide plot-place" });
  const inside = [labelled("On the first day", start), labelled("More each day", step), drawing];
  const isOn = ramps.querySelector("input");
  const draw = () => {
    for (const part of inside) part.hidden = !isOn.checked;
    for (const control of [start, step]) control.disabled = !isOn.checked;
    const [most, from, more] = [cap, start, step].map(({ value }) => Math.max(0, Number(value) || 0));
    drawing.replaceChildren(rampPlot({ start: Math.min(from, most), step: more }, most, Math.min(most, known.cap_now), ROOM));
  };
  const group = make("fieldset", { class: "fields" }, make("legend", { text: "How much it sends" }), labelled("At most in 24 hours", cap), ramps, ...inside, labelled("Seconds between two emails", numeric("gap_seconds", known.gap_seconds, 0, 86_400), { hint: "Up to three quarters more by chance." }), labelled("Seconds between two to one domain", numeric("domain_gap_seconds", known.domain_gap_seconds, 0, 86_400)), labelled("Connections at once", numeric("connections", known.connections, 1, 20)));
  group.addEventListener("input", draw);
  draw();
  return { group, read: () => (isOn.checked ? { start: Number(start.value), step: Number(step.value) } : null) };
}

function signing(known) {
  const selector = input("selector", { spellcheck: "false", value: known.dkim?.selector ?? "" });
  const domain = input("domain", { spellcheck: "false", value: known.dkim?.domain ?? "" });
  const key = make("textarea", { name: "dkim", rows: "4", spellcheck: "false", autocomplete: "off", placeholder: "The private key, in PEM" });
  const fields = [labelled("Selector", selector), labelled("Domain", domain), labelled("Private key", key, { wide: true, hint: known.dkim ? "In PEM. Empty: the one that is there." : "In PEM: RSA of 2048 bits or more, or Ed25519. It is sealed, and never shown." })];
  const fold = make("details", { class: "fold wide" }, make("summary", { text: "Sign with a key of ours (DKIM)" }), make("p", { class: "field-hint", text: "Empty: the server of the account signs." }), make("div", { class: "fields" }, ...fields));
  fold.open = known.dkim !== null;
  const read = () => (selector.value.trim() || domain.value.trim() ? { selector: selector.value.trim(), domain: domain.value.trim(), ...(key.value.trim() ? { private_key: key.value } : {}) } : null);
  return { fold, read };
}

/** The port of a form follows how its line is protected, as long as it is one of the usual ones. */
export function followLine({ elements: { security, port } }, ports) {
  security.addEventListener("change", () => {
    if (Object.values(ports).includes(Number(port.value))) port.value = String(ports[security.value]);
  });
}

/** A window with the form. `account` is null for a new one; `done` is called when it is stored. */
export function accountSheet(life, account, done) {
  const known = account ?? FRESH;
  const { body, slot, close } = sheet(account ? account.address : "A new account", "account");
  const much = caps(known);
  const dkim = signing(known);
  const links = input("tracking_domain", { spellcheck: "false", value: known.tracking_domain ?? "", placeholder: "links.example.com" });
  const form = make("form", { class: "fields", "data-form": "account" }, ...basics(known, account === null), much.group, labelled("Name in links", links, { wide: true, hint: "Under which links are followed that are noted: it leads to this server, by HTTPS. Empty: the name of this server." }), dkim.fold, make("div", { class: "dialog-buttons wide" }, submitButton(account ? "Save" : "Add it")));
  const { security, port } = form.elements;
  followLine(form, PORTS);
  onSubmit(life, form, slot, async () => {
    const value = (name) => form.elements[name].value.trim();
    const secret = form.elements.password.value;
    const wish = {
      address: value("address"),
      sender_name: value("sender_name"),
      reply_to: value("reply_to") || null,
      host: value("host"),
      security: security.value,
      user_name: value("user_name"),
      ...(secret ? { password: secret } : {}),
      dkim: dkim.read(),
      ramp_up: much.read(),
      tracking_domain: links.value.trim() || null,
      ...Object.fromEntries(["port", "daily_cap", "gap_seconds", "domain_gap_seconds", "connections"].map((name) => [name, Number(value(name))])),
    };
    if (account) await ask(life, "PUT", `/v1/sending-accounts/${account.id}`, { body: wish });
    else await ask(life, "POST", "/v1/sending-accounts", { body: wish });
    close();
    say("The account is saved.");
    await done();
  });
  body.append(form);
  (account ? form.elements.sender_name : form.elements.address).focus();
}
