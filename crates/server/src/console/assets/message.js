// What one message looks like, and how it changes while its reply is made.

import { copy, icon, make, say, shortTime } from "./dom.js";
import { imagesOf } from "./images.js";
import { drawUses } from "./uses.js";

/** The view of a message: `element`, `update()`, `grow()`. `act` = what its buttons do: {retry, again, rewrite, drop}. */
export class MessageView {
  #part;
  #content;
  #uses;
  #notice;
  #tools;
  #time;
  /** The blocks that are drawn, as they came. */
  #blocks = [];
  #cancelFrame = null;
  #onPaint;

  constructor(part, message, act, onPaint) {
    this.#part = part;
    this.#onPaint = onPaint;
    this.message = message;
    const mine = message.role === "user";
    const heading = make("h2", { class: "visually-hidden", text: mine ? "You said" : "Mainstay replied" });
    this.#content = make("div", { class: "message-content" });
    // One for all blocks of code: while a reply grows they come and go.
    part.on(this.#content, "click", ({ target }) => {
      const button = target.closest("[data-action=copy-code]");
      if (button) copied(part, button, button.closest(".code").querySelector("pre").textContent);
    });
    this.#uses = make("ul", { class: "message-uses", "aria-label": "What was looked up and done" });
    this.#notice = make("div", { class: "message-notice" });
    part.on(this.#notice, "click", ({ target }) => {
      const action = target.closest("button")?.dataset.action;
      if (action) return act[action](this.message);
    });
    this.#time = make("time", { datetime: message.created_at ?? "", text: shortTime(message.created_at) });
    const button = make("button", { type: "button", class: "tool", "data-action": "copy-message", "aria-label": mine ? "Copy your message" : "Copy the reply" }, icon("copy"), make("span", { text: "Copy" }));
    part.on(button, "click", () => copied(part, button, this.message.content));
    this.#tools = make("div", { class: "message-tools" }, button, this.#time);
    const images = message.images?.length ? [imagesOf(part, message.images)] : [];
    this.element = make("article", { class: "message", "data-role": message.role }, heading, ...images, this.#content, this.#uses, this.#notice, this.#tools);
    this.update();
  }

  /** Draws the message as it now is. */
  update() {
    const { message, element } = this;
    this.#cancelFrame?.();
    this.#cancelFrame = null;
    element.dataset.messageId = message.id;
    element.dataset.status = message.status;
    const live = message.status === "streaming" && !message.lost;
    element.setAttribute("aria-busy", String(live));
    element.classList.toggle("live", live);
    this.#draw();
    drawUses(this.#uses, message.tools);
    this.#content.hidden = !live && !message.content && !message.html;
    this.#tools.hidden = message.status === "streaming" || !message.content;
    this.#explain();
  }

  /** Draws what has been added to the reply, at most once a frame. */
  grow() {
    this.#cancelFrame ??= this.#part.frame(() => {
      this.#cancelFrame = null;
      this.#draw();
      this.#onPaint();
    });
  }

  /** The text. Blocks that have not changed stay as they are, and with them what is selected in them. */
  #draw() {
    const { html, content } = this.message;
    this.#content.classList.toggle("plain", !html);
    if (!html) {
      this.#blocks = [];
      this.#content.replaceChildren(content ?? "");
      return;
    }
    if (!this.#blocks.length) this.#content.replaceChildren();
    const blocks = blocksOf(html);
    const changed = blocks.findIndex((block, at) => !block.isEqualNode(this.#blocks[at] ?? null));
    const kept = changed < 0 ? blocks.length : changed;
    while (this.#content.children.length > kept) this.#content.lastElementChild.remove();
    this.#content.append(...blocks.slice(kept).map((block) => equipped(block.cloneNode(true))));
    this.#blocks = blocks;
  }

  /** Why the reply is not whole, and what can be done about it. */
  #explain() {
    const { message } = this;
    const said = reason(message);
    this.#notice.replaceChildren();
    if (!said) return;
    const line = make("p", {}, make("strong", { text: said.title }), said.detail ? ` ${said.detail}` : "");
    if (said.id) line.append(" Request ", make("code", { text: said.id }), ".");
    this.#notice.append(line);
    const buttons = (said.actions ?? []).map((action) => make("button", { type: "button", class: "button small", "data-action": action, text: LABELS[action] }));
    this.#notice.append(make("div", { class: "message-buttons" }, ...buttons));
  }
}

const LABELS = { retry: "Reconnect", again: "Ask again", rewrite: "Write it again", drop: "Drop it" };

function reason({ role, status, error, lost }) {
  if (status === "waiting") return { title: "Waits to be sent." };
  if (status === "refused") return { title: "Not sent.", detail: error?.detail ?? "", actions: ["rewrite", "drop"] };
  if (role !== "assistant") return null;
  if (lost) return { title: "Connection lost.", detail: lost.problem.detail, id: lost.problem.faultId, actions: ["retry"] };
  const detail = error?.detail ?? "";
  const id = error?.faultId;
  switch (status) {
    case "final":
      return detail ? { title: "Not whole.", detail } : null;
    case "stopped":
      return { title: "Stopped.", detail: "What had arrived is kept." };
    case "interrupted":
      return { title: "Cut short.", detail: detail || "What had arrived is kept.", id, actions: ["again"] };
    case "failed":
      return { title: "No reply came.", detail, id, actions: ["again"] };
    default:
      return null;
  }
}

/** The blocks of the server's HTML. What a reply wrote in HTML of its own comes as bare text. */
function blocksOf(html) {
  const { body } = new DOMParser().parseFromString(html, "text/html");
  const block = (node) => (node.nodeType === Node.TEXT_NODE ? make("p", { text: node.data }) : node);
  return [...body.childNodes].filter((node) => node.textContent.trim() || node.childElementCount || node.nodeName === "HR").map(block);
}

/** A block of the server's HTML. It is safe as it comes; here links and code get what only a page can give. */
function equipped(block) {
  const frame = make("div", {}, block);
  for (const image of frame.querySelectorAll("img:not([src^='data:'])")) {
    // A picture from elsewhere would tell its host who reads this; the policy of the page refuses it anyway.
    image.replaceWith(make("a", { href: image.getAttribute("src") ?? "#", text: image.alt || "Picture" }));
  }
  for (const link of frame.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const table of frame.querySelectorAll("table")) {
    const scroll = make("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(scroll);
    scroll.append(table);
  }
  for (const pre of frame.querySelectorAll("pre")) codeBlock(pre);
  return frame.firstElementChild;
}

function codeBlock(pre) {
  const code = pre.querySelector("code");
  const language = /(?:^|\s)language-([\w+#.-]+)/.exec(code?.className ?? "")?.[1] ?? "";
  const button = make("button", { type: "button", class: "tool", "data-action": "copy-code", "aria-label": "Copy the code" }, icon("copy"), make("span", { text: "Copy" }));
  const head = make("div", { class: "code-head" }, make("span", { text: language || "text" }), button);
  const frame = make("div", { class: "code" });
  pre.replaceWith(frame);
  pre.tabIndex = 0;
  pre.setAttribute("role", "group"); // Not a region: a reply may hold many of one name.
  pre.setAttribute("aria-label", language ? `Code, ${language}` : "Code");
  frame.append(head, pre);
}

async function copied(part, button, text) {
  const worked = await copy(text);
  const label = button.querySelector("span");
  label.textContent = worked ? "Copied" : "Not copied";
  button.querySelector("use").setAttribute("href", worked ? "#i-check" : "#i-note");
  say(worked ? "Copied" : "The browser did not allow copying.");
  part.after(2000, () => {
    label.textContent = "Copy";
    button.querySelector("use").setAttribute("href", "#i-copy");
  });
}
