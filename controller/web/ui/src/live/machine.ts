/**
 * What the banner may say about the connection. Pure: time is an argument.
 *
 * connecting  the first try, or one after the line broke
 * live        the stream is open and its last sign of life is at most STALE_MS old
 * stale       the stream looks open but has been silent too long: nothing on the screen can be trusted to be current
 * polling     the controller answers but has no stream for us: what is shown is at most one poll old
 * offline     the controller cannot be reached
 */
export type Connection = "connecting" | "live" | "stale" | "polling" | "offline";

/** Heartbeats come every 10 s; two that are missed and some slack. */
export const STALE_MS = 25_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;

export interface LiveState {
  connection: Connection;
  /** When the last byte came, in ms of the page's clock. */
  heard: number | null;
  tries: number;
}

export const INITIAL: LiveState = { connection: "connecting", heard: null, tries: 0 };

export type LiveEvent =
  | { type: "connect" }
  | { type: "heard" } // opened, a heartbeat or a message
  | { type: "absent" } // the controller has no stream, but answers
  | { type: "failed" } // it does not answer
  | { type: "tick" };

export function step(state: LiveState, event: LiveEvent, now: number): LiveState {
  switch (event.type) {
    case "connect":
      // While it was offline, it stays so until something was heard: trying is not being there.
      return state.connection === "live" || state.connection === "stale"
        ? { ...state, connection: "connecting" }
        : state;
    case "heard":
      return { connection: "live", heard: now, tries: 0 };
    case "absent":
      return { connection: "polling", heard: now, tries: state.tries + 1 };
    case "failed":
      return { ...state, connection: "offline", tries: state.tries + 1 };
    case "tick":
      return state.connection === "live" && state.heard !== null && now - state.heard > STALE_MS
        ? { ...state, connection: "stale" }
        : state;
  }
}

/** How long to wait before the next try: doubling, bounded, spread so that a hundred consoles do not come at once. */
export function retryDelay(tries: number, random: number): number {
  const base = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries, 10));
  return base * (0.75 + random / 2);
}
