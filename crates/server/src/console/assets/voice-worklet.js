// Takes sound from the microphone, in the thread of sound: 20 milliseconds at a time, as 16 bits.

const SAMPLES = 320;

class Microphone extends AudioWorkletProcessor {
  #chunk = new Int16Array(SAMPLES);
  #length = 0;
  #squares = 0;

  process([[channel]]) {
    for (const value of channel ?? []) {
      const sample = Math.max(-1, Math.min(1, value));
      this.#squares += sample * sample;
      this.#chunk[this.#length++] = sample * (sample < 0 ? 32768 : 32767);
      if (this.#length === SAMPLES) this.#send();
    }
    return true;
  }

  #send() {
    const level = Math.sqrt(this.#squares / SAMPLES);
    this.port.postMessage({ chunk: this.#chunk.buffer, level }, [this.#chunk.buffer]);
    this.#chunk = new Int16Array(SAMPLES);
    this.#length = 0;
    this.#squares = 0;
  }
}

registerProcessor("microphone", Microphone);
