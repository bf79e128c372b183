// The part that shows the open conversation.

import { Problem } from "./api.js";
import { emit, events } from "./bus.js";
import { $, readAloud, say } from "./dom.js";
import { MessageView } from "./message.js";
import { showProblem } from "./notice.js";
import { Part } from "./part.js";
import { drop } from "./queue.js";
import { rejoin } from "./reply.js";
import { database } from "./store.js";
import { loadEarlier, lookAgain, openTalk, renewTalk, talk } from "./talk.js";

/** This near to the end counts as reading the end. */
const NEAR_PX = 64;
/** Without a copy, what the server said is asked for again before it is two minutes old. */
const STALE_MS = 110_000;

export const chatPart = new Part("chat", (part) => {
  const find = (selector) => $(selector, part.root);
  const scroller = find("#scroller");
  const list = find("#messages");
  const jump = find("#jump-latest");
  const earlier = find("#load-earlier");
  const views = new Map();
  let follows = true;

  const toEnd = () => {
    if (follows) scroller.scrollTop = scroller.scrollHeight;
    jump.hidden = follows || !talk.messages.length;
  };
  const act = {
    retry: rejoin,
    again: (message) => emit("compose:again", questionOf(message)),
    rewrite: async ({ entry }) => {
      await drop(entry.id);
      emit("compose:add", entry.content);
    },
    drop: ({ entry }) => drop(entry.id),
  };

  function viewOf(message) {
    if (!views.has(message.id)) views.set(message.id, new MessageView(part, message, act, toEnd));
    return views.get(message.id);
  }

  function phase() {
    find("#skeleton").hidden = talk.phase !== "loading";
    find("#empty").hidden = talk.phase !== "new";
    find("#chat-notice").replaceChildren();
    list.setAttribute("aria-busy", String(talk.phase === "loading"));
    earlier.hidden = talk.next === null;
  }

  function draw({ detail }) {
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    phase();
    for (const [id, view] of views) {
      if (talk.messages.includes(view.message)) continue;
      view.element.remove();
      views.delete(id);
    }
    list.replaceChildren(...talk.messages.map((message) => viewOf(message).element));
    if (talk.phase === "failed") showFailure();
    if (detail?.quiet) {
      toEnd();
    } else if (detail?.earlier) {
      // What was being read stays where it is.
      scroller.scrollTop = scroller.scrollHeight - fromEnd;
    } else {
      follows = true;
      toEnd();
    }
  }

  function showFailure() {
    const missing = talk.problem.status === 404;
    const problem = missing ? new Problem({ status: 404, code: "not_found", detail: "This conversation is not here. It may have been deleted." }) : talk.problem;
    const options = missing ? { label: "New conversation", retry: () => emit("open", { id: null }) } : { retry: () => openTalk(talk.id, talk.title) };
    showProblem(part, find("#chat-notice"), problem, options);
  }

  part.on(events, "chat:reset", draw);
  part.on(events, "chat:started", ({ detail }) => {
    if (!detail.isOpen) return;
    phase();
    follows = true;
  });
  part.on(events, "chat:message", ({ detail: message }) => {
    const view = viewOf(message);
    view.update();
    if (!view.element.isConnected) list.append(view.element);
    toEnd();
  });
  part.on(events, "chat:token", ({ detail: message }) => viewOf(message).grow());
  part.on(events, "chat:state", () => {
    list.classList.toggle("reconnecting", Boolean(talk.reply?.attempt));
    if (talk.reply?.attempt === 1) say("The connection was lost. Connecting again.");
  });
  part.on(events, "chat:done", ({ detail: reply }) => {
    const text = list.querySelector(`[data-message-id="${CSS.escape(reply.id)}"] .message-content`)?.textContent ?? "";
    readAloud(`Mainstay replied: ${text || "nothing."}`);
  });

  // What this device knows changed: by another window, another device, or what was sent from here.
  let isDeleted = false;
  const look = part.soon(40, () => {
    const options = { isDeleted };
    isDeleted = false;
    return lookAgain(options);
  });
  part.on(events, "local:queue", look);
  part.on(events, "local:rows", ({ detail: { changes, all } }) => {
    const mine = changes.filter(({ id, parent }) => id === talk.id || parent === talk.id);
    isDeleted ||= mine.some(({ id, deleted }) => deleted && id === talk.id);
    if (all || mine.length) look();
  });

  part.every(STALE_MS, () => {
    if (!database() && !document.hidden) return renewTalk();
  });

  part.on(events, "restored", () => {
    if (talk.reply) return;
    const last = talk.messages.at(-1);
    if (talk.phase === "failed" && talk.problem.isPassing) openTalk(talk.id, talk.title);
    else if (last?.lost?.problem.isPassing) rejoin(last);
  });

  part.on(scroller, "scroll", () => {
    follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
    jump.hidden = follows || !talk.messages.length;
  }, { passive: true });
  part.on(jump, "click", () => {
    follows = true;
    // A long way is not worth the ride, and a growing end would outrun it.
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches || talk.reply !== null;
    const near = scroller.scrollHeight - scroller.scrollTop < 3 * scroller.clientHeight;
    scroller.scrollTo({ top: scroller.scrollHeight, behavior: near && !calm ? "smooth" : "instant" });
    jump.hidden = true;
    scroller.focus({ preventScroll: true });
  });
  part.on(earlier, "click", async () => {
    earlier.disabled = true;
    try {
      await loadEarlier();
      say("Earlier messages were loaded.");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(part, find("#chat-notice"), problem, { retry: () => earlier.click(), dismiss: true });
    } finally {
      earlier.disabled = false;
    }
  });
  for (const example of part.root.querySelectorAll("[data-example]")) {
    part.on(example, "click", () => emit("compose:fill", example.textContent));
  }
  // The keyboard of a phone, or a longer draft, takes height away from below.
  const sizes = new ResizeObserver(() => toEnd());
  sizes.observe(scroller);
  part.onStop(() => sizes.disconnect());

  greet();
  part.on(events, "signed-in", greet);
  const wanted = new URLSearchParams(location.search).get("c");
  openTalk(wanted);

  function greet() {
    const hour = new Date().getHours();
    const time = hour < 5 ? "Good evening" : hour < 12 ? "Good morning" : hour < 18 ? "Good afternoon" : "Good evening";
    find("#greeting").textContent = `${time}.`;
  }
});

/** The question that a reply belongs to: the nearest one before it. */
function questionOf(reply) {
  const before = talk.messages.slice(0, talk.messages.indexOf(reply));
  return before.reverse().find((message) => message.role === "user")?.content ?? "";
}
