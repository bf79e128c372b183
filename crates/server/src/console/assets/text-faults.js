// What went wrong with a text message, and what somebody can do about it: the provider's codes and our own reasons in words.

const PERMITTED = "Allow messages to the country in Twilio's settings (Messaging, Geographic permissions).";
const SENDER = "Name a number of this account that can send text messages in the settings.";
const NUMBER = "Correct the number of the contact, or call.";
const REACH = "The telephone may be off or out of reach. Call, or try another number.";
const REGISTER = "Register the number with Twilio for messages from programs (A2P 10DLC, or toll-free verification).";

/** By the provider's code. What is not here is told as the provider tells it, with a link to its own words. */
const CURES = {
  20003: "Check the account in the settings, and the auth token of its sender.",
  21211: NUMBER,
  21265: NUMBER,
  21408: PERMITTED,
  21606: SENDER,
  21608: "An account on trial sends to verified numbers only: verify the number at Twilio, or pay for the account.",
  21610: "Whoever has this number has written STOP. They get messages again once they write START.",
  21612: "Twilio cannot send from this number to that one: name another number or a messaging service in the settings.",
  21614: "It is no number of a mobile telephone. Correct the number of the contact, or call.",
  21617: "It is too long. Shorten the wording in the settings.",
  21659: SENDER,
  21660: SENDER,
  21703: "The messaging service has no number yet. Add one at Twilio.",
  30003: REACH,
  30004: "The network does not take it: the number may be blocked, or wants no messages. Call.",
  30005: NUMBER,
  30006: "It is a landline, or cannot be reached by text message. Call.",
  30007: "The network took it for advertising. Change the wording in the settings, and register the number with Twilio.",
  30008: REACH,
  30032: REGISTER,
  30034: REGISTER,
};

/** By what the server says of a message that it has not sent. */
const OURS = [
  ["switched off", "Switch them on in the settings, for those that come after."],
  ["sender of the kind twilio", "Choose a sender in the settings, for those that come after."],
  ["no number", "Give the contact a number, for those that come after."],
  ["wants no text messages", "Whoever has this number has written STOP. They get messages again once they write START."],
  ["refuses the account", "Check the account in the settings, and the auth token of its sender. It is tried again for two days."],
];

/** What the provider answered, without the form of it: it is JSON with a `message` where Twilio itself has refused. */
function words(error) {
  const brace = error.indexOf("{");
  if (brace < 0) return error;
  try {
    const { message } = JSON.parse(error.slice(brace));
    return typeof message === "string" ? `${error.slice(0, brace)}${message}` : error;
  } catch {
    return error;
  }
}

/** What went wrong with a message, in words: `{said, code, cure}`, each of them null where there is none; null when nothing did. */
export function faultOf({ error, error_code: code }) {
  if (!error && !code) return null;
  const ours = OURS.find(([part]) => error?.includes(part));
  return { said: error ? words(error) : null, code, cure: CURES[code] ?? ours?.[1] ?? null };
}

/** Where the provider says more of a code. */
export const helpOf = (code) => `https://www.twilio.com/docs/api/errors/${encodeURIComponent(code)}`;
