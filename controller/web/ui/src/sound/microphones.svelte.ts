/** Which microphone, whether it may be used, and how loud it is before anybody goes on air. */
import { Problem, problemFrom } from "../api";
import { openCapture, RATE, type Capture } from "./capture";
import { levelOf, settled, SILENCE_DB, type Level } from "./levels";

const KEY = "loa.microphone";
const SILENT: Level = { rms: SILENCE_DB, peak: SILENCE_DB };

export interface MicrophoneName {
  id: string;
  name: string;
}

class Microphones {
  #list = $state.raw<readonly MicrophoneName[]>([]);
  #chosen = $state<string | null>(globalThis.localStorage?.getItem(KEY) ?? null);
  #level = $state.raw<Level>(SILENT);
  #problem = $state.raw<Problem | null>(null);
  #testing = $state(false);
  #capture: Capture | null = null;
  #turn = 0;

  /** Empty until the browser was allowed to say. */
  get list(): readonly MicrophoneName[] {
    return this.#list;
  }

  /** A device's id; null: the system's usual one. */
  get chosen(): string | null {
    return this.#list.length === 0 || this.#list.some((each) => each.id === this.#chosen) ? this.#chosen : null;
  }

  get level(): Level {
    return this.#level;
  }

  /** Why it cannot be used. */
  get problem(): Problem | null {
    return this.#problem;
  }

  get testing(): boolean {
    return this.#testing;
  }

  choose(id: string | null): void {
    this.#chosen = id;
    if (id === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, id);
    if (this.#testing) void this.test();
  }

  /** Follow what is plugged in; gives back how to stop that. */
  watch(): () => void {
    void this.look();
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) this.#problem = new Problem(0, "insecure", "");
    const changed = () => void this.look();
    devices?.addEventListener("devicechange", changed);
    return () => {
      devices?.removeEventListener("devicechange", changed);
      this.rest();
    };
  }

  async look(): Promise<void> {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    this.#list = devices
      .filter((each) => each.kind === "audioinput" && each.label !== "" && !ALIASES.has(each.deviceId))
      .map((each) => ({ id: each.deviceId, name: each.label }));
  }

  /** Open it and show how loud it is; nothing leaves this computer. */
  async test(): Promise<void> {
    this.rest();
    const turn = ++this.#turn;
    this.#testing = true;
    this.#problem = null;
    try {
      const capture = await openCapture({
        device: this.chosen,
        frame: (samples) => (this.#level = settled(this.#level, levelOf(samples), samples.length / RATE)),
        ended: () => this.#lost(),
      });
      if (turn !== this.#turn) return capture.close();
      this.#capture = capture;
      if (!(await capture.runs())) this.rest(); // the browser wants a click first
      await this.look();
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#testing = false;
      this.#problem = problemFrom(error);
    }
  }

  /** Let it go. */
  rest(): void {
    this.#turn += 1;
    this.#capture?.close();
    this.#capture = null;
    this.#testing = false;
    this.#level = SILENT;
  }

  #lost(): void {
    this.rest();
    this.#problem = new Problem(0, "unplugged", "");
  }
}

/** Chromium lists the usual one twice, under names of its own. */
const ALIASES = new Set(["default", "communications"]);

export const microphones = new Microphones();
