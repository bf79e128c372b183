// The figures above a list: cards whose numbers lead into it. They are drawn again and again, and whoever works in them with
// the keyboard stays where they are.

import { make } from "./dom.js";

/** Cards that are always shown; the others wait behind a line that opens. */
const FIRST = 12;
const TOLD_MS = 12_000;

const format = new Intl.NumberFormat();

/** Fills `root`, for a list as `listing` makes it. */
export function board(life, root, list) {
  const notice = make("div", { class: "listing-notice" });
  const told = make("p", { class: "told", role: "status" });
  const cards = make("div", { class: "counts" });
  const summary = make("summary", {});
  const others = make("div", { class: "counts" });
  const rest = make("details", { class: "more-counts", hidden: true }, summary, others);
  root.append(notice, told, cards, rest);
  let forget = () => {};

  life.on(root, "click", (event) => {
    const link = event.target.closest("a[data-filter]");
    if (link) return list.follow(event, () => list.show(Object.fromEntries(new URL(link.href).searchParams)));
  });

  /** What tells an element in a card from all others, also after the card was made anew. */
  const place = (element) => (root.contains(element) ? (element.dataset.action ?? element.getAttribute("href")) : null);

  /** A number that leads to what it counts. */
  function number(label, value, filter, more = false) {
    const query = new URLSearchParams(filter);
    return make("a", { href: `${location.pathname}?${query}`, "data-filter": true }, make("strong", { text: `${format.format(value)}${more ? "+" : ""}` }), ` ${label}`);
  }

  function draw(all) {
    const focused = place(document.activeElement);
    cards.replaceChildren(...all.slice(0, FIRST));
    others.replaceChildren(...all.slice(FIRST));
    rest.hidden = all.length <= FIRST;
    summary.textContent = `${all.length - FIRST} more`;
    if (focused) [...root.querySelectorAll("a, button")].find((element) => place(element) === focused)?.focus();
  }

  /** Says for a while what was done. */
  function tell(text) {
    forget();
    told.textContent = text;
    forget = life.after(TOLD_MS, () => (told.textContent = ""));
  }

  return { notice, number, draw, tell };
}
