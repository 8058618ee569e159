/** What an alert's words of state mean here. Pure. */
import type { shapes } from "../../api";
import type { State } from "../../design";
import { t } from "./words";

const WAITING = ["composed", "armed"];
const GIVEN = ["confirmed", "overridden", "sounding", "repeating", "sounded"];

export function isWaiting(state: string): boolean {
  return WAITING.includes(state);
}

/** Its orders hold: it sounds, will, or repeats. */
export function isGiven(state: string): boolean {
  return GIVEN.includes(state);
}

export function isRunning(state: string): boolean {
  return isWaiting(state) || isGiven(state);
}

/** The state people see: what has sounded once and does not repeat is no longer sounding, though late boxes still may. */
export function stateOf(alert: Pick<shapes.AlertView, "state" | "every_s" | "counts">): string {
  const { counts } = alert;
  const done = counts && (counts.finished ?? 0) > 0 && !counts.started;
  return alert.state === "sounding" && alert.every_s === null && done ? "sounded" : alert.state;
}

export function stateName(state: string): string {
  return state in t.state ? t.state[state as keyof typeof t.state] : state;
}

export function badgeOf(state: string): State {
  if (isGiven(state)) return "emergency";
  if (isWaiting(state)) return "warn";
  return state === "missed" ? "fault" : state === "cleared" || state === "cancelled" ? "ok" : "idle";
}

/** How far it came at a cluster, in words. */
export function rowName(state: string): string {
  return state in t.row ? t.row[state as keyof typeof t.row] : state;
}

/** Why it ended: words for what ends by itself; what a person wrote stays theirs. */
export function endReason(reason: string): string {
  return reason in t.endReasons ? t.endReasons[reason as keyof typeof t.endReasons] : reason;
}
