/**
 * One stream of changes for the whole console. It says "this changed", and whoever shows it loads it anew, so nothing on
 * the screen can be assembled wrongly from parts; some events carry the whole new value of what changed beside it.
 */
import { signedOut } from "../api/client";
import { INITIAL, retryDelay, step, type Connection, type LiveEvent, type LiveState } from "./machine";
import { SseParser, type Message } from "./sse";

export const TOPICS = [
  "area",
  "cluster",
  "zone",
  "agent",
  "box",
  "alert",
  "drill",
  "live",
  "order",
  "warning",
  "recording",
  "programme",
  "source",
  "template",
  "notice",
  "session",
] as const;
export type Topic = (typeof TOPICS)[number];

/** Which ones changed; null = unknown, assume all (after a gap, or while polling). */
export type Ids = readonly string[] | null;
/** What the event said beside (states of boxes, counts of a board): may be shown at once instead of loading anew. */
export type Said = Readonly<Record<string, unknown>>;
type Listener = (ids: Ids, said: Said) => void;
const NOTHING: Said = {};

const ADDRESS = "/api/v1/events";
const POLL_MS = 10_000;
const TICK_MS = 1_000;

class LiveStream {
  #state = $state.raw<LiveState>(INITIAL);
  #listeners = new Map<Topic, Set<Listener>>();
  #closed: AbortController | null = null;
  #current: AbortController | null = null;
  #lastId: string | null = null;
  #run: string | null = null;

  get connection(): Connection {
    return this.#state.connection;
  }

  /** When something was last heard, for saying how old the screen is. */
  get heard(): Date | null {
    return this.#state.heard === null ? null : new Date(this.#state.heard);
  }

  /** Call when signed in. */
  open(): void {
    if (this.#closed) return;
    const closed = new AbortController();
    this.#closed = closed;
    const tick = setInterval(() => this.#tick(), TICK_MS);
    const online = () => this.#current?.abort();
    window.addEventListener("online", online);
    closed.signal.addEventListener("abort", () => {
      clearInterval(tick);
      window.removeEventListener("online", online);
      this.#current?.abort();
    });
    void this.#live(closed.signal);
  }

  /** Call when signed out. */
  close(): void {
    this.#closed?.abort();
    this.#closed = null;
    this.#state = INITIAL;
    this.#lastId = this.#run = null;
  }

  /** Be told when something of this topic changed; gives back how to stop that. */
  onTopic(topic: Topic, listener: Listener): () => void {
    const those = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, those.add(listener));
    return () => those.delete(listener);
  }

  #see(event: LiveEvent): void {
    this.#state = step(this.#state, event, Date.now());
  }

  #tick(): void {
    const before = this.#state.connection;
    this.#see({ type: "tick" });
    if (before === "live" && this.#state.connection === "stale") this.#current?.abort(); // try another line at once
  }

  async #live(closed: AbortSignal): Promise<void> {
    while (!closed.aborted) {
      this.#current = new AbortController();
      try {
        await this.#listen(this.#current.signal);
        this.#see({ type: "connect" });
      } catch {
        // What broke does not matter: the state says whether the controller can be reached.
        if (!closed.aborted && this.#state.connection !== "polling") this.#see({ type: "failed" });
      }
      if (closed.aborted) return;
      const polling = this.#state.connection === "polling";
      if (polling) this.#tellAll();
      // Cut short when the browser says that the network is back.
      await pause(polling ? POLL_MS : retryDelay(this.#state.tries, Math.random()), this.#current.signal);
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    this.#see({ type: "connect" });
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.#lastId) headers["Last-Event-ID"] = this.#lastId;
    const response = await fetch(ADDRESS, { headers, signal, cache: "no-store" });
    if (response.status === 401) signedOut();
    if (response.status === 404) return this.#see({ type: "absent" });
    if (!response.ok || !response.body) throw new Error(`no stream: ${response.status}`);
    const gap = this.#state.heard !== null && this.#lastId === null;
    this.#see({ type: "heard" });
    if (gap) this.#tellAll();
    const parser = new SseParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#see({ type: "heard" });
      for (const message of parser.push(value)) if (message) this.#take(message);
      this.#lastId = parser.lastId ?? this.#lastId;
    }
  }

  #take(message: Message): void {
    if (message.event === "resync") return this.#tellAll();
    const said: unknown = JSON.parse(message.data);
    if (typeof said !== "object" || said === null) return;
    if (message.event === "bye" && "code" in said && said.code === "unauthenticated") {
      signedOut();
    } else if (message.event === "hello" && "run" in said) {
      const run = String(said.run);
      if (this.#run !== null && this.#run !== run) this.#tellAll(); // the controller was restarted
      this.#run = run;
    } else if (message.event === "change" && "topic" in said) {
      const ids = "ids" in said && Array.isArray(said.ids) && said.ids.length > 0 ? said.ids.map(String) : null;
      this.#tell(said.topic as Topic, ids, { ...said });
    }
  }

  #tell(topic: Topic, ids: Ids, said: Said = NOTHING): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(ids, said);
  }

  #tellAll(): void {
    for (const topic of this.#listeners.keys()) this.#tell(topic, null);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

export const live = new LiveStream();
