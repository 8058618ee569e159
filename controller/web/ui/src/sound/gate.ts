/**
 * Push to talk: what the microphone hears goes on only while the gate is open; shut, silence goes on in its place, so that
 * the session lasts. Opening and shutting take one frame, without a click. Pure.
 */
export class Gate {
  open = true;
  #gain = 1;

  /** At once, without a fade: nothing of what comes next is heard. */
  shut(): void {
    this.open = false;
    this.#gain = 0;
  }

  pass(frame: Float32Array): Float32Array {
    const from = this.#gain;
    const to = this.open ? 1 : 0;
    this.#gain = to;
    if (from === 1 && to === 1) return frame;
    const out = new Float32Array(frame.length);
    if (from === to) return out;
    for (const [i, sample] of frame.entries()) out[i] = sample * (from + ((to - from) * i) / frame.length);
    return out;
  }
}
