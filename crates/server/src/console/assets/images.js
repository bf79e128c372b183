// Images: what is attached to the message that is being written, and what messages show. Each is uploaded before it is
// sent; the server makes it anew and keeps it for a day until then.

import { Problem, fetchBlob, upload } from "./api.js";
import { icon, make, say } from "./dom.js";

/** The server's limits. */
const MOST = 4;
const MOST_BYTES = 10 * 1024 * 1024;
/** How many are kept in memory, the last that were shown. */
const KEPT = 40;
const isImage = (file) => file.type.startsWith("image/");

/** The bytes as an address that the page may show: its policy takes no other from a script. */
function urlOf(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

const shown = new Map();

function load(id) {
  const known = shown.get(id);
  shown.delete(id);
  const url = known ?? fetchBlob(`/v1/images/${encodeURIComponent(id)}`).then(urlOf);
  shown.set(id, url);
  url.catch(() => shown.delete(id));
  if (shown.size > KEPT) shown.delete(shown.keys().next().value);
  return url;
}

/** Nobody who signs in after somebody else is shown theirs. */
export const forgetImages = () => shown.clear();

/** The images of a message. They are asked for when they come near to being seen. */
export function imagesOf(part, images) {
  const list = make("ul", { class: "images", "aria-label": images.length === 1 ? "Image" : "Images" });
  for (const { id, width, height } of images) {
    const picture = make("img", { width, height, alt: `Image of ${width} by ${height} pixels`, "data-image-id": id });
    list.append(make("li", {}, picture));
    const watch = new IntersectionObserver(
      part.guard(async (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        watch.disconnect();
        try {
          picture.src = await load(id);
        } catch (problem) {
          if (!(problem instanceof Problem)) throw problem;
          picture.replaceWith(make("span", { class: "soft", text: "This image cannot be shown just now." }));
        }
      }),
      { rootMargin: "400px" },
    );
    watch.observe(picture);
  }
  return list;
}

/** What is attached to the message that is being written. `changed()` is told, and `refused(problem)`. */
export class Attachments {
  #part;
  #root;
  #all = [];
  #changed;
  #refused;

  constructor(part, root, { changed, refused }) {
    this.#part = part;
    this.#root = root;
    this.#changed = changed;
    this.#refused = refused;
  }

  get ids() {
    return this.#all.map(({ id }) => id).filter(Boolean);
  }

  get isEmpty() {
    return this.#all.length === 0;
  }

  get isLoading() {
    return this.#all.some(({ id }) => !id);
  }

  /** Takes what somebody chose, pasted or dropped. True when there was an image in it. */
  add(files) {
    const images = [...files].filter(isImage);
    for (const file of images) {
      if (this.#all.length >= MOST) {
        this.#refused(new Problem({ status: 400, code: "too_many", detail: `A message has at most ${MOST} images.` }));
        break;
      }
      if (file.size > MOST_BYTES) {
        this.#refused(new Problem({ status: 413, code: "too_large", detail: `${file.name || "The image"} is larger than 10 MB.` }));
        continue;
      }
      this.#take(file);
    }
    return images.length > 0;
  }

  clear() {
    for (const one of this.#all) one.control.abort();
    this.#all = [];
    this.#root.replaceChildren();
    this.#changed();
  }

  async #take(file) {
    const name = file.name || "Image";
    const picture = make("img", { alt: name });
    const remove = make("button", { type: "button", class: "icon-button", "aria-label": `Remove ${name}`, title: "Remove" }, icon("close"));
    const element = make("li", { class: "attachment", "aria-busy": "true" }, picture, remove);
    const one = { id: null, element, control: new AbortController() };
    remove.addEventListener("click", this.#part.guard(() => this.#drop(one)));
    this.#all.push(one);
    this.#root.append(element);
    this.#changed();
    try {
      picture.src = await urlOf(file);
      const stored = await upload("/v1/images", file, one.control.signal);
      one.id = stored.id;
      element.dataset.imageId = stored.id;
      element.setAttribute("aria-busy", "false");
      say(`${name} is attached.`);
    } catch (problem) {
      if (one.control.signal.aborted) return;
      this.#drop(one);
      if (!(problem instanceof Problem)) throw problem;
      this.#refused(problem);
    }
    this.#changed();
  }

  #drop(one) {
    one.control.abort();
    one.element.remove();
    this.#all = this.#all.filter((other) => other !== one);
    this.#changed();
  }
}
