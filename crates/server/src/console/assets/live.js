// The socket on which changes come as they are committed, for as long as a life lasts. It comes back by itself, when and if
// the server says so, spread by chance.

import { Problem, call, refresh } from "./api.js";
import { events } from "./bus.js";

/** The first wait is a random part of this; it doubles, up to the longest. */
const FIRST_MS = 1000;
const LONGEST_MS = 60_000;
/** A socket that lasted this long was a good one. */
const LASTED_MS = 20_000;
/** The server says something at least every 25 s. */
const SILENCE_MS = 70_000;
/** Close codes after which the same would happen again; a reason with the code says it better. */
const FINAL = new Set([1002, 1003, 1008, 4401, 4429]);
const SIGNED_OUT = 4401;

/**
 * Keeps a socket open while `life` lasts. `frame(frame)` takes what the server says, `lost()` is called when the socket is
 * gone.
 */
export function keepSocket(life, { frame, lost }) {
  let socket = null;
  let isOpening = false;
  let isOver = false;
  let failures = 0;
  let opened = 0;
  let heard = 0;
  let cancel = () => {};

  async function connect() {
    cancel();
    if (socket || isOpening || isOver || !navigator.onLine) return;
    isOpening = true;
    try {
      const { ticket } = await call("POST", "/v1/live/tickets", { signal: life.signal });
      if (life.isRunning) open(ticket);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      // Without a socket the page syncs at the pace that the server names.
      if (problem.isPassing) again((problem.retryAfter ?? 0) * 1000);
    } finally {
      isOpening = false;
    }
  }

  function open(ticket) {
    const url = new URL("/v1/live", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ ticket, html: "true" });
    const own = new WebSocket(url);
    socket = own;
    opened = heard = Date.now();
    own.onmessage = life.guard(({ data }) => {
      if (socket !== own) return;
      heard = Date.now();
      const said = JSON.parse(data);
      if (said.type !== "ping") return frame(said);
      own.send('{"type":"pong"}');
    });
    own.onclose = life.guard((event) => socket === own && closed(event));
  }

  function closed({ code, reason }) {
    socket = null;
    if (Date.now() - opened > LASTED_MS) failures = 0;
    lost();
    let said = {};
    try {
      said = JSON.parse(reason);
    } catch {
      // The code alone says it.
    }
    if (said.reconnect ?? !FINAL.has(code)) return again(said.after_ms ?? 0);
    // The token has ended; with a session that goes on there is a new one. Without, renewing it says so to the page.
    if (code === SIGNED_OUT) return refresh().then(() => again(0), (problem) => problem.isPassing && again(0));
    isOver = true;
  }

  /** Comes back after what the server named and a wait by chance. */
  function again(least) {
    if (!life.isRunning) return;
    const most = Math.min(FIRST_MS * 2 ** failures, LONGEST_MS);
    failures += 1;
    cancel();
    cancel = life.after(least + most * (0.2 + 0.8 * Math.random()), connect);
  }

  /** Lets go of a socket on which nothing can come any more. */
  function give() {
    if (!socket) return;
    const old = socket;
    socket = null;
    old.close();
    lost();
  }

  function now() {
    failures = 0;
    return connect();
  }

  life.every(SILENCE_MS / 4, () => {
    if (!socket || Date.now() - heard < SILENCE_MS) return;
    give();
    again(0);
  });
  life.on(window, "offline", give);
  life.on(window, "online", now);
  life.on(events, "restored", now);
  life.onStop(give);
  life.run(connect);
}
