// The part on which a person signs in or signs up.

import { Problem, adopt, call } from "./api.js";
import { emit } from "./bus.js";
import { $, say } from "./dom.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";

const SHORTEST_PASSWORD = 10;

export const authPart = new Part("auth", (part) => {
  const find = (selector) => $(selector, part.root);
  const forms = { "sign-in": find("#sign-in-form"), "sign-up": find("#sign-up-form") };

  function show(name) {
    for (const [other, form] of Object.entries(forms)) form.hidden = other !== name;
    const { email } = forms[name].elements;
    const typed = forms[name === "sign-in" ? "sign-up" : "sign-in"].elements.email.value;
    if (!email.value) email.value = typed;
    forms[name].querySelector("input").focus();
  }
  part.on(find("#show-sign-up"), "click", () => show("sign-up"));
  part.on(find("#show-sign-in"), "click", () => show("sign-in"));

  for (const button of part.root.querySelectorAll("[data-action=reveal]")) {
    part.on(button, "click", () => {
      const input = button.previousElementSibling;
      const shown = input.type === "text";
      input.type = shown ? "password" : "text";
      button.textContent = shown ? "Show" : "Hide";
      button.setAttribute("aria-pressed", String(!shown));
    });
  }

  for (const [name, form] of Object.entries(forms)) {
    part.on(form, "submit", (event) => {
      event.preventDefault();
      return submit(part, name, form);
    });
    for (const input of form.querySelectorAll("input")) part.on(input, "input", () => mark(input, ""));
  }
});

async function submit(part, name, form) {
  const button = form.querySelector("[type=submit]");
  if (button.disabled) return;
  const slot = form.querySelector(".form-notice");
  const { email, password, name: called } = form.elements;
  slot.replaceChildren();
  const faults = check(name, email.value.trim(), password.value);
  if (showFaults(form, faults)) return;
  const body = { email: email.value.trim(), password: password.value, session: "cookie" };
  if (called?.value.trim()) body.name = called.value.trim();
  button.disabled = true;
  let waits = false;
  try {
    const answer = await call("POST", `/v1/auth/${name}`, { body, open: true, signal: part.signal });
    adopt(answer);
    emit("entered", answer);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (showFaults(form, problem.fields)) return;
    if (problem.code === "email_taken" && showFaults(form, [{ field: "email", detail: problem.detail }])) return;
    waits = problem.retryAfter !== null;
    showProblem(part, slot, problem, { ready: () => (button.disabled = false) });
    if (problem.code === "wrong_credentials") password.select();
  } finally {
    button.disabled = waits;
  }
}

/** What can be said without asking the server. */
function check(name, email, password) {
  const faults = [];
  if (!/^\S+@\S+$/.test(email)) faults.push({ field: "email", detail: email ? "This does not look like an email address." : "Enter your email address." });
  if (!password) faults.push({ field: "password", detail: "Enter your password." });
  else if (name === "sign-up" && Array.from(password).length < SHORTEST_PASSWORD) {
    faults.push({ field: "password", detail: `Use at least ${SHORTEST_PASSWORD} characters.` });
  }
  return faults;
}

/** Shows each fault at its field and goes to the first. True when there was one with a field of this form. */
function showFaults(form, faults) {
  let first = null;
  for (const input of form.querySelectorAll("input")) {
    const fault = faults.find(({ field }) => field === input.name);
    mark(input, fault?.detail ?? "");
    if (fault) first ??= input;
  }
  first?.focus();
  if (first) say("The form has a fault. Look at the marked field.");
  return first !== null;
}

function mark(input, text) {
  input.toggleAttribute("aria-invalid", false);
  if (text) input.setAttribute("aria-invalid", "true");
  $(`#${input.id}-error`).textContent = text;
}
