/**
 * A live session of this window: opened, spoken into, found again after a reload or a broken line. One for the whole
 * console: whoever goes to another page meanwhile stays on air, and every page says so.
 *
 * Rules kept here: what is said to be on air is what the controller says is on air, not what was wished; a line that is
 * silent is shown as broken long before the browser notices; what the network does not take is dropped, since live sound
 * does not wait.
 */
import { api, call, Problem, problemFrom, type shapes } from "../api";
import { openCapture, RATE, type Capture } from "./capture";
import { Gate } from "./gate";
import { speechEncoder, type SpeechEncoder } from "./encoder";
import { settled, SILENCE_DB } from "./levels";
import { microphones } from "./microphones.svelte";

export type SpeakingState = "idle" | "opening" | "waiting" | "chime" | "on_air" | "absent" | "closing" | "ended";

export interface LiveWish {
  title: string;
  everywhere: boolean;
  areas: readonly string[];
  clusters: readonly string[];
  chime: boolean;
}

interface Said {
  type: string;
  state?: SpeakingState;
  left_s?: number | null;
  rms_db?: number;
  peak_db?: number;
  code?: string;
  detail?: string;
}

const MOST_UNSENT = 64 * 1024;
const METER_S = 0.1;
const RETRY_MS = 1_000;
const TRIES = 15; // the controller waits ten seconds for a speaker
const STALLED_MS = 1_500; // on air a meter comes ten times a second
const DEAD_MS = 5_000; // the line is given up and made anew: the controller waits ten seconds in all
const REMEMBERED = "loa.live";
const HOLD = "loa.hold-to-talk";
const GONE = new Set(["unauthenticated", "forbidden", "not_found", "not_your_session", "session_ended"]);

class Speaking {
  #state = $state<SpeakingState>("idle");
  #session = $state.raw<shapes.LiveSessionView | null>(null);
  #endsAt = $state<number | null>(null);
  #level = $state.raw({ rms: SILENCE_DB, peak: SILENCE_DB });
  #codec = $state<"opus" | "pcm">("opus");
  #dropped = $state(0);
  #warning = $state.raw<Problem | null>(null);
  #outcome = $state.raw<Problem | null>(null);
  #resumable = $state(remembered() !== null);
  #about = $state<string | null>(null);
  #hold = $state(globalThis.localStorage?.getItem(HOLD) === "yes");
  #talking = $state(false);
  #gate = new Gate();

  #socket: WebSocket | null = null;
  #capture: Capture | null = null;
  #encoder: SpeechEncoder | null = null;
  #meterAt: number | null = null; // when the last meter came; null: none is due
  #stalled = false;

  constructor() {
    setInterval(() => this.#watch(), 250);
  }

  /** As the controller says; "absent" also while nothing is heard of it. */
  get state(): SpeakingState {
    return this.#state;
  }

  /** Whether words spoken now are heard in the villages. */
  get onAir(): boolean {
    return this.#state === "on_air";
  }

  /** Push to talk: the microphone is heard only while somebody holds ({@link talk}). Kept in this browser. */
  get hold(): boolean {
    return this.#hold;
  }
  set hold(on: boolean) {
    this.#hold = on;
    localStorage.setItem(HOLD, on ? "yes" : "no");
    this.talk(false);
  }

  get talking(): boolean {
    return this.#talking;
  }

  /** Whether it goes on air just now. */
  get open(): boolean {
    return !this.#hold || this.#talking;
  }

  talk(on: boolean): void {
    this.#talking = on && this.#hold;
    this.#gate.open = this.open;
  }

  /** Whether a session of this window is open. */
  get busy(): boolean {
    return this.#session !== null || this.#state === "opening";
  }

  get session(): shapes.LiveSessionView | null {
    return this.#session;
  }

  /** The session that is open, or whose outcome is still shown. */
  get about(): string | null {
    return this.#about;
  }

  /** When the hard stop comes, in the browser's own time. */
  get endsAt(): Date | null {
    return this.#endsAt === null ? null : new Date(this.#endsAt);
  }

  get level(): { rms: number; peak: number } {
    return this.#level;
  }

  get codec(): "opus" | "pcm" {
    return this.#codec;
  }

  /** Frames that the network did not take. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What the speaker should know while it goes on. */
  get warning(): Problem | null {
    return this.#warning;
  }

  /** Why the last session ended. */
  get outcome(): Problem | null {
    return this.#outcome;
  }

  /** A session of this window from before a reload waits for its voice. */
  get resumable(): boolean {
    return this.#resumable && this.#session === null;
  }

  /** Go on air. The microphone comes first: without one nothing is opened. Throws a Problem. */
  async start({ chime, ...wish }: LiveWish): Promise<void> {
    const body = {
      ...wish,
      areas: [...wish.areas],
      clusters: [...wish.clusters],
      chime_before: chime,
      chime_after: chime,
    };
    await this.#begin(() => call(api.POST("/api/v1/live", { body: body as shapes.LiveShape })));
  }

  /** Speak in a session that is open already: an alert's live voice. Throws a Problem. */
  async join(id: string): Promise<void> {
    await this.#begin(() => this.#look(id));
  }

  /** Go on after a reload. False: the browser wants a click first. Throws a Problem. */
  async resume(): Promise<boolean> {
    const id = remembered();
    if (id === null) return false;
    try {
      const session = await this.#look(id);
      await this.#open();
      if (!(await this.#capture!.runs())) {
        this.#quiet();
        this.#state = "idle";
        return false;
      }
      this.#join(session);
      return true;
    } catch (error) {
      const problem = problemFrom(error);
      this.#quiet();
      this.#state = "idle";
      if (GONE.has(problem.code) || problem.status === 0) this.#forget();
      throw problem;
    }
  }

  stop(): void {
    this.#tell("stop");
  }

  extend(): void {
    this.#tell("extend");
  }

  /** Another page of words: the outcome was read. */
  dismiss(): void {
    if (this.#session) return;
    this.#outcome = this.#about = null;
    this.#state = "idle";
  }

  async #begin(open: () => Promise<shapes.LiveSessionView>): Promise<void> {
    if (this.busy) throw new Problem(409, "already_speaking", "");
    this.#outcome = this.#warning = this.#about = null;
    this.#state = "opening";
    try {
      await this.#open();
      await this.#capture!.runs();
      this.#join(await open());
    } catch (error) {
      this.#quiet();
      this.#state = "idle";
      throw problemFrom(error);
    }
  }

  async #open(): Promise<void> {
    this.talk(false);
    if (!this.open) this.#gate.shut();
    this.#encoder = await speechEncoder((bytes) => this.#put(bytes));
    this.#codec = this.#encoder.codec;
    this.#capture = await openCapture({
      device: microphones.chosen,
      frame: (samples) => this.#encoder?.push(this.#gate.pass(samples)),
      ended: () => {
        this.#warning = new Problem(0, "unplugged", "");
        this.stop();
      },
    });
    void microphones.look();
  }

  #join(session: shapes.LiveSessionView): void {
    this.#session = session;
    this.#about = session.id;
    this.#state = "waiting";
    this.#endsAt = null;
    this.#dropped = 0;
    sessionStorage.setItem(REMEMBERED, session.id);
    this.#resumable = true;
    window.addEventListener("beforeunload", ask);
    this.#connect(0);
  }

  /** How the session is; throws why it cannot be spoken in. */
  async #look(id: string): Promise<shapes.LiveSessionView> {
    const session = await call(api.GET("/api/v1/live/{session_id}", { params: { path: { session_id: id } } }));
    if (session.state === "ended" || session.state === "closing") {
      throw new Problem(0, session.code || "session_ended", "");
    }
    return session;
  }

  #put(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MOST_UNSENT) this.#dropped += 1;
    else this.#socket.send(bytes);
  }

  #tell(type: "stop" | "extend"): void {
    const id = this.#session?.id;
    if (!id) return;
    if (this.#socket?.readyState === WebSocket.OPEN && !this.#stalled) {
      this.#socket.send(JSON.stringify({ type }));
      return;
    }
    const params = { path: { session_id: id } };
    const sent =
      type === "stop"
        ? call(api.POST("/api/v1/live/{session_id}/stop", { params }))
        : call(api.POST("/api/v1/live/{session_id}/extend", { params, body: { minutes: 10 } }));
    sent.catch((error: unknown) => (this.#warning = problemFrom(error)));
  }

  #connect(tries: number): void {
    const id = this.#session!.id;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live/${id}/microphone`, "loa.microphone.1");
    this.#socket = socket;
    this.#meterAt = null;
    socket.binaryType = "arraybuffer";
    let done = tries;
    socket.onopen = () => {
      done = 0;
      const client = navigator.userAgent.slice(0, 200);
      socket.send(JSON.stringify({ type: "hello", codec: this.#codec, rate: RATE, client }));
    };
    socket.onmessage = (event: MessageEvent<string>) => this.#hear(JSON.parse(event.data) as Said);
    socket.onclose = () => void this.#broken(done);
  }

  /** The line broke, or was refused: a WebSocket does not say why, so ask. */
  async #broken(tries: number): Promise<void> {
    const id = this.#session?.id;
    if (!id) return;
    this.#meterAt = null;
    this.#state = "absent";
    try {
      await this.#look(id);
    } catch (error) {
      const problem = problemFrom(error);
      const unreachable = problem.code === "unreachable_controller" || problem.code === "timeout";
      if (!unreachable && (problem.status === 0 || GONE.has(problem.code))) return this.#finish(problem);
    }
    if (tries >= TRIES) this.#finish(new Problem(0, "unreachable_controller", ""));
    else
      setTimeout(() => {
        if (this.#session) this.#connect(tries + 1);
      }, RETRY_MS);
  }

  /** A line may be dead long before the browser says so; nobody should speak into it. */
  #watch(): void {
    const silent = this.#meterAt === null ? 0 : performance.now() - this.#meterAt;
    if (silent > STALLED_MS && !this.#stalled) {
      this.#stalled = true;
      this.#state = "absent";
    }
    if (silent > DEAD_MS && this.#socket) {
      this.#socket.onclose = this.#socket.onmessage = null;
      this.#socket.close();
      void this.#broken(0);
    }
  }

  #hear(said: Said): void {
    if (said.type === "meter") {
      this.#meterAt = performance.now();
      if (this.#stalled) this.#state = "on_air";
      this.#stalled = false;
      const heard = { rms: said.rms_db ?? SILENCE_DB, peak: said.peak_db ?? SILENCE_DB };
      this.#level = settled(this.#level, heard, METER_S);
      if (this.#warning?.code === "silence" && heard.rms > -50) this.#warning = null;
    } else if (said.type === "state" && said.state) {
      if (said.state !== "on_air") this.#meterAt = null;
      this.#stalled = false;
      this.#state = said.state;
      if (typeof said.left_s === "number") {
        this.#endsAt = Date.now() + said.left_s * 1000;
        if (this.#warning?.code === "time" && said.left_s > 60) this.#warning = null;
      }
    } else if (said.type === "bye") {
      this.#finish(new Problem(0, said.code ?? "session_ended", said.detail ?? ""));
    } else if (said.code && (said.code !== "silence" || this.open)) {
      this.#warning = new Problem(0, said.code, said.detail ?? "");
    }
  }

  #finish(outcome: Problem): void {
    this.#forget();
    this.#session = null;
    this.#meterAt = this.#endsAt = null;
    this.#level = { rms: SILENCE_DB, peak: SILENCE_DB };
    this.#quiet();
    this.talk(false);
    this.#warning = null;
    this.#outcome = outcome;
    this.#state = "ended";
  }

  #forget(): void {
    sessionStorage.removeItem(REMEMBERED);
    this.#resumable = false;
    window.removeEventListener("beforeunload", ask);
  }

  #quiet(): void {
    this.#capture?.close();
    this.#encoder?.close();
    this.#capture = this.#encoder = null;
  }
}

function ask(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

function remembered(): string | null {
  return globalThis.sessionStorage?.getItem(REMEMBERED) ?? null;
}

export const speaking = new Speaking();
