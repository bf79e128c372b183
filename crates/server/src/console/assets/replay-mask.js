// What may leave the browser of a recording: the shape of a page. Every text becomes asterisks, and of names, words and
// attributes only those stay that the console gives its pages itself. What is on no list goes. The server judges what arrives
// by the same lists (crates/server/src/ops/replays/masking.rs, where a test compares them), and refuses what is not masked.

/** Kinds of events, as rrweb numbers them. */
const LOADED = new Set([0, 1]);
const SNAPSHOT = 2;
const STEP = 3;
export const META = 4;
const CUSTOM = 5;
const ERROR_MARK = "error";
/** What steps may be of: changes, the mouse, scrolling, the window, input, fingers, dragging, what is chosen. */
const STEPS = new Set([0, 1, 2, 3, 4, 5, 6, 12, 14]);

// prettier-ignore
const NAMES = new Set([
  "adds", "attributes", "childNodes", "compatMode", "data", "end", "endOffset", "height", "id", "initialOffset", "isChecked",
  "isCustom", "isSVG", "isStyle", "left", "name", "needBlock", "nextId", "node", "parentId", "pointerType", "positions",
  "previousId", "publicId", "ranges", "removes", "rootId", "source", "start", "startOffset", "systemId", "tagName", "text",
  "textContent", "texts", "timeOffset", "top", "type", "userTriggered", "value", "width", "x", "y",
]);
// prettier-ignore
const WORDS = new Set([
  "aria-busy", "aria-current", "aria-disabled", "aria-expanded", "aria-hidden", "aria-invalid", "aria-live", "aria-modal",
  "aria-pressed", "aria-selected", "aria-sort", "data-action", "data-movable", "data-role", "data-state", "data-status", "data-theme", "data-view", "dir",
  "disabled", "fill", "hidden", "inert", "lang", "multiple", "open", "popover", "readonly", "rel", "role", "stroke",
  "stroke-linecap", "type",
]);
// prettier-ignore
const NUMBERS = new Set([
  "cols", "colspan", "cx", "cy", "height", "r", "rows", "rowspan", "rr_height", "rr_scrollLeft", "rr_scrollTop", "rr_width",
  "rx", "ry", "size", "stroke-width", "tabindex", "viewBox", "width", "x", "x1", "x2", "y1", "y2",
]);
const STYLES = new Set(["--columns", "--lane", "--lanes", "--length", "--minutes", "--start", "height"]);

const NAME = /^[a-z-]{0,40}$/;
const WORD = /^[0-9A-Za-z-]{0,24}$/;
const TAG = /^[0-9A-Za-z-]{1,24}$/;
const NUMBER = /^[0-9\s.,%-]{0,50}(px)?$/;
const SIZE = /^(auto|[0-9.%-]{0,16}(px)?)$/;
const PATH = /^[0-9\s.,%mMlLhHvVcCsSqQtTaAzZ-]{0,2000}$/;
const PAGE = /^\/[a-z-]{0,40}$/;
const ICON = /^#i-[a-z-]{0,40}$/;
const SHEET = /^\/assets\/[0-9a-f]{16}\/[a-z-]{1,40}\.css$/;

/** Asterisks for all that is no space. */
export const stars = (text) => text.replace(/[^ \t\r\n]/gu, "*");

function classes(text) {
  const kept = text.split(/\s+/).filter((one) => NAME.test(one) && !one.startsWith("language-")).join(" ");
  return kept.length > 200 ? "" : kept;
}

function styles(value) {
  const pairs = typeof value === "string" ? value.split(";").map((one) => one.split(":").map((part) => part.trim())) : Object.entries(value);
  const kept = pairs.map(([name, what]) => [name, Array.isArray(what) ? what[0] : what]).filter(([name, what]) => STYLES.has(name) && (what === false || (typeof what === "string" && SIZE.test(what))));
  return typeof value === "string" ? kept.map(([name, what]) => `${name}: ${what}`).join("; ") : Object.fromEntries(kept);
}

function link(text) {
  if (ICON.test(text)) return text;
  const path = text.startsWith(location.origin) ? text.slice(location.origin.length) : text;
  return SHEET.test(path) ? path : undefined;
}

const fits = (pattern, text) => (pattern.test(text) ? text : undefined);

/** An attribute as it may leave; undefined where it may not. */
function attribute(name, value) {
  const isKnown = WORDS.has(name) || NUMBERS.has(name) || ["class", "id", "value", "d", "href", "xlink:href", "style"].includes(name);
  if (!isKnown) return undefined;
  if (value === null || value === false) return value;
  if (value === true) return WORDS.has(name) ? true : undefined;
  if (typeof value === "number") return NUMBERS.has(name) ? value : undefined;
  if (name === "style") return styles(value);
  if (typeof value !== "string") return undefined;
  if (name === "class") return classes(value);
  if (name === "id") return fits(NAME, value);
  if (name === "value") return stars(value);
  if (name === "d") return fits(PATH, value);
  if (name === "href" || name === "xlink:href") return link(value);
  return fits(WORDS.has(name) ? WORD : NUMBER, value);
}

function attributes(all) {
  const kept = Object.entries(all).map(([name, value]) => [name, attribute(name, value)]);
  return Object.fromEntries(kept.filter(([, value]) => value !== undefined));
}

function text(name, value) {
  if (name === "text" || name === "textContent" || name === "value") return stars(value);
  if (name === "tagName") return TAG.test(value) ? value : "span";
  if (name === "name") return "html";
  if (name === "publicId" || name === "systemId") return "";
  if (name === "compatMode") return value === "BackCompat" ? value : "CSS1Compat";
  return undefined;
}

function field(name, value) {
  if (value === null || typeof value === "number") return value;
  // What is ticked is as much of a person as what is written.
  if (typeof value === "boolean") return name === "isChecked" ? false : value;
  if (typeof value === "string") return text(name, value);
  if (Array.isArray(value)) return value.filter((item) => item === null || typeof item === "number" || (typeof item === "object" && !Array.isArray(item))).map((item) => (item !== null && typeof item === "object" ? fields(item) : item));
  if (name === "attributes") return attributes(value);
  return typeof value === "object" ? fields(value) : undefined;
}

function fields(object) {
  const kept = Object.entries(object).filter(([name]) => NAMES.has(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, field(name, value)]).filter(([, value]) => value !== undefined));
}

/** The mark of an error at this moment. It says nothing of the error. */
export const errorMark = () => ({ type: CUSTOM, timestamp: Date.now(), data: { tag: ERROR_MARK, payload: {} } });

/** An event of rrweb as it may leave the browser; null for those that may not. */
export function masked({ type, timestamp, data, delay }) {
  const event = { type, timestamp, data: {} };
  if (typeof delay === "number") event.delay = delay;
  if (type === META) {
    event.data = { href: PAGE.test(location.pathname) ? location.pathname : "/", width: data.width, height: data.height };
  } else if (type === SNAPSHOT || (type === STEP && STEPS.has(data.source))) {
    event.data = fields(data);
  } else if (!LOADED.has(type)) {
    return null;
  }
  return event;
}
