/** Collects a microphone's samples into frames of 20 ms and hands them over. Runs in the audio thread. */
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

class Frames extends AudioWorkletProcessor {
  #frame = new Float32Array(Math.round(sampleRate / 50));
  #filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const channel = inputs[0]?.[0];
    if (!channel) return true;
    let at = 0;
    while (at < channel.length) {
      const count = Math.min(channel.length - at, this.#frame.length - this.#filled);
      this.#frame.set(channel.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.#frame.length) {
        const whole = this.#frame;
        this.#frame = new Float32Array(whole.length);
        this.#filled = 0;
        this.port.postMessage(whole, [whole.buffer]);
      }
    }
    return true;
  }
}

registerProcessor("frames", Frames);
export {};
