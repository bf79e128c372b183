// Files that the API gives only with a token.

import { fetchBlob } from "./api.js";
import { make, say } from "./dom.js";

/** Reads a file, and puts it into the hands of the browser under this name. */
export async function saveFile(path, name) {
  const url = URL.createObjectURL(await fetchBlob(path));
  const link = make("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(url);
  say("The file is saved.");
}

/** A part of a name of a file: what is no letter and no digit becomes a hyphen. */
export const fileName = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "campaign";
