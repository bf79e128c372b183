// The part with the theme and the account menu.

import { Problem, call, signOut } from "./api.js";
import { emit, events } from "./bus.js";
import { $ } from "./dom.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";
import { entries } from "./queue.js";

/** Who is signed in: the `user` and `organisation` of the server's answer, or null. */
export const person = { user: null, organisation: null };

export const accountPart = new Part("account", (part) => {
  const find = (selector) => $(selector, part.root);
  const theme = find("#theme-toggle");
  const menu = find("#account-menu");
  const panel = find("#account-panel");

  const drawTheme = () => theme.setAttribute("aria-pressed", String(window.mainstayTheme.isDark()));
  part.on(theme, "click", () => window.mainstayTheme.toggle());
  part.on(window, "mainstay:theme", drawTheme);
  drawTheme();

  function drawPerson() {
    const { user, organisation } = person;
    menu.hidden = user === null;
    if (!user) return panel.matches(":popover-open") && panel.hidePopover();
    const name = user.name || user.email;
    menu.textContent = Array.from(name)[0].toUpperCase();
    menu.setAttribute("aria-label", `Account of ${name}`);
    find(".panel-name").textContent = name;
    find(".panel-email").textContent = user.name ? user.email : "";
    find(".panel-organisation").textContent = organisation?.name ?? "";
    find(".panel-plan").textContent = organisation?.plan ?? "";
    find(".panel-notice").replaceChildren();
  }
  part.on(events, "signed-in", drawPerson);
  part.on(events, "signed-out", drawPerson);
  part.on(panel, "toggle", (event) => {
    menu.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState !== "open") return;
    find("#show-usage").focus();
    drawPages();
  });
  part.on(find("#show-usage"), "click", () => {
    panel.hidePopover();
    emit("usage:open");
  });
  part.on(find("#sign-out"), "click", async () => {
    const { length } = await entries();
    if (!length) return leave();
    const detail = `${length === 1 ? "One thing" : `${length} things`} that you wrote would be lost.`;
    showProblem(part, find(".panel-notice"), new Problem({ code: "unsent", detail }), { retry: leave, label: "Sign out anyway" });
  });

  /** What not everybody may open. Who cannot ask could not open it either. */
  async function drawPages() {
    const links = part.root.querySelectorAll("[data-for]");
    for (const link of links) link.hidden = true;
    try {
      const { operator, role } = await call("GET", "/v1/me");
      const mays = { operators: operator, administrators: role !== "member" };
      for (const link of links) link.hidden = !mays[link.dataset.for];
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  async function leave() {
    const button = find("#sign-out");
    button.disabled = true;
    try {
      await signOut();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(part, find(".panel-notice"), problem);
    } finally {
      button.disabled = false;
    }
  }
  drawPerson();
});
