// The part in which a message is written, sent and stopped.

import { Problem, call } from "./api.js";
import { events } from "./bus.js";
import { $, say, uuid } from "./dom.js";
import { readDraft, writeDraft } from "./drafts.js";
import { Attachments, forgetImages } from "./images.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";
import { stop } from "./reply.js";
import { talk } from "./talk.js";
import { deliver } from "./writes.js";

/** The server's limit on a message. */
const MOST = 10_000;
const TALLEST_PX = 240;
/** What is asked with an image when nothing is written. */
const LOOK = "What is in this image?";

export const composerPart = new Part("composer", (part) => {
  const find = (selector) => $(selector, part.root);
  const input = find("#composer-input");
  const sendButton = find("#composer-send");
  const stopButton = find("#composer-stop");
  const slot = find("#composer-notice");
  const fileInput = find("#composer-file");
  const attachments = new Attachments(part, find("#composer-images"), {
    changed: () => draw(),
    refused: (problem) => (closeNotice = showProblem(part, slot, problem, { dismiss: true })),
  });
  let sending = false;
  let held = false;
  let closeNotice = () => {};
  let measured = null;

  function draw() {
    const text = input.value.trim();
    const length = text.length > MOST - 500 ? Array.from(text).length : text.length;
    find("#composer-count").textContent = length > MOST - 500 ? `${length.toLocaleString()} of ${MOST.toLocaleString()} characters` : "";
    part.root.classList.toggle("too-long", length > MOST);
    const isEmpty = !text && attachments.isEmpty;
    sendButton.disabled = isEmpty || attachments.isLoading || length > MOST || talk.reply !== null || held;
    sendButton.hidden = talk.reply !== null;
    const hadFocus = document.activeElement === stopButton;
    stopButton.hidden = talk.reply === null;
    // Not `disabled`, which would drop the focus of whoever pressed it by keyboard.
    stopButton.setAttribute("aria-disabled", String(Boolean(talk.reply?.stopping)));
    if (hadFocus && stopButton.hidden) input.focus();
    // Measuring makes the browser lay the page out: only when there is something new to measure.
    if (measured === input.value) return;
    measured = input.value;
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, TALLEST_PX)}px`;
  }

  function fill(text) {
    input.value = text;
    draw();
  }

  async function submit() {
    if (sendButton.disabled || sending) return;
    const images = attachments.ids;
    const content = input.value.trim() || LOOK;
    const from = talk.id;
    const draft = readDraft(from);
    const whole = [content, ...images].join("\n");
    const key = draft.key && draft.sent === whole ? draft.key : uuid();
    writeDraft(from, { text: input.value, key, sent: whole });
    closeNotice();
    sending = true;
    input.readOnly = true;
    try {
      const sent = await deliver(content, key, images);
      attachments.clear();
      say(sent ? "Sent. The reply is being written." : "It waits, and is sent when you are back.");
    } catch (problem) {
      refused(problem, { from, content });
    } finally {
      sending = false;
      input.readOnly = false;
      draw();
    }
  }

  function refused(problem, { from, content }) {
    if (!(problem instanceof Problem)) throw problem;
    // A definite no belongs to this attempt; what may have arrived keeps its key.
    if (!problem.isPassing && problem.code !== "cancelled") writeDraft(from, { text: content });
    if (talk.id !== from) return;
    held = problem.retryAfter !== null;
    closeNotice = showProblem(part, slot, problem, { retry: submit, dismiss: !held, ready: release });
    input.focus();
  }

  function release() {
    held = false;
    draw();
  }

  part.on(find("#composer"), "submit", (event) => {
    event.preventDefault();
    return submit();
  });
  part.on(input, "keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    return submit();
  });
  part.on(find("#composer-attach"), "click", () => fileInput.click());
  part.on(fileInput, "change", () => {
    attachments.add(fileInput.files);
    fileInput.value = "";
    input.focus();
  });
  part.on(input, "paste", (event) => {
    if (attachments.add(event.clipboardData?.files ?? [])) event.preventDefault();
  });
  // All of the page takes what is dropped: elsewhere the browser would leave it for the file.
  part.on(window, "dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  part.on(window, "drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    attachments.add(event.dataTransfer.files);
  });
  part.on(events, "signed-out", () => {
    attachments.clear();
    forgetImages();
  });
  part.on(window, "resize", () => {
    measured = null;
    draw();
  });
  part.on(input, "input", () => {
    writeDraft(talk.id, { ...readDraft(talk.id), text: input.value });
    draw();
  });
  part.on(stopButton, "click", async () => {
    say("Stopping.");
    try {
      await stop();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      closeNotice = showProblem(part, slot, problem, { dismiss: true });
    }
  });

  // Speaking needs somebody who listens on the server, and a microphone, which a page without HTTPS has not.
  const callButton = find("#composer-call");
  part.on(callButton, "click", async () => (await import("./voice.js")).begin());
  if (navigator.mediaDevices && globalThis.AudioWorkletNode) part.run(offerCalls);

  async function offerCalls() {
    try {
      const { available } = await call("GET", "/v1/voice/sessions", { signal: part.signal });
      callButton.hidden = !available;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  part.on(events, "chat:reset", ({ detail }) => {
    if (detail?.earlier) return;
    if (input.dataset.conversation !== (talk.id ?? "new")) {
      input.dataset.conversation = talk.id ?? "new";
      if (!held) closeNotice();
      fill(readDraft(talk.id).text);
    }
    draw();
  });
  part.on(events, "chat:started", ({ detail: { from, id, isOpen } }) => {
    writeDraft(from, { text: "" });
    if (!isOpen) return;
    input.dataset.conversation = id;
    fill("");
  });
  part.on(events, "chat:state", draw);
  part.on(events, "compose:fill", ({ detail: text }) => {
    fill(text);
    writeDraft(talk.id, { text });
    input.focus();
  });
  part.on(events, "compose:add", ({ detail: text }) => {
    const whole = input.value.trim() ? `${input.value.trimEnd()}\n\n${text}` : text;
    fill(whole);
    writeDraft(talk.id, { text: whole });
    input.focus();
  });
  part.on(events, "compose:again", async ({ detail: text }) => {
    if (!text || talk.reply || sending) return;
    const kept = input.value;
    const where = talk.id;
    fill(text);
    await submit();
    if (!kept.trim() || input.value || talk.id !== where) return;
    writeDraft(where, { text: kept });
    fill(kept);
  });
  part.on(events, "compose:focus", () => input.focus());

  input.dataset.conversation = talk.id ?? "new";
  fill(readDraft(talk.id).text);
});
