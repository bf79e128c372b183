// The mailbox of an account that sends: whether it is read, its settings, and taking it away. It is asked for when it is opened,
// and again while it is open.

import { Problem } from "./api.js";
import { make, say } from "./dom.js";
import { actionButton, ask, badge, facts, moments, trouble, whileSeen } from "./operator.js";
import { choice, input, labelled, onSubmit, sheet, submitButton } from "./reception.js";
import { followLine } from "./sending-account.js";

const LOOK_MS = 8000;
const LINES = [
  ["tls", "TLS (port 993)"],
  ["start_tls", "STARTTLS (port 143)"],
  ["none", "not protected"],
];
const PORTS = { tls: 993, start_tls: 143, none: 143 };
const FRESH = { host: "", port: 993, security: "tls", user_name: "", folder: "INBOX" };
const STATES = { active: ["is read", "good"], paused: ["rests", ""], reconnect: ["not let in", "bad"] };
const REMOVE = { title: "Read it no more?", text: "Answers, bounces and complaints are not heard any more. Nothing in the mailbox changes.", yes: "Read it no more", danger: true };

/** A window with the settings. `mailbox` is null for a new one; `done` is called when they are stored. */
function mailboxSheet(life, path, address, mailbox, done) {
  const known = mailbox ?? { ...FRESH, user_name: address };
  const { body, slot, close } = sheet(`The mailbox of ${address}`, "mailbox");
  const kept = mailbox ? "Empty: the one that is there." : "Over a protected line only. It is sealed, and never shown.";
  const form = make(
    "form",
    { class: "fields", "data-form": "mailbox" },
    labelled("Server", input("host", { required: true, spellcheck: "false", value: known.host, placeholder: "imap.example.com" })),
    labelled("Line", choice("security", LINES, known.security)),
    labelled("Port", input("port", { type: "number", min: "1", max: "65535", required: true, value: String(known.port) })),
    labelled("Folder", input("folder", { required: true, spellcheck: "false", value: known.folder }), { hint: "That mail comes into." }),
    labelled("User name", input("user_name", { required: true, spellcheck: "false", value: known.user_name })),
    labelled("Password", input("password", { type: "password", autocomplete: "new-password", spellcheck: "false" }), { hint: kept }),
    make("p", { class: "field-hint wide", text: "What is in it already is not read, and nothing in it changes." }),
    make("div", { class: "dialog-buttons wide" }, submitButton(mailbox ? "Save" : "Have it read")),
  );
  const { security, port } = form.elements;
  followLine(form, PORTS);
  onSubmit(life, form, slot, async () => {
    const value = (name) => form.elements[name].value.trim();
    const secret = form.elements.password.value;
    const wish = { host: value("host"), port: Number(port.value), security: security.value, user_name: value("user_name"), folder: value("folder"), ...(secret ? { password: secret } : {}) };
    await ask(life, "PUT", path, { body: wish });
    close();
    say("It is read from now on.");
    await done();
  });
  body.append(form);
  form.elements.host.focus();
}

/** The part of an account's card about its mailbox. */
export function mailboxPart(life, { id, address }, mayChange) {
  const path = `/v1/sending-accounts/${id}/mailbox`;
  const slot = make("div", { class: "listing-notice" });
  const place = make("div", {});
  const summary = make("summary", { text: "Mailbox", "aria-label": `Mailbox (${address})` });
  const fold = make("details", { class: "fold mailbox", "data-part": "mailbox" }, summary, slot, place);
  let drawn = "";

  function draw(mailbox) {
    const text = JSON.stringify(mailbox);
    if (text === drawn) return;
    drawn = text;
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const change = make("button", { type: "button", class: "button small", "data-action": `mailbox-${id}`, "data-id": `mailbox-${id}`, text: mailbox ? "Change" : "Add its mailbox", "aria-label": `${mailbox ? "Change the mailbox" : "Add its mailbox"} (${address})` });
    change.addEventListener("click", () => mailboxSheet(life, path, address, mailbox, renew));
    const remove = actionButton(life, { label: "Remove", name: `remove-mailbox-${id}`, danger: true, ask: REMOVE, slot, run: () => ask(life, "DELETE", path), done: gone });
    remove.setAttribute("aria-label", `Remove the mailbox (${address})`);
    const buttons = mayChange ? [make("div", { class: "card-buttons" }, change, ...(mailbox ? [remove] : []))] : [];
    if (!mailbox) {
      place.replaceChildren(make("p", { class: "soft", text: "It has none: answers, bounces and complaints are not heard." }), ...buttons);
    } else {
      const [word, kind] = STATES[mailbox.state] ?? [mailbox.state, ""];
      const cure = mailbox.state === "reconnect" ? ". Correct the server, the user name or the password." : "";
      const why = mailbox.reason ? [make("p", { class: mailbox.state === "active" ? "soft" : "off", "data-part": "reason", text: `${mailbox.reason.replace(/\.$/, "")}${cure}` })] : [];
      const list = facts([
        ["Server", `${mailbox.host}:${mailbox.port}`],
        ["User name", mailbox.user_name],
        ["Folder", mailbox.folder],
        ["Last read to its end", mailbox.looked_at ? moments(mailbox.looked_at) : "not yet"],
      ]);
      place.replaceChildren(make("p", {}, badge(word, kind)), ...why, list, ...buttons);
    }
    if (focused) (place.querySelector(`[data-action="${CSS.escape(focused)}"]`) ?? summary).focus();
  }

  async function renew() {
    try {
      draw(await ask(life, "GET", path));
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
      draw(null);
    }
  }

  async function gone() {
    say("It is read no more.");
    await renew();
    place.querySelector("button")?.focus();
  }

  async function look() {
    if (!fold.open) return;
    try {
      await renew();
      slot.replaceChildren();
    } catch (problem) {
      trouble(life, slot, problem, look);
    }
  }
  life.on(fold, "toggle", look);
  whileSeen(life, LOOK_MS, look);
  return fold;
}
