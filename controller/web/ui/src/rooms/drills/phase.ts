/** Where a drill stands, and what a box made of it. Pure. */
import type { shapes } from "../../api";
import type { State } from "../../design";
import { t } from "./words";

export type Phase = "running" | "over" | "cancelled";

type Progress = Pick<shapes.DrillView, "kind" | "cancelled_at" | "over" | "boxes" | "tested" | "finished">;

/** A drill whose boxes have all answered is over, though late ones might still join it. */
export function phase(drill: Progress): Phase {
  if (drill.cancelled_at !== null) return "cancelled";
  const done = drill.kind === "silent" ? drill.tested : drill.finished;
  return drill.over || (drill.boxes > 0 && done >= drill.boxes) ? "over" : "running";
}

export function phaseName(of: Phase): string {
  return t[of];
}

export function badge(of: Phase): State {
  return of === "running" ? "drill" : of === "over" ? "ok" : "idle";
}

export function kindName(kind: string): string {
  return kind in t.kind ? t.kind[kind as keyof typeof t.kind] : kind;
}

export type Outcome = "good" | "bad" | "silentBox" | "waiting";

export function outcome(result: shapes.ResultView): Outcome {
  if (result.passed) return "good";
  if (result.missing) return "silentBox";
  return result.code || result.checks.some((each) => !each.ok) || result.finished_at || result.tested_at
    ? "bad"
    : "waiting";
}

const OUTCOMES: Record<Outcome, State> = { good: "ok", bad: "fault", silentBox: "offline", waiting: "idle" };
export function outcomeState(of: Outcome): State {
  return OUTCOMES[of];
}

/** What a box failed at, by name. */
export function failures(result: shapes.ResultView): string {
  const names = result.checks.flatMap((each) => (each.ok ? [] : [each.name]));
  const first = result.code && !names.includes(result.code) ? [result.code] : []; // often it is the name of the first
  return [...first, ...names].map(checkName).join(", ");
}

function checkName(name: string): string {
  return name in t.check ? t.check[name as keyof typeof t.check] : name;
}
