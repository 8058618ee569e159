/** What a template's and a recording's states mean here. Pure. */
import type { shapes } from "../../api";
import type { State } from "../../design";
import { t } from "./words";

const STATES: Record<string, State> = { active: "ok", changed: "warn", draft: "idle", retired: "offline" };
export function templateState(state: string): State {
  return STATES[state] ?? "idle";
}
export function templateName(state: string): string {
  return state in t.state ? t.state[state as keyof typeof t.state] : state;
}

export type Voice = keyof typeof t.recording;

/** Where a recording of words stands; undefined while it is not loaded. */
export function voiceOf(recording: shapes.RecordingView | undefined): Voice {
  if (!recording || recording.state === "processing") return "processing";
  if (recording.state !== "ready") return "failed";
  if (recording.decision === null) return "ready";
  return recording.decision.approved ? "approved" : "rejected";
}

const VOICES: Record<Voice, State> = {
  processing: "idle",
  ready: "warn",
  approved: "ok",
  rejected: "fault",
  failed: "fault",
};
export function voiceState(voice: Voice): State {
  return VOICES[voice];
}

export const CADENCES = { none: null, h1: 3_600, h2: 7_200, h6: 21_600 } as const;
export type Cadence = keyof typeof CADENCES;

/** The offered cadence that is nearest to what a template says. */
export function cadenceOf(seconds: number | null): Cadence {
  if (seconds === null) return "none";
  const offered = (Object.keys(CADENCES) as Cadence[]).filter((each) => each !== "none");
  return offered.reduce((best, each) =>
    Math.abs((CADENCES[each] ?? 0) - seconds) < Math.abs((CADENCES[best] ?? 0) - seconds) ? each : best,
  );
}
