// Plays one recording: rrweb draws the page in a frame of its own, which may run no script; the controls are ours.

import { make, say } from "./dom.js";
import { library } from "./replay-library.js";

const SPEEDS = [1, 2, 4, 8];
/** How much of the window it may take from above to below. */
const TALLEST = 0.7;
const TICK_MS = 100;
/** Jumps with the keys of the slider. */
const STEP_MS = 1_000;

/** Kinds of events, as rrweb numbers them. */
const SNAPSHOT = 2;
const STEP = 3;
const META = 4;
const MARK = 5;
const MUTATION = 0;

/** The style sheets of the release that shows it. The one that made it may be gone. */
const BASE = new URL(".", import.meta.url).pathname;
const SHEET = /^\/assets\/[0-9a-f]{16}\//;

/** The declarations of a style attribute, by their names: pages may have none as a text. */
const declarations = (text) => Object.fromEntries(text.split(";").map((one) => one.split(":").map((part) => part.trim())).filter((pair) => pair.length === 2));

/** Names the sheets of a node, and of those in it, as they are here, and moves their styles to what is set by script. */
function adopt(node, styles) {
  const { id, attributes, childNodes } = node ?? {};
  if (typeof attributes?.href === "string") attributes.href = attributes.href.replace(SHEET, BASE);
  if (typeof attributes?.style === "string") {
    styles.push({ id, attributes: { style: declarations(attributes.style) } });
    delete attributes.style;
  }
  childNodes?.forEach((child) => adopt(child, styles));
}

/** An event as it can be played here: it, and what has to follow it. */
function playable(event) {
  const { type, timestamp, data } = event;
  const styles = [];
  if (type === SNAPSHOT) {
    adopt(data.node, styles);
    return [event, { type: STEP, timestamp, data: { source: MUTATION, texts: [], removes: [], adds: [], attributes: styles } }];
  }
  if (type === STEP && data.source === MUTATION) {
    data.adds?.forEach(({ node }) => adopt(node, styles));
    for (const { attributes } of data.attributes ?? []) {
      if (typeof attributes.style === "string") attributes.style = declarations(attributes.style);
    }
    data.attributes = [...(data.attributes ?? []), ...styles];
  }
  return [event];
}

function prepared(events) {
  const sorted = events.toSorted((one, other) => one.timestamp - other.timestamp);
  // What comes before the first whole picture cannot be shown.
  const first = sorted.findIndex(({ type }) => type === META);
  return first < 0 ? [] : sorted.slice(first).flatMap(playable);
}

const clock = (ms) => {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
};

const isError = ({ type, data }) => type === MARK && data.tag === "error";

/** The element that plays these events, and `end`, after which nothing of it runs. */
export function player(life, events) {
  const shown = prepared(events);
  const stage = make("div", { class: "replay-stage" });
  const notice = make("p", { class: "soft", role: "status", text: "Loading …" });
  const element = make("section", { class: "replay", "aria-label": "The recording" }, notice, stage);
  const state = { replayer: null, isPlaying: false, isOver: false, stopTicking: null };

  function end() {
    state.isOver = true;
    state.stopTicking?.();
    state.replayer?.destroy();
    state.replayer = null;
  }

  async function start() {
    const rrweb = await library();
    if (state.isOver) return;
    if (shown.length < 2) {
      notice.textContent = "There is nothing in it that can be shown.";
      return;
    }
    // Without a copy of the page, which would set styles as texts.
    const replayer = new rrweb.Replayer(shown, { root: stage, mouseTail: false, triggerFocus: false, showWarning: false, useVirtualDom: false, skipInactive: true, speed: 1 });
    state.replayer = replayer;
    notice.remove();
    element.append(controls(replayer));
  }

  function controls(replayer) {
    const { startTime, totalTime } = replayer.getMetaData();
    const play = make("button", { type: "button", class: "button primary", "data-action": "play", text: "Play" });
    const slider = make("input", { type: "range", min: "0", max: String(Math.max(1, totalTime)), step: "1", value: "0", "aria-label": "Place in the recording" });
    const time = make("span", { class: "replay-time" });
    const speed = make("select", { "aria-label": "Speed" }, ...SPEEDS.map((one) => make("option", { value: String(one), text: `${one} ×` })));
    const skip = make("input", { type: "checkbox", checked: true });
    const marks = make("div", { class: "replay-marks" });
    const faults = shown.filter(isError).map(({ timestamp }) => timestamp - startTime);

    function draw() {
      const at = Math.min(totalTime, Math.max(0, replayer.getCurrentTime()));
      slider.value = String(Math.round(at));
      time.textContent = `${clock(at)} of ${clock(totalTime)}`;
      slider.setAttribute("aria-valuetext", time.textContent);
      play.textContent = state.isPlaying ? "Pause" : "Play";
    }

    function tick() {
      // Whoever has gone back to the list has left it.
      if (!element.isConnected) return end();
      draw();
    }

    function go(at) {
      const to = Math.min(totalTime, Math.max(0, at));
      if (state.isPlaying) replayer.play(to);
      else replayer.pause(to);
      draw();
    }

    function toggle() {
      state.isPlaying = !state.isPlaying;
      if (state.isPlaying) replayer.play(replayer.getCurrentTime() >= totalTime ? 0 : replayer.getCurrentTime());
      else replayer.pause();
      draw();
    }

    for (const at of faults) {
      const mark = make("button", { type: "button", class: "replay-mark", title: `Error at ${clock(at)}`, "aria-label": `Error at ${clock(at)}` });
      mark.style.setProperty("--at", String(totalTime ? at / totalTime : 0));
      mark.addEventListener("click", life.guard(() => go(at - STEP_MS)));
      marks.append(mark);
    }
    play.addEventListener("click", life.guard(toggle));
    slider.addEventListener("input", life.guard(() => go(Number(slider.value))));
    speed.addEventListener("change", life.guard(() => replayer.setConfig({ speed: Number(speed.value) })));
    skip.addEventListener("change", life.guard(() => replayer.setConfig({ skipInactive: skip.checked })));
    replayer.on("finish", () => {
      state.isPlaying = false;
      say("The recording has ended.");
      draw();
    });
    const fit = () => fitted(stage, replayer);
    replayer.on("resize", fit);
    life.on(window, "resize", fit);
    state.stopTicking = life.every(TICK_MS, tick);
    go(0);
    fit();
    const row = make("div", { class: "replay-buttons" }, play, time, make("label", {}, "Speed ", speed), make("label", {}, skip, " Skip what is quiet"));
    const errors = faults.length ? make("span", { class: "soft", text: faults.length === 1 ? "One error is marked." : `${faults.length} errors are marked.` }) : make("span", { class: "soft", text: "No error is in it." });
    return make("div", { class: "replay-controls" }, make("div", { class: "replay-line" }, slider, marks), row, errors);
  }

  life.run(start);
  return { element, end };
}

/** As large as there is room, in the proportions of the window that was recorded. */
function fitted(stage, { iframe, wrapper }) {
  const [width, height] = [Number(iframe.getAttribute("width")), Number(iframe.getAttribute("height"))];
  if (!width || !height) return;
  const scale = Math.min(1, stage.clientWidth / width, (innerHeight * TALLEST) / height);
  wrapper.style.transform = `scale(${scale})`;
  wrapper.style.width = `${width}px`;
  stage.style.height = `${Math.ceil(height * scale)}px`;
}
