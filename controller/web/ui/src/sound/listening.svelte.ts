/**
 * Listening in: what a cluster's loudspeaker sounds now, or what a station sends. One at a time in a window.
 *
 * Chromium's audio element hands on a stream in blocks of 32 KiB, which is twelve seconds of speech. So packets are
 * decoded here (WebCodecs); the element is for browsers without a decoder.
 */
import { isAbort, Problem, problemFrom } from "../api";
import { problemOf } from "../api/problem";
import { levelOf, SILENCE_DB } from "./levels";
import { OggPackets } from "./ogg";

export interface Wish {
  kind: "cluster" | "source";
  id: string;
  /** Also on a link that is paid by volume. */
  anyway?: boolean;
}

const RATE = 48_000;
const PACKET_US = 20_000;
const AHEAD_S = 0.3; // sound that waits to be played, at first
const MORE_S = 0.2; // and after each time it ran dry
const AHEAD_MOST_S = 2;
const LATE_S = 1.5; // beyond what is meant to wait and one bundle of a relay: left out, so that delay does not grow

/** What comes is played a little later, in one line. */
class Line {
  #ahead = AHEAD_S;
  #ends = 0;

  constructor(readonly context: AudioContext) {}

  play(data: AudioData, told: (level: number) => void): void {
    const now = this.context.currentTime;
    if (this.#ends < now) {
      if (this.#ends > 0) this.#ahead = Math.min(AHEAD_MOST_S, this.#ahead + MORE_S);
      this.#ends = now + this.#ahead;
    }
    if (this.#ends - now <= this.#ahead + LATE_S) {
      const buffer = this.context.createBuffer(1, data.numberOfFrames, data.sampleRate);
      const samples = buffer.getChannelData(0);
      data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      told(levelOf(samples).rms);
      const source = this.context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.context.destination);
      source.start(this.#ends);
      this.#ends += buffer.duration;
    }
    data.close();
  }
}

class Listening {
  #wish = $state.raw<Wish | null>(null);
  #hearing = $state(false);
  #level = $state(SILENCE_DB);
  #problem = $state.raw<{ wish: Wish; problem: Problem } | null>(null);
  #leave: AbortController | null = null;

  /** What is being listened to. */
  get wish(): Wish | null {
    return this.#wish;
  }

  /** Whether sound has come. */
  get hearing(): boolean {
    return this.#hearing;
  }

  /** How loud it is, in dB; only where packets are decoded here. */
  get level(): number {
    return this.#level;
  }

  isOf(kind: Wish["kind"], id: string): boolean {
    return this.#wish?.kind === kind && this.#wish.id === id;
  }

  /** Why this one is not heard. */
  problemOf(kind: Wish["kind"], id: string): Problem | null {
    const last = this.#problem;
    return last?.wish.kind === kind && last.wish.id === id ? last.problem : null;
  }

  /** Hear it until it ends or is stopped. */
  async start(wish: Wish): Promise<void> {
    this.stop();
    const leave = new AbortController();
    this.#leave = leave;
    this.#wish = wish;
    try {
      // An answer that ends before anything was heard is no answer.
      await (typeof AudioDecoder === "undefined"
        ? this.#element(wish, leave.signal)
        : this.#decoded(wish, leave.signal));
      if (!this.#hearing) throw new Problem(0, wish.kind === "source" ? "source_silent" : "nothing_to_hear", "");
    } catch (error) {
      if (!leave.signal.aborted && !isAbort(error)) this.#problem = { wish, problem: problemFrom(error) };
    } finally {
      if (this.#leave === leave) this.#over();
    }
  }

  stop(): void {
    this.#leave?.abort();
    this.#problem = null;
    this.#over();
  }

  #over(): void {
    this.#leave = null;
    this.#wish = null;
    this.#hearing = false;
    this.#level = SILENCE_DB;
  }

  async #decoded(wish: Wish, signal: AbortSignal): Promise<void> {
    const context = new AudioContext({ sampleRate: RATE });
    const line = new Line(context);
    const broke = Promise.withResolvers<never>();
    const decoder = new AudioDecoder({
      output: (data) => line.play(data, (level) => !signal.aborted && (this.#level = level)),
      error: (error) => broke.reject(error),
    });
    decoder.configure({ codec: "opus", sampleRate: RATE, numberOfChannels: 1 });
    try {
      const answer = await fetch(addressOf(wish), { signal, cache: "no-store" });
      if (!answer.ok || !answer.body) throw problemOf(answer.status, await answer.json().catch(() => null));
      await Promise.race([broke.promise, this.#packets(answer.body.getReader(), decoder)]);
      await decoder.flush();
    } finally {
      if (decoder.state !== "closed") decoder.close();
      await context.close();
    }
  }

  async #packets(reader: ReadableStreamDefaultReader<Uint8Array>, decoder: AudioDecoder): Promise<void> {
    const ogg = new OggPackets();
    let timestamp = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      for (const packet of ogg.take(part.value)) {
        decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data: packet as Uint8Array<ArrayBuffer> }));
        this.#hearing = true;
        timestamp += PACKET_US;
      }
    }
  }

  async #element(wish: Wish, signal: AbortSignal): Promise<void> {
    const audio = new Audio(addressOf(wish));
    const over = Promise.withResolvers<void>();
    audio.onplaying = () => (this.#hearing = true);
    audio.onended = () => over.resolve();
    audio.onerror = () => over.reject(new Problem(0, "listening_failed", ""));
    signal.addEventListener("abort", () => over.resolve());
    try {
      await Promise.all([audio.play(), over.promise]);
    } catch (error) {
      throw signal.aborted ? error : ((await why(wish)) ?? error);
    } finally {
      audio.onerror = null;
      audio.removeAttribute("src");
      audio.load(); // lets the connection go
    }
  }
}

function addressOf({ kind, id, anyway = false }: Wish): string {
  const path = `/api/v1/${kind}s/${encodeURIComponent(id)}/listen`;
  return anyway ? `${path}?anyway=true` : path;
}

/** The element does not say why: the same wish, asked for as a program would, does. */
async function why(wish: Wish): Promise<Problem | null> {
  const giveUp = new AbortController();
  try {
    const answer = await fetch(addressOf(wish), { signal: giveUp.signal });
    return answer.ok ? null : problemOf(answer.status, await answer.json().catch(() => null));
  } finally {
    giveUp.abort();
  }
}

export const listening = new Listening();
