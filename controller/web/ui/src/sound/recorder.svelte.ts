/** Recording in the browser: plain samples, so that nothing is coded twice; kept in memory until it is uploaded. */
import { Problem, problemFrom } from "../api";
import { openCapture, RATE, type Capture } from "./capture";
import { levelOf, samples16, settled, SILENCE_DB, wavOf, type Level } from "./levels";
import { microphones } from "./microphones.svelte";

/** 170 MB in memory; whoever speaks longer uses a recorder. */
export const LONGEST_S = 30 * 60;

export class Recorder {
  #state = $state<"idle" | "opening" | "recording" | "paused" | "done">("idle");
  #seconds = $state(0);
  #level = $state.raw<Level>({ rms: SILENCE_DB, peak: SILENCE_DB });
  #problem = $state.raw<Problem | null>(null);
  #sound = $state.raw<Blob | null>(null);
  #frames: ArrayBuffer[] = [];
  #capture: Capture | null = null;

  get state() {
    return this.#state;
  }
  get seconds(): number {
    return this.#seconds;
  }
  get level(): Level {
    return this.#level;
  }
  get problem(): Problem | null {
    return this.#problem;
  }
  /** What was recorded, as a WAV file. */
  get sound(): Blob | null {
    return this.#sound;
  }

  async start(): Promise<void> {
    this.discard();
    this.#state = "opening";
    try {
      this.#capture = await openCapture({
        device: microphones.chosen,
        frame: (samples) => this.#take(samples),
        ended: () => {
          this.#problem = new Problem(0, "unplugged", "");
          this.finish();
        },
      });
      await this.#capture.runs();
      this.#state = "recording";
      await microphones.look();
    } catch (error) {
      this.#problem = problemFrom(error);
      this.#state = "idle";
    }
  }

  pause(): void {
    if (this.#state === "recording") this.#state = "paused";
  }

  resume(): void {
    if (this.#state === "paused") this.#state = "recording";
  }

  finish(): void {
    this.#capture?.close();
    this.#capture = null;
    if (this.#frames.length > 0) this.#sound = wavOf(this.#frames, RATE);
    this.#frames = [];
    this.#state = this.#sound ? "done" : "idle";
  }

  discard(): void {
    this.#capture?.close();
    this.#capture = null;
    this.#frames = [];
    this.#sound = this.#problem = null;
    this.#seconds = 0;
    this.#state = "idle";
  }

  #take(samples: Float32Array): void {
    this.#level = settled(this.#level, levelOf(samples), samples.length / RATE);
    if (this.#state !== "recording") return;
    this.#frames.push(samples16(samples));
    this.#seconds += samples.length / RATE;
    if (this.#seconds >= LONGEST_S) this.finish();
  }
}
