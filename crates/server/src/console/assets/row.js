// A row of the list of conversations, and the field in which its title is changed. Its listeners are its elements' own and
// go away with them: rows come and go while the part stays.

import { Problem } from "./api.js";
import { emit } from "./bus.js";
import { $, icon, make, say } from "./dom.js";
import { retitle } from "./talk.js";
import { rename } from "./writes.js";

/** `condemn(item)` asks whether to delete it; `redraw()` draws `list` anew. */
export function rowOf(part, item, { isCurrent, condemn, redraw, list }) {
  const title = item.title || "Untitled";
  const name = make("span", { class: "conversation-title", text: title, title });
  const link = make("a", { class: "conversation-link", href: `/?c=${encodeURIComponent(item.id)}`, "aria-current": isCurrent ? "page" : null }, name);
  if (item.waits) link.append(make("span", { class: "conversation-waits", text: "waits" }));
  const change = make("button", { type: "button", class: "icon-button", "data-action": "rename", "aria-label": `Rename “${title}”`, title: "Rename" }, icon("rename"));
  const remove = make("button", { type: "button", class: "icon-button", "data-action": "delete", "aria-label": `Delete “${title}”`, title: "Delete" }, icon("delete"));
  const element = make("li", { "data-conversation-id": item.id, class: isCurrent ? "current" : null }, link, change, remove);
  element.addEventListener("click", part.guard((event) => {
    if (link.contains(event.target)) {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      emit("open", { id: item.id, title: item.title });
    } else if (change.contains(event.target)) {
      edit(part, item, element, () => {
        redraw();
        $(`[data-conversation-id="${CSS.escape(item.id)}"] [data-action=rename]`, list)?.focus();
      });
    } else if (remove.contains(event.target)) {
      condemn(item);
    }
  }));
  return element;
}

function edit(part, item, element, done) {
  const input = make("input", { class: "rename-input", maxlength: 200, "aria-label": "New title", autocomplete: "off" });
  input.value = item.title;
  const error = make("p", { class: "field-error", role: "alert" });
  const save = make("button", { type: "submit", class: "button small primary", text: "Save" });
  const cancel = make("button", { type: "button", class: "button small", "data-action": "cancel-rename", text: "Cancel" });
  const form = make("form", { class: "rename", novalidate: true }, input, make("div", { class: "rename-buttons" }, save, cancel), error);
  const close = () => {
    form.remove();
    done();
  };
  cancel.addEventListener("click", part.guard(close));
  form.addEventListener("keydown", part.guard((event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // The drawer stays open.
    close();
  }));
  form.addEventListener("submit", part.guard(async (event) => {
    event.preventDefault();
    const title = input.value.trim();
    if (!title || title === item.title) return close();
    save.disabled = true;
    try {
      const changed = await rename(item.id, title, part.signal);
      Object.assign(item, changed ?? { title });
      retitle(item);
      say(changed ? "Renamed." : "The new title waits, and is sent when you are back.");
      close();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      error.textContent = problem.fields[0]?.detail ?? problem.detail;
      input.setAttribute("aria-invalid", "true");
      save.disabled = false;
      input.focus();
    }
  }));
  element.replaceChildren(form);
  input.select();
}
