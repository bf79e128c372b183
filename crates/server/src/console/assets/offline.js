// Lets the browser keep the page itself, so that it opens without a network (sw.js).

export function keepShell() {
  if (!("serviceWorker" in navigator)) return;
  // Not while the first load is under way: what is kept comes from the browser's own cache after it.
  const register = () => navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" }).catch((error) => {
    // The page works without; it does not open offline.
    console.info("The page is not kept for offline.", error.message);
  });
  if (document.readyState === "complete") register();
  else addEventListener("load", register, { once: true });
}
