/**
 * Something loaded from the API that stays true while it is shown.
 *
 *     const areas = resource((signal) => everything((query) => api.GET("/api/v1/areas", { params: { query }, signal })),
 *                            { topics: ["area"] });
 *     {#if areas.data} … {:else if areas.problem} <ErrorState problem={areas.problem} retry={areas.reload} /> …
 *
 * Rules kept here: what was loaded stays on the screen while it is loaded anew; changes that come in a burst cost one
 * request; an optimistic edit that is refused is taken back, and after a conflict the truth is loaded before anyone is told.
 */
import { isAbort, Problem, problemFrom } from "../api/problem";
import { live, type Ids, type Topic } from "./stream.svelte";

/** A burst of changes is one reload. */
const GATHER_MS = 120;

export interface ResourceOptions {
  topics?: readonly Topic[];
  /** Reload for these only. Without it, for every change of the topics. */
  concerns?: (ids: readonly string[]) => boolean;
  /** Reload every so many seconds, for what no change announces. */
  everySeconds?: number;
  /** Changes within so many ms are one reload: longer for what costs the controller more. */
  gatherMs?: number;
}

export class Resource<T> {
  #data = $state.raw<T>();
  #problem = $state.raw<Problem | null>(null);
  #loading = $state(false);
  #load: (signal: AbortSignal) => Promise<T>;
  #running: AbortController | null = null;
  #again: ReturnType<typeof setTimeout> | undefined;
  #stale = false;
  #edits = 0;

  constructor(
    load: (signal: AbortSignal) => Promise<T>,
    private readonly gatherMs: number = GATHER_MS,
  ) {
    this.#load = load;
  }

  /** The last that was loaded, undefined before the first. */
  get data(): T | undefined {
    return this.#data;
  }

  /** Why the last load failed; null when it did not. `data` may still be there, but old. */
  get problem(): Problem | null {
    return this.#problem;
  }

  get loading(): boolean {
    return this.#loading;
  }

  reload = async (): Promise<void> => {
    clearTimeout(this.#again);
    this.#again = undefined;
    this.#running?.abort();
    const mine = new AbortController();
    this.#running = mine;
    this.#loading = true;
    this.#stale = false;
    try {
      const data = await this.#load(mine.signal);
      if (this.#running !== mine) return;
      if (this.#edits > 0)
        this.#stale = true; // what was edited meanwhile is newer than this answer
      else this.#data = data;
      this.#problem = null;
    } catch (error) {
      if (this.#running !== mine || isAbort(error)) return;
      this.#problem = problemFrom(error);
    } finally {
      if (this.#running === mine) {
        this.#running = null;
        this.#loading = false;
        if (this.#stale && this.#edits === 0) this.soon();
      }
    }
  };

  /** Reload after the burst; while a load runs, once more after it. */
  soon = (): void => {
    if (this.#running) this.#stale = true;
    else this.#again ??= setTimeout(() => void this.reload(), this.gatherMs);
  };

  /**
   * Show the change at once, then send it. Refused: it is taken back, and the Problem is thrown for the caller to tell;
   * a conflict loads the truth first.
   */
  async mutate<R>(change: (data: T) => T, send: () => Promise<R>): Promise<R> {
    const before = this.#data;
    if (before !== undefined) this.#data = change(before);
    this.#edits += 1;
    let refused: Problem | null = null;
    try {
      return await send();
    } catch (error) {
      if (this.#edits === 1) this.#data = before;
      refused = problemFrom(error);
      throw refused;
    } finally {
      this.#edits -= 1;
      if (refused?.isConflict && this.#edits === 0) await this.reload();
      else this.soon();
    }
  }

  /** Stop everything. */
  close = (): void => {
    clearTimeout(this.#again);
    this.#running?.abort();
    this.#running = null;
  };
}

/** For components: loads when first shown, when what `load` reads changes, and when a topic says so. */
export function resource<T>(load: (signal: AbortSignal) => Promise<T>, options: ResourceOptions = {}): Resource<T> {
  const made = new Resource(load, options.gatherMs);
  $effect(() => {
    void made.reload();
    return made.close;
  });
  $effect(() => {
    const hear = (ids: Ids) => {
      if (ids === null || !options.concerns || options.concerns(ids)) made.soon();
    };
    const ends = (options.topics ?? []).map((topic) => live.onTopic(topic, hear));
    const every = options.everySeconds ? setInterval(made.soon, options.everySeconds * 1000) : undefined;
    return () => {
      clearInterval(every);
      for (const end of ends) end();
    };
  });
  return made;
}
