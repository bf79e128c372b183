// One appointment in full: what it is, and what becomes of it.

import { make, say } from "./dom.js";
import { actionButton, ask, badge, facts, trouble } from "./operator.js";
import { moveSheet } from "./booking.js";
import { labelled, onSubmit, sheet } from "./reception.js";

export const WORDS = { held: "held", booked: "booked", confirmed: "confirmed", cancelled: "cancelled", no_show: "did not come", done: "done" };
const KINDS = { held: "live", booked: "live", confirmed: "good", cancelled: "", no_show: "bad", done: "" };
/** What may become of an appointment in each state, as the server has it. */
const NEXT = { held: ["cancelled"], booked: ["confirmed", "done", "no_show", "cancelled"], confirmed: ["done", "no_show", "cancelled"], done: ["no_show"], no_show: ["done"], cancelled: [] };
const LABELS = { confirmed: "Confirm", done: "Done", no_show: "Did not come", cancelled: "Cancel it" };

/** Of what somebody is told by text message, and what becomes of such a message. */
export const TOLD = { confirmation: "That it was made", moved: "That it was moved", cancelled: "That it is cancelled", reminder: "A reminder" };
export const TEXT_KINDS = { delivered: "good", read: "good", undelivered: "bad", failed: "bad", unknown: "live", sending: "live" };

export const stateBadge = ({ state }) => badge(WORDS[state] ?? state, KINDS[state]);

/** Whether it may still take place, and be moved. */
export const isAhead = ({ state }) => ["held", "booked", "confirmed"].includes(state);

/** Opens an appointment. `changed()` is called, and waited for, after each change. */
export function appointmentSheet(life, desk, appointment, changed) {
  const service = desk.service(appointment.service_id);
  const { body, slot, close } = sheet(service?.name ?? "Appointment", "appointment");
  let texts = [];

  const patch = async (change) => {
    const now = await ask(life, "PATCH", `/v1/appointments/${appointment.id}`, { body: change });
    appointment = now;
    draw();
    await changed();
  };

  function button(state) {
    const question = { title: "Cancel this appointment?", text: "Its time is free for somebody else at once. It cannot be taken back.", yes: "Cancel it", danger: true };
    return actionButton(life, {
      label: LABELS[state],
      name: state,
      danger: state === "cancelled",
      ask: state === "cancelled" ? question : null,
      slot,
      run: () => patch({ state }),
      done: () => say(`It is ${WORDS[state]} now.`),
    });
  }

  function moveButton() {
    const move = make("button", { type: "button", class: "button small", "data-action": "move", text: "Move" });
    move.addEventListener("click", () => {
      close();
      moveSheet(life, desk, appointment, changed);
    });
    return move;
  }

  function noteForm() {
    const note = make("textarea", { name: "note", rows: "3", maxlength: "2000" });
    note.value = appointment.note;
    const form = make("form", { class: "fields" }, labelled("Note", note, { wide: true }), make("div", { class: "wide" }, make("button", { type: "submit", class: "button small", text: "Save the note" })));
    onSubmit(life, form, slot, async () => {
      await patch({ note: note.value });
      say("The note is saved.");
    });
    return form;
  }

  function who() {
    const { contact_id: id } = appointment;
    if (!id) return "nobody yet";
    const link = make("a", { href: `/contacts?id=${encodeURIComponent(id)}`, text: desk.contacts.name(id) ?? "Contact" });
    return link;
  }

  /** The text messages about it, the first first. */
  function told() {
    if (texts.length === 0) return [];
    const row = ({ reason, due_at: due, state, body: words, error }) =>
      make("li", {}, badge(state, TEXT_KINDS[state] ?? ""), make("span", { text: ` ${TOLD[reason] ?? reason}, ${desk.zone.full(due)}`, title: error ?? words ?? "" }));
    return [make("section", { class: "told" }, make("h3", { text: "Text messages" }), make("ul", {}, ...texts.map(row)), make("a", { href: `/texts?appointment_id=${encodeURIComponent(appointment.id)}`, text: "What became of them" }))];
  }

  function draw() {
    const ends = desk.zone.time(appointment.ends_at);
    const list = facts([
      ["When", `${desk.zone.full(appointment.starts_at)} to ${ends}`],
      ["With", desk.staffName(appointment.staff_id)],
      ["For", who()],
      ["State", stateBadge(appointment)],
      ["Held until", appointment.state === "held" && appointment.expires_at ? desk.zone.full(appointment.expires_at) : null],
    ]);
    const buttons = (NEXT[appointment.state] ?? []).map(button);
    if (isAhead(appointment)) buttons.push(moveButton());
    const hadFocus = body.contains(document.activeElement);
    body.replaceChildren(list, make("div", { class: "item-buttons" }, ...buttons), ...told(), noteForm());
    if (hadFocus) body.querySelector("button, textarea").focus();
  }

  draw();
  // What is shown may be a moment old, and who comes need not be known by name yet.
  life.run(async () => {
    try {
      appointment = await ask(life, "GET", `/v1/appointments/${appointment.id}`);
      await desk.contacts.read(life, [appointment.contact_id]);
      const page = await ask(life, "GET", `/v1/text-messages?appointment_id=${appointment.id}&limit=20`);
      texts = page.data.reverse();
      const isWriting = body.contains(document.activeElement) && document.activeElement.matches("textarea");
      if (!isWriting) draw();
    } catch (problem) {
      trouble(life, slot, problem);
    }
  });
}
