// The sound of a call: what the microphone hears, and what is played of the answer.

/** What the server takes. */
const RATE = 16_000;
/** What is played waits this long, so that a late piece leaves no gap. */
const BUFFER_S = 0.08;

/** Asks for the microphone and gives its sound to `heard(chunk, level)`. Answers with what ends it. */
export async function openMicrophone(heard) {
  const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
  const context = new AudioContext({ sampleRate: RATE });
  try {
    await context.audioWorklet.addModule(new URL("./voice-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => heard(data.chunk, data.level);
    context.createMediaStreamSource(stream).connect(node);
    await context.resume();
  } catch (error) {
    close(stream, context);
    throw error;
  }
  return () => close(stream, context);
}

function close(stream, context) {
  for (const track of stream.getTracks()) track.stop();
  if (context.state !== "closed") context.close();
}

/** Plays answers, one turn after the other. */
export class Player {
  #context = new AudioContext();
  #sources = new Set();
  #rate = 24_000;
  #turn = null;
  #cleared = 0;
  #until = 0;
  #began = 0;
  #length = 0;

  /** The sound of a turn begins, or goes on with another rate. */
  begin(turn, rate) {
    this.#rate = rate;
    if (this.#turn === turn) return;
    this.#turn = turn;
    this.#began = 0;
    this.#length = 0;
  }

  /** Plays a piece: eight bytes that say of which turn it is, and samples of 16 bits. */
  play(frame) {
    const turn = new DataView(frame).getUint32(0, true);
    if (turn <= this.#cleared || turn !== this.#turn) return;
    const samples = new Int16Array(frame, 8);
    const buffer = this.#context.createBuffer(1, samples.length, this.#rate);
    const channel = buffer.getChannelData(0);
    for (let at = 0; at < samples.length; at += 1) channel[at] = samples[at] / 32768;
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#context.destination);
    source.onended = () => this.#sources.delete(source);
    this.#sources.add(source);
    const now = this.#context.currentTime;
    this.#until = this.#until > now ? this.#until : now + BUFFER_S;
    this.#began ||= this.#until;
    source.start(this.#until);
    this.#until += buffer.duration;
    this.#length += buffer.duration;
  }

  /** Plays nothing more of a turn. */
  clear(turn) {
    this.#cleared = Math.max(this.#cleared, turn);
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    this.#until = 0;
  }

  get isPlaying() {
    return this.#sources.size > 0;
  }

  /** Which turn is played, and how much of it was. */
  get played() {
    const seconds = this.#began ? Math.min(this.#context.currentTime - this.#began, this.#length) : 0;
    return { turn: this.#turn, ms: Math.max(0, Math.round(seconds * 1000)) };
  }

  close() {
    this.clear(this.#turn ?? 0);
    this.#context.close();
  }
}
