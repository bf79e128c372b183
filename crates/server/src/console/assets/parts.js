// The parts of a page, one of which is shown. What is shown has a life of its own, so that nothing of it goes on once another
// part is opened. Which one it is stands in the address: links of the page change it, and so does going back.

import { make } from "./dom.js";
import { Life } from "./life.js";
import { trouble } from "./operator.js";

/** Whether a click follows a link on this page, and opens it nowhere else. */
const isPlain = (event) => !(event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0);

/** What the address says under a name. */
export const said = (name) => new URLSearchParams(location.search).get(name);

/** The address of something on this page. */
export function addressOf(query) {
  const text = new URLSearchParams(query).toString();
  return text ? `${location.pathname}?${text}` : location.pathname;
}

/** Goes somewhere on this page: whoever shows a part of the address listens for `popstate`. */
export function go(address) {
  if (location.pathname + location.search !== address) history.pushState(null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}

/** A link to something on this page. */
export const goLink = (query, text, attributes = {}) => make("a", { href: addressOf(query), "data-go": true, text, ...attributes });

/** Follows the links of `goLink` below `root`. */
export function followLinks(life, root) {
  life.on(root, "click", (event) => {
    const link = event.target.closest("a[data-go]");
    if (!link || !isPlain(event)) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
}

/** A place for what changes: a function that ends what is shown, and fills it by `fill(life, place)`, unless it shows `key` already. */
export function stage(life, place) {
  let own = null;
  let shown = null;
  life.onStop(() => own?.end());
  return function show(key, fill) {
    if (key === shown) return undefined;
    shown = key;
    own?.end();
    // What is asked in a window is about what stood behind it.
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    const current = new Life(life.name);
    own = current;
    own.begin();
    place.replaceChildren();
    return own.run(async () => {
      try {
        await fill(current, place);
      } catch (problem) {
        trouble(current, place, problem, () => {
          shown = null;
          return show(key, fill);
        });
      }
    });
  };
}

/**
 * Fills `root` with links to parts, and with the one that the address names by `part`, or else the first. A part is
 * `{ name, label, fill(life, place) }`; `keep` is what else stays in the address.
 */
export function parts(life, root, label, keep, all) {
  const links = all.map((part, n) => goLink(n ? { ...keep, part: part.name } : keep, part.label, { "data-part": part.name }));
  const place = make("div", { class: "part-place" });
  root.append(make("nav", { class: "parts", "aria-label": label }, ...links), place);
  const show = stage(life, place);
  const draw = () => {
    const part = all.find(({ name }) => name === said("part")) ?? all[0];
    for (const link of links) link.toggleAttribute("aria-current", false);
    links[all.indexOf(part)].setAttribute("aria-current", "page");
    return show(part.name, part.fill);
  };
  life.on(window, "popstate", draw);
  return draw();
}
