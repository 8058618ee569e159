/**
 * What an edit would meet, asked while it is still being thought of: soon after the last change, one question at a time,
 * and an answer that was overtaken is dropped.
 */
import { isAbort, problemFrom, type Problem } from "../../../api";
import type { shapes } from "../../../api";

const PAUSE_MS = 180;

export interface Foresight {
  ok: boolean;
  problems: readonly shapes.ProblemView[];
}

export class Foreseeing<T extends Foresight = Foresight> {
  #found = $state.raw<T | null>(null);
  #problem = $state.raw<Problem | null>(null);
  #asking = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: AbortController | null = null;
  #key = "";

  /** The answer to the last question; null while it is not there. */
  get found(): T | null {
    return this.#found;
  }
  /** Why it could not be answered: it would be refused outright, or nobody answered. */
  get problem(): Problem | null {
    return this.#problem;
  }
  get asking(): boolean {
    return this.#asking;
  }

  /** The same key is the same question and is not asked twice. */
  ask(key: string, question: (signal: AbortSignal) => Promise<T>): void {
    if (key === this.#key) return;
    this.clear();
    this.#key = key;
    this.#asking = true;
    this.#timer = setTimeout(() => void this.#run(question), PAUSE_MS);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#running = null;
    this.#key = "";
    this.#found = this.#problem = null;
    this.#asking = false;
  }

  async #run(question: (signal: AbortSignal) => Promise<T>): Promise<void> {
    const mine = new AbortController();
    this.#running = mine;
    try {
      const found = await question(mine.signal);
      if (this.#running === mine) this.#found = found;
    } catch (error) {
      if (this.#running === mine && !isAbort(error)) this.#problem = problemFrom(error);
    } finally {
      if (this.#running === mine) {
        this.#running = null;
        this.#asking = false;
      }
    }
  }
}
