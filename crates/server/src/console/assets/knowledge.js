// What the organisation knows: its documents, a form to write one or to read it from a file, and a question to try.

import { Problem } from "./api.js";
import { $, make, say, uuid } from "./dom.js";
import { actionButton, ask, begin, moment, trouble } from "./operator.js";

const MOST_BYTES = 256 * 1024;
const PAGE = 50;
const LANGUAGES = [
  { value: "english", label: "English" },
  { value: "simple", label: "Any other" },
];
const PATH = "/v1/documents";

const size = (bytes) => (bytes < 1024 ? `${bytes} B` : `${Math.round(bytes / 1024)} KB`);
const byteLength = (text) => new TextEncoder().encode(text).length;

/** Bytes as text; nothing where they are none. */
function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function labelled(label, control, wide = false) {
  return make("label", { class: wide && "wide" }, label, control);
}

/** A question to try, and what would be answered. */
function trying(life) {
  const question = make("input", { name: "q", type: "search", autocomplete: "off", maxlength: "500", required: true, placeholder: "What time do you open on Saturday?" });
  const submit = make("button", { type: "submit", class: "button small", "data-action": "try", text: "Ask" });
  const form = make("form", { class: "filters", role: "search", "aria-label": "Try a question" }, labelled("Question", question, true), submit);
  const notice = make("div", { class: "listing-notice" });
  const found = make("div", { class: "found", id: "found", "aria-live": "polite" });

  const passage = ({ title, heading, text }) =>
    make("li", {}, make("p", {}, make("strong", { text: title }), heading ? ` · ${heading}` : ""), make("pre", { text, tabindex: "0", "aria-label": `Passage of ${title}` }));

  async function look() {
    notice.replaceChildren();
    try {
      const { answer, data } = await ask(life, "GET", `${PATH}/search`, { query: { q: question.value } });
      const said = answer
        ? make("section", { class: "card", "data-answer-of": answer.document_id }, make("p", { class: "said", text: answer.text }), make("p", { class: "soft", text: `From “${answer.title}”` }))
        : make("p", { class: "soft nothing", text: "Nothing here answers that. The assistant says what it knows by itself." });
      const passages = make("ol", { class: "attempts" }, ...data.map(passage));
      const rest = data.length ? [make("details", {}, make("summary", { text: `Passages that were found: ${data.length}` }), passages)] : [];
      found.replaceChildren(said, ...rest);
    } catch (problem) {
      trouble(life, notice, problem, look);
    }
  }
  life.on(form, "submit", (event) => {
    event.preventDefault();
    life.run(look);
  });
  return [make("h2", { class: "part", text: "Try a question" }), form, notice, found];
}

/** The form for a new document, or for one that is there. `done` is called when it is stored, removed or left. */
function editor(life, slot, done) {
  const notice = make("div", { class: "listing-notice" });

  /** Reads a file of text into the form. It never leaves the browser as a file. */
  async function take(file, title, content) {
    notice.replaceChildren();
    const refuse = (detail) => trouble(life, notice, new Problem({ status: 400, code: "file", detail }));
    if (file.size > MOST_BYTES) return refuse(`${file.name} has ${size(file.size)}; a document has at most ${size(MOST_BYTES)}.`);
    const text = textOf(await file.arrayBuffer());
    if (!text || text.includes("\0")) return refuse(`${file.name} is no text in UTF-8.`);
    content.value = text;
    if (!title.value) title.value = file.name.replace(/\.(txt|md|markdown)$/i, "").slice(0, 200);
    say(`${file.name} was read.`);
  }

  function open(document = null) {
    const title = make("input", { name: "title", type: "text", maxlength: "200", autocomplete: "off", required: true });
    const options = LANGUAGES.map(({ value, label }) => make("option", { value, text: label, selected: value === (document?.language ?? "english") }));
    const language = make("select", { name: "language" }, ...options);
    const file = make("input", { name: "file", type: "file", accept: ".txt,.md,.markdown,text/plain,text/markdown" });
    const content = make("textarea", { name: "content", rows: "14", required: true, spellcheck: "true", "aria-describedby": "document-hint" });
    title.value = document?.title ?? "";
    content.value = document?.content ?? "";
    const hint = make("p", { class: "soft", id: "document-hint", text: "Plain text or Markdown, at most 256 KB. A heading (a line that begins with #) begins a part that is found by itself." });
    const save = make("button", { type: "submit", class: "button primary", "data-action": "save", text: "Save" });
    const leave = make("button", { type: "button", class: "button", "data-action": "leave", text: "Cancel" });
    const buttons = make("div", { class: "item-buttons" }, save, leave);
    if (document) {
      const question = { title: "Delete this document?", text: "Nothing of it is found any more.", yes: "Delete it", danger: true };
      const run = () => ask(life, "DELETE", `${PATH}/${document.id}`);
      buttons.append(actionButton(life, { label: "Delete", name: "delete", danger: true, small: false, ask: question, run, slot: notice, done: () => close("It is deleted.") }));
    }
    const fields = [labelled("Title", title), labelled("Language", language), labelled("From a file", file), labelled("Text", content)];
    const form = make("form", { class: "document", "aria-label": document ? "Change a document" : "Add a document" }, ...fields, hint, buttons);
    // One key for one document, however often it is sent.
    const key = uuid();

    async function store() {
      if (save.hasAttribute("aria-disabled")) return;
      notice.replaceChildren();
      save.setAttribute("aria-disabled", "true");
      try {
        if (byteLength(content.value) > MOST_BYTES) throw new Problem({ status: 400, code: "too_long", detail: `It has ${size(byteLength(content.value))}; at most ${size(MOST_BYTES)} are allowed. Divide it.` });
        const body = { title: title.value, language: language.value, content: content.value };
        if (document) await ask(life, "PATCH", `${PATH}/${document.id}`, { body: { ...body, updated_at: document.updated_at } });
        else await ask(life, "POST", PATH, { body, headers: { "Idempotency-Key": key } });
        await close("It is stored.");
      } catch (problem) {
        trouble(life, notice, problem);
      } finally {
        save.removeAttribute("aria-disabled");
      }
    }

    async function close(words = null) {
      slot.replaceChildren();
      if (words) say(words);
      await done(words !== null);
    }

    // These listeners go away with their elements.
    file.addEventListener("change", life.guard(() => file.files[0] && take(file.files[0], title, content)));
    leave.addEventListener("click", life.guard(() => close()));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      life.run(store);
    });
    notice.replaceChildren();
    slot.replaceChildren(make("h2", { class: "part", text: document ? "Change a document" : "Add a document" }), notice, form);
    title.focus();
  }
  return open;
}

begin("knowledge", async (life, root) => {
  const { role } = await ask(life, "GET", "/v1/me");
  const mayWrite = role !== "member";
  const notice = make("div", { class: "listing-notice" });
  const list = make("div", { class: "listing", id: "documents" });
  const slot = make("div", { class: "item" });
  let rows = [];
  let next = null;

  async function read(after = null) {
    const page = await ask(life, "GET", PATH, { query: { limit: PAGE, after } });
    rows = after ? [...rows, ...page.data] : page.data;
    next = page.next;
    draw();
  }

  async function renew() {
    notice.replaceChildren();
    try {
      await read();
    } catch (problem) {
      trouble(life, notice, problem, renew);
    }
  }

  const open = editor(life, slot, async (isChanged) => {
    if (isChanged) await renew();
    $("[data-action=add]", root)?.focus();
  });

  /** A button that shows what it opens, and stays if that cannot be read. */
  function link(document) {
    const run = async () => open(await ask(life, "GET", `${PATH}/${document.id}`));
    const button = actionButton(life, { label: document.title, name: `open-${document.id}`, run, slot: notice });
    return button;
  }

  function draw() {
    const cell = (label, ...content) => make("td", { "data-label": label }, ...content);
    const row = (document) =>
      make(
        "tr",
        { "data-document": document.id },
        make("th", { scope: "row" }, mayWrite ? link(document) : document.title),
        cell("Language", LANGUAGES.find(({ value }) => value === document.language)?.label ?? document.language),
        cell("Passages", String(document.passages)),
        cell("Size", size(document.bytes)),
        cell("Changed", moment(document.updated_at)),
      );
    if (rows.length === 0) {
      list.replaceChildren(make("p", { class: "soft nothing", text: mayWrite ? "There are no documents. Add what callers and guests ask for: hours, prices, the way to you." : "There are no documents." }));
      return;
    }
    const head = make("tr", {}, ...["Title", "Language", "Passages", "Size", "Changed"].map((text) => make("th", { scope: "col", text })));
    const table = make("table", {}, make("caption", { class: "visually-hidden", text: "Documents" }), make("thead", {}, head), make("tbody", {}, ...rows.map(row)));
    const more = next ? [actionButton(life, { label: "Show more", name: "more", run: () => read(next), slot: notice })] : [];
    list.replaceChildren(table, ...more);
  }

  await read();
  const add = make("button", { type: "button", class: "button primary", "data-action": "add", text: "Add a document" });
  life.on(add, "click", () => open());
  const documents = [make("h2", { class: "part", text: "Documents" }), notice, list, ...(mayWrite ? [add] : []), slot];
  root.append(...trying(life), ...documents);
});
