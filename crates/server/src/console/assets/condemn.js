// The question whether a conversation is to be deleted, and what follows from a yes.

import { Problem } from "./api.js";
import { emit } from "./bus.js";
import { $, say } from "./dom.js";
import { showProblem } from "./notice.js";
import { talk } from "./talk.js";
import { remove } from "./writes.js";

/** Gives the function that asks about a conversation. `gone(id)` takes it from the list. */
export function condemner(part, gone) {
  const find = (selector) => $(selector, part.root);
  const dialog = find("#confirm-delete");
  let condemned = null;

  part.on(find("#confirm-no"), "click", () => dialog.close());
  part.on(dialog, "click", (event) => event.target === dialog && dialog.close());
  part.on(find("#confirm-yes"), "click", async () => {
    const { id } = condemned;
    const button = find("#confirm-yes");
    button.disabled = true;
    try {
      await remove(id, part.signal);
      gone(id);
      dialog.close();
      say("Deleted.");
      if (talk.id === id) emit("open", { id: null, replace: true });
      else find("#new-conversation").focus();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(part, find(".dialog-notice"), problem);
    } finally {
      button.disabled = false;
    }
  });

  return (item) => {
    condemned = item;
    find("#confirm-text").textContent = `“${item.title || "Untitled"}” and its messages will be gone for good.`;
    find(".dialog-notice").replaceChildren();
    dialog.showModal();
    find("#confirm-no").focus();
  };
}
