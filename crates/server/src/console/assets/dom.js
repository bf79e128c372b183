// Small helpers over the DOM. Text always goes in as text; no helper takes markup.

export const $ = (selector, root = document) => root.querySelector(selector);

/** A copy of what is in `<template id="template-{name}">`. */
export const template = (name) => $(`#template-${name}`).content.cloneNode(true);

/** An element with attributes (`text` is its text; null and false are left out) and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** An icon of the sprite in the page. It is decoration: the control beside it has the name. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Says a short thing to a screen reader: "Copied". */
export function say(text) {
  speak($("#status"), text);
}

/** Reads a finished reply to a screen reader. The message list itself is silent, since it grows token by token. */
export function readAloud(text) {
  const most = 600;
  speak($("#reader"), text.length > most ? `${text.slice(0, most)} … The rest is in the message list.` : text);
}

function speak(region, text) {
  const line = make("p", { text });
  region.append(line);
  // Long enough to be read from the queue, short enough that nobody browsing finds everything twice.
  setTimeout(() => line.remove(), 8000);
}

/** Copies text. True when it worked. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard without HTTPS: the old way still works there.
    const area = make("textarea", { class: "visually-hidden", readonly: true, "aria-hidden": "true" });
    area.value = text;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus?.();
    return copied;
  }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** "14:32" for today, "3 Nov, 14:32" before. */
export function shortTime(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  return time.toDateString() === new Date().toDateString() ? clock.format(time) : day.format(time);
}

/** A random UUID, also where the page is not served over HTTPS and `randomUUID` is missing. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A UUID whose beginning is the time (RFC 9562, version 7), as the server's are: for what is made here and kept there. */
export function timedUuid() {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${uuid().slice(15)}`;
}
