// What was written and not yet sent, per conversation, for as long as the tab lives. With it is kept the key of an
// attempt to send it, so that sending again after a lost answer or a reload is the same request to the server.

const PREFIX = "mainstay.draft.";
const slot = (conversation) => PREFIX + (conversation ?? "new");

/** `{text, key?, sent?}`: `key` belongs to the text `sent`. */
export function readDraft(conversation) {
  try {
    return JSON.parse(sessionStorage.getItem(slot(conversation))) ?? { text: "" };
  } catch {
    return { text: "" };
  }
}

export function writeDraft(conversation, draft) {
  try {
    if (draft.text) sessionStorage.setItem(slot(conversation), JSON.stringify(draft));
    else sessionStorage.removeItem(slot(conversation));
  } catch {
    // Storage is full or refused: the text is still in the field.
  }
}

/** Forgets every draft: the next person at this screen is somebody else. */
export function clearDrafts() {
  try {
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
    }
  } catch {
    // Nothing was kept.
  }
}
