// What tools did while a reply was made, under the reply.

import { make } from "./dom.js";

/** What a use is called while it goes on, and afterwards. */
const WORDS = {
  check_availability: ["Looking up free times", "Free times"],
  book_appointment: ["Booking", "Booking"],
  reschedule_appointment: ["Moving the appointment", "New time"],
  cancel_appointment: ["Cancelling the appointment", "Cancellation"],
  find_contact: ["Looking up the contact", "Contact"],
  take_message: ["Taking the message", "Message"],
  opening_hours: ["Looking up opening hours", "Opening hours"],
  search_knowledge: ["Looking in the documents", "Documents"],
};
const STATES = { refused: "not done", failed: "failed", unknown: "not known whether it was done" };

/** Draws the uses of a message into a list. */
export function drawUses(list, uses = []) {
  list.hidden = !uses.length;
  list.replaceChildren(...uses.map(lineOf));
}

function lineOf({ name, state, answer }) {
  const [doing, done] = WORDS[name] ?? [`Using ${name}`, name];
  if (state === "running") return make("li", { "data-state": state, text: `${doing} …` });
  const label = STATES[state] ? `${done} (${STATES[state]})` : done;
  return make("li", { "data-state": state }, make("strong", { text: label }), answer ? ` ${answer}` : "");
}
