// rrweb, which records and plays what pages look like: fetched when somebody needs it, and once.

const LIBRARY = new URL("vendor/rrweb-2.2.2.min.js", import.meta.url).href;

let loading = null;

/** A plain script, which leaves its name behind. */
export function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = LIBRARY;
    script.addEventListener("load", () => resolve(window.rrweb));
    script.addEventListener("error", () => reject(new Error("rrweb was not loaded")));
    document.head.append(script);
  });
  return loading;
}
