// The part that is a call: one speaks with the assistant, reads along, and interrupts it by speaking.

import { Problem, call } from "./api.js";
import { emit } from "./bus.js";
import { $, make } from "./dom.js";
import { Part } from "./part.js";
import { talk } from "./talk.js";
import { Player, openMicrophone } from "./voice-sound.js";

/** How often the server is told how much was played. */
const REPORT_MS = 250;
/** A muted microphone says that it is there this often. */
const ALIVE_MS = 15_000;
/** Captions that are kept. */
const MOST_CAPTIONS = 100;
/** Why a call ended, in words. */
const ENDINGS = {
  idle: "Nobody spoke for a while.",
  too_long: "A call may not last longer.",
  spent: "What your plan or budget allows is used up.",
  server_stopping: "The server starts again. Call once more in a moment.",
  place_lost: "The call was taken up elsewhere.",
  signed_out: "You signed out.",
  nobody_listens: "Nobody is there to listen just now.",
};
const WARNINGS = {
  nothing_understood: "That was not understood.",
  listening_interrupted: "The connection to those who listen broke. It is made again.",
  sentence_not_spoken: "A sentence could not be spoken. It is in the captions.",
  reply_too_long_to_speak: "The rest is too long to speak. It is in the conversation.",
};

const voicePart = new Part("voice", (part) => {
  const find = (selector) => $(selector, part.root);
  const dialog = find("#voice");
  const state = find("#voice-state");
  const meter = find("#voice-meter");
  const captions = find("#voice-captions");
  const player = new Player();
  let socket = null;
  let isMuted = false;
  let isReady = false;
  let conversation = talk.id;
  let closeMicrophone = () => {};
  let draft = null;

  const tell = (text) => (state.textContent = text);
  const send = (frame) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(frame));

  function caption(who, text) {
    const line = make("p", { class: `voice-${who}`, "data-role": who }, make("b", { text: who === "user" ? "You: " : "Mainstay: " }), text);
    captions.append(line);
    while (captions.children.length > MOST_CAPTIONS) captions.firstElementChild.remove();
    captions.scrollTop = captions.scrollHeight;
    return line;
  }

  function transcript({ role, final: isFinal, text, conversation_id }) {
    if (conversation_id) conversation = conversation_id;
    if (!text) return;
    if (role === "user" && !isFinal) {
      draft?.remove();
      draft = caption("user", `${text} …`);
      draft.setAttribute("aria-hidden", "true");
      return;
    }
    draft?.remove();
    draft = null;
    caption(role, text);
  }

  const frames = {
    ready: () => {
      isReady = true;
      tell("Listening.");
    },
    speech_started: () => tell("You speak."),
    transcript,
    audio_start: ({ turn, sample_rate }) => {
      player.begin(turn, sample_rate);
      tell("Mainstay speaks.");
    },
    audio_end: () => tell("Listening."),
    clear: ({ turn }) => {
      player.clear(turn);
      tell("Listening.");
    },
    latency: ({ first_audio_ms }) => (dialog.dataset.latency = String(first_audio_ms)),
    warning: ({ code }) => WARNINGS[code] && tell(WARNINGS[code]),
    error: ({ message }) => tell(message),
    ended: ({ reason }) => tell(ENDINGS[reason] ?? "The call is over."),
  };

  function over() {
    isReady = false;
    closeMicrophone();
    meter.value = 0;
    dialog.dataset.over = "true";
    find("#voice-mute").disabled = true;
    find("#voice-quiet").disabled = true;
    find("#voice-hang-up").textContent = "Close";
  }

  async function open() {
    const { ticket } = await call("POST", "/v1/live/tickets", { signal: part.signal });
    const url = new URL("/v1/voice", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ ticket });
    socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = part.guard(() => send({ type: "start", conversation_id: talk.id, encoding: "pcm_s16le", sample_rate: 16_000, language: language() }));
    socket.onmessage = part.guard(({ data }) => {
      if (typeof data !== "string") return player.play(data);
      const frame = JSON.parse(data);
      return frames[frame.type]?.(frame);
    });
    socket.onclose = part.guard(({ code }) => {
      // A handshake that was refused has no reason that a page can read.
      if (!isReady && code === 1006) tell("The call was not taken. You may have as many calls as your plan allows already.");
      over();
    });
  }

  function heard(chunk, level) {
    meter.value = isMuted ? 0 : Math.min(1, level * 4);
    if (isReady && !isMuted && socket.readyState === WebSocket.OPEN) socket.send(chunk);
  }

  function hangUp() {
    send({ type: "stop" });
    dialog.close();
  }

  part.on(find("#voice-mute"), "click", ({ currentTarget }) => {
    isMuted = !isMuted;
    currentTarget.setAttribute("aria-pressed", String(isMuted));
    currentTarget.textContent = isMuted ? "Unmute" : "Mute";
  });
  part.on(find("#voice-quiet"), "click", () => send({ type: "cancel" }));
  part.on(find("#voice-hang-up"), "click", hangUp);
  part.on(dialog, "cancel", () => send({ type: "stop" }));
  part.on(dialog, "close", () => {
    const spoken = conversation;
    part.stop();
    if (spoken && spoken !== talk.id) emit("open", { id: spoken });
    emit("compose:focus");
  });
  part.every(REPORT_MS, () => player.isPlaying && send({ type: "played", ...player.played }));
  part.every(ALIVE_MS, () => send({ type: "ping" }));
  part.onStop(() => {
    closeMicrophone();
    player.close();
    socket?.close(1000);
  });

  dialog.showModal();
  part.run(async () => {
    try {
      closeMicrophone = await openMicrophone(part.guard(heard));
      // It may have been closed while it asked.
      if (!dialog.isConnected) return closeMicrophone();
      await open();
    } catch (problem) {
      over();
      if (problem instanceof Problem) tell(problem.detail);
      else if (problem instanceof DOMException) tell("Without the microphone there is no call. Allow it for this page, and call again.");
      else throw problem;
    }
  });
});

/** The language of the page's reader, as the server takes it. */
function language() {
  const [wanted] = navigator.languages ?? [navigator.language];
  return /^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$/.test(wanted ?? "") ? wanted : "en";
}

/** Begins a call. */
export const begin = () => voicePart.start();
