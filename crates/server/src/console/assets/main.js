// The beginning: finds out who is there, starts the parts, and keeps the address of the page and the open
// conversation the same.

import { accountPart, person } from "./account.js";
import { Problem, call, expectSomebody, isSignedIn, refresh } from "./api.js";
import { authPart } from "./auth.js";
import { emit, events } from "./bus.js";
import { chatPart } from "./chat.js";
import { composerPart } from "./composer.js";
import { $, make, say } from "./dom.js";
import { drawerPart } from "./drawer.js";
import { clearDrafts } from "./drafts.js";
import { startFollowing, stopFollowing } from "./following.js";
import { startLayout } from "./layout.js";
import { watchNetwork } from "./network.js";
import { showProblem } from "./notice.js";
import { keepShell } from "./offline.js";
import { watchWindow } from "./part.js";
import { databaseName, deleteAll, forgetRows, openStore, recallPerson, rememberPerson } from "./store.js";
import { leave, moved, openTalk, talk } from "./talk.js";
import { usagePart } from "./usage.js";

const inside = [composerPart, drawerPart, chatPart, usagePart];
const heading = $("#conversation-title");
const isWide = matchMedia("(min-width: 800px) and (hover: hover)");

const show = (view) => {
  document.body.dataset.view = view;
  drawTitle();
};

function drawTitle() {
  const view = document.body.dataset.view;
  const title = view === "app" ? talk.title || (talk.id ? "Conversation" : "New conversation") : "Mainstay";
  heading.textContent = title;
  document.title = view === "app" && talk.id ? `${title} · Mainstay` : "Mainstay";
}

async function boot() {
  show("boot");
  $("#boot-notice").replaceChildren();
  // Whoever was here last sees what this device knows at once, with or without a network.
  const last = recallPerson();
  if (last) {
    expectSomebody();
    await enter(last);
    return lookWho();
  }
  try {
    await refresh();
    await enter(await call("GET", "/v1/me"));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) return askWho();
    bootProblem(problem);
  }
}

/** Asks the server whether it is still the same person. A session that has ended says so by itself. */
async function lookWho() {
  if (!person.user) return;
  try {
    const found = await call("GET", "/v1/me");
    if (!person.user) return;
    if (databaseName(found) !== databaseName(person)) {
      rememberPerson(found);
      return location.reload();
    }
    Object.assign(person, { user: found.user, organisation: found.organisation });
    rememberPerson(person);
    emit("signed-in");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.isPassing) events.addEventListener("restored", lookWho, { once: true });
  }
}

/** No part runs yet: the notice gets a frame that lives as long as itself. */
function bootProblem(problem) {
  const control = new AbortController();
  const again = () => {
    control.abort();
    return boot();
  };
  const frame = {
    on: (target, type, handler) => target.addEventListener(type, handler, { signal: control.signal }),
    every: (ms, handler) => {
      const id = setInterval(handler, ms);
      control.signal.addEventListener("abort", () => clearInterval(id));
      return () => clearInterval(id);
    },
  };
  showProblem(frame, $("#boot-notice"), problem, { retry: again, ready: again });
  frame.on(window, "online", again);
  frame.on(events, "restored", again);
}

function askWho(reason) {
  authPart.start();
  show("auth");
  if (reason === "ended") {
    const text = make("p", { class: "notice-title", text: "Your session has ended. Sign in again to go on." });
    $("#sign-in-form .form-notice").replaceChildren(make("div", { class: "notice", role: "status" }, text));
  }
  $("#sign-in-email").focus();
}

/** Counts who comes and goes, since coming in takes a moment. */
let comings = 0;

async function enter({ user, organisation }) {
  const mine = ++comings;
  Object.assign(person, { user, organisation });
  await openStore(person);
  if (mine !== comings) return;
  rememberPerson(person);
  authPart.stop();
  show("app");
  startFollowing(person);
  for (const part of inside) part.start();
  emit("signed-in");
  if (isWide.matches) emit("compose:focus");
}

events.addEventListener("entered", ({ detail }) => enter(detail));
events.addEventListener("signed-out", ({ detail: reason }) => {
  comings += 1;
  stopFollowing();
  Object.assign(person, { user: null, organisation: null });
  leave();
  for (const part of inside) part.stop();
  // Whoever left on purpose leaves nothing behind. After a session that ended, what was written is still there.
  if (reason === "ended") {
    forgetRows();
  } else {
    clearDrafts();
    deleteAll();
    history.replaceState(null, "", "/");
  }
  askWho(reason);
  if (reason !== "ended") say("You are signed out.");
});

// The open conversation and the address.
const address = (id) => (id ? `/?c=${encodeURIComponent(id)}` : "/");

events.addEventListener("open", ({ detail: { id, title, replace } }) => {
  if (id !== talk.id || !id) {
    if (location.pathname + location.search !== address(id)) history[replace ? "replaceState" : "pushState"](null, "", address(id));
    openTalk(id, title);
  }
  if (isWide.matches || !id) emit("compose:focus");
});
events.addEventListener("chat:started", ({ detail: { from, id, isOpen } }) => {
  if (isOpen && from === null) history.pushState(null, "", address(id));
});
events.addEventListener("local:queue", ({ detail }) => {
  if (!detail.moved || talk.id !== detail.moved.from) return;
  moved(detail.moved.from, detail.moved.to);
  history.replaceState(null, "", address(talk.id));
});
events.addEventListener("chat:reset", drawTitle);
events.addEventListener("chat:state", drawTitle);
addEventListener("popstate", () => {
  if (isSignedIn()) openTalk(new URLSearchParams(location.search).get("c"));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.wordmark");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  if (isSignedIn()) emit("open", { id: null });
});
// A page that comes back from the browser's cache has old tokens and dead streams.
addEventListener("pageshow", (event) => event.persisted && location.reload());

watchWindow();
startLayout();
watchNetwork();
accountPart.start();
boot();
keepShell();
// Not part of the first load. Where it cannot be had, the page does without.
import("./reports.js").catch(() => {});
