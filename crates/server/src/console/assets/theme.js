// Runs before the first paint, so that a remembered theme does not flash. Without a choice the system decides.
(() => {
  const key = "mainstay.theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const read = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage is refused; the system decides.
    }
  };
  const apply = () => {
    const chosen = read();
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
    else delete root.dataset.theme;
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) {
      meta.content = isDark() ? "#121716" : "#faf8f4";
    }
    dispatchEvent(new Event("mainstay:theme"));
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const toggle = () => {
    const next = isDark() ? "light" : "dark";
    try {
      // Going back to what the system says is following it again.
      if ((next === "dark") === dark.matches) localStorage.removeItem(key);
      else localStorage.setItem(key, next);
    } catch {
      // The choice holds until the page is left.
    }
    apply();
    if (isDark() !== (next === "dark")) root.dataset.theme = next;
  };
  window.mainstayTheme = { isDark, toggle };
  dark.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === key && apply());
  apply();
})();
