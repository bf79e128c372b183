// Emergency controls: what is set and when it ends, a form to set something, and the trail of who did what.

import { make, say } from "./dom.js";
import { ask, badge, begin, facts, moment, moments, sure, trouble, whileSeen } from "./operator.js";

const LOOK_MS = 10_000;
const TRAIL = 20;
const SPANS = [
  { label: "10 minutes", seconds: 600 },
  { label: "1 hour", seconds: 3600 },
  { label: "4 hours", seconds: 14_400 },
  { label: "1 day", seconds: 86_400 },
  { label: "7 days", seconds: 604_800 },
];

const path = (name) => `/v1/controls/${encodeURIComponent(name)}`;
const isSwitch = (known) => known.unit === null;
const valueOf = ({ value }) => (value === "off" ? badge("off", "bad") : badge(value, "live"));

function labelled(label, control, wide = false) {
  return make("label", { class: wide && "wide" }, label, control);
}

/** What one may choose from, and set it to. */
function setting(life, notice, done) {
  const name = make("select", { name: "name", required: true });
  const value = make("input", { name: "value", type: "text", inputmode: "numeric", autocomplete: "off", required: true });
  const seconds = make("select", { name: "seconds" }, ...SPANS.map((span) => make("option", { value: String(span.seconds), text: span.label, selected: span.seconds === 3600 })));
  const reason = make("input", { name: "reason", type: "text", minlength: "3", maxlength: "200", autocomplete: "off", required: true });
  const about = make("p", { class: "soft", id: "control-about" });
  const submit = make("button", { type: "submit", class: "button small", "data-action": "set", text: "Set" });
  name.setAttribute("aria-describedby", "control-about");
  const fields = [labelled("Control", name, true), labelled("Value", value), labelled("For", seconds), labelled("Reason", reason, true), submit];
  const form = make("form", { class: "filters", "aria-label": "Set a control" }, ...fields);
  let known = [];

  function choose() {
    const chosen = known.find((one) => one.name === name.value);
    if (!chosen) return;
    value.readOnly = isSwitch(chosen);
    value.value = isSwitch(chosen) ? "off" : "";
    const range = isSwitch(chosen) ? "It is set to off, and turned on again by clearing it." : `${chosen.least} to ${chosen.most} ${chosen.unit}.`;
    about.textContent = `${chosen.about} ${range}`;
  }

  /** The list comes with the first answer, and does not change while the page is open. */
  function offer(all) {
    if (known.length) return;
    known = all;
    name.replaceChildren(...all.map((one) => make("option", { value: one.name, text: one.name })));
    choose();
  }

  async function set() {
    const [which, what] = [name.value, value.value.trim()];
    const off = known.some((one) => one.name === which && isSwitch(one));
    const question = { title: `Turn ${which} off?`, text: `${about.textContent} It holds for all servers within five seconds.`, yes: "Turn it off", danger: true };
    if (off && !(await sure(question))) return;
    notice.replaceChildren();
    try {
      const body = { value: what, seconds: Number(seconds.value), reason: reason.value };
      const told = await ask(life, "PUT", path(which), { body });
      say(`${told.name} is ${told.value}.`);
      reason.value = "";
    } catch (problem) {
      trouble(life, notice, problem, set);
      return;
    }
    await done();
  }

  life.on(name, "change", choose);
  life.on(form, "submit", (event) => {
    event.preventDefault();
    life.run(set);
  });
  return { elements: [form, about], offer };
}

/** One that is set, with what clears it. */
function entry(life, notice, control, done) {
  const reason = make("input", { name: "reason", type: "text", minlength: "3", maxlength: "200", autocomplete: "off", required: true });
  const submit = make("button", { type: "submit", class: "button small", "data-action": `clear-${control.name}`, text: "Clear" });
  const form = make("form", { class: "filters", "aria-label": `Clear ${control.name}` }, labelled("Reason to clear it", reason, true), submit);
  const clear = async () => {
    notice.replaceChildren();
    try {
      await ask(life, "POST", `${path(control.name)}/clear`, { body: { reason: reason.value } });
      say(`${control.name} is cleared.`);
    } catch (problem) {
      trouble(life, notice, problem, clear);
      return;
    }
    await done();
  };
  // This listener goes away with its element.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    life.run(clear);
  });
  const list = facts([
    ["Ends", moments(control.expires_at)],
    ["Reason", control.reason],
    ["Set by", make("span", {}, `${control.author}, `, moment(control.set_at))],
    ["Set since", moment(control.since)],
  ]);
  return make("section", { class: "card", "data-control": control.name }, make("h2", {}, control.name, " ", valueOf(control)), list, form);
}

function change(one) {
  const what = one.new_value === null ? "cleared" : `set to ${one.new_value}`;
  const before = one.old_value === null ? "" : ` (it was ${one.old_value})`;
  const until = one.expires_at ? make("span", {}, ", ends ", moment(one.expires_at)) : "";
  return make("li", { "data-change": one.name }, make("strong", { text: one.name }), ` ${what}${before}`, until, make("p", { class: "soft" }, `${one.author}, `, moment(one.at), `: ${one.reason}`));
}

begin("controls", async (life, root) => {
  const notice = make("div", { class: "listing-notice" });
  const standing = make("div", { class: "counts", id: "controls" });
  const trail = make("ol", { class: "attempts", id: "control-changes" });
  const form = setting(life, notice, look);

  async function look() {
    const { data, known } = await ask(life, "GET", "/v1/controls");
    form.offer(known);
    const none = make("p", { class: "soft nothing", text: "Nothing is set: the settings hold." });
    standing.replaceChildren(...(data.length ? data.map((control) => entry(life, notice, control, look)) : [none]));
    await lookBack();
  }

  async function lookBack() {
    const { data } = await ask(life, "GET", `/v1/controls/changes?limit=${TRAIL}`);
    trail.replaceChildren(...data.map(change));
  }

  await look();
  root.append(notice, standing, make("h2", { class: "part", text: "Set a control" }), ...form.elements, make("h2", { class: "part", text: "Changes" }), trail);
  whileSeen(life, LOOK_MS, async (tick) => {
    // Whoever is just clearing one keeps what they type.
    if (tick === 0 || standing.contains(document.activeElement)) return;
    try {
      await look();
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  });
});
