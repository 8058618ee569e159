/** How a recording stands, in the words of the desk, and which recordings a filter lets through. Pure. */
import type { shapes } from "../../api";
import type { State } from "../../design";
import { plain } from "../../design/targets";

export type Standing = "processing" | "refused" | "waiting" | "approved" | "returned";
export const STANDINGS: readonly Standing[] = ["waiting", "approved", "returned", "processing", "refused"];

export function standingOf(recording: Pick<shapes.RecordingView, "state" | "decision">): Standing {
  if (recording.state === "processing") return "processing";
  if (recording.state !== "ready") return "refused";
  if (!recording.decision) return "waiting";
  return recording.decision.approved ? "approved" : "returned";
}

export const badgeOf: Record<Standing, State> = {
  processing: "idle",
  refused: "fault",
  waiting: "warn",
  approved: "ok",
  returned: "fault",
};

/** What the processing found worth a word. */
export function findingsOf(report: Record<string, unknown>): string[] {
  return Array.isArray(report.warnings) ? report.warnings.map(String) : [];
}

/** What must be looked at before it goes on air: the rest was put right, or is only good to know. */
const GRAVE = new Set(["silent", "clipped", "very_short", "damaged", "duration_mismatch"]);
export function isGrave(finding: string): boolean {
  return GRAVE.has(finding);
}

export interface Filter {
  words: string;
  area: string;
  standing: string;
  /** "" = all, "none" = for everybody. */
  language: string;
}

export function filterOf(query: URLSearchParams): Filter {
  const said = (name: string) => query.get(name) ?? "";
  return { words: said("q"), area: said("area"), standing: said("standing"), language: said("language") };
}

/** As part of an address: "?q=…", or nothing. */
export function queryOf(filter: Filter): string {
  const query = new URLSearchParams();
  const names = { q: filter.words, area: filter.area, standing: filter.standing, language: filter.language };
  for (const [name, value] of Object.entries(names)) if (value) query.set(name, value);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** `below`: the ids of the chosen area and of all below it. */
export function passes(recording: shapes.RecordingView, filter: Filter, below: ReadonlySet<string> | null): boolean {
  const wanted = plain(filter.words.trim());
  const said = plain(`${recording.title} ${recording.original_name} ${recording.created_by_name}`);
  return (
    (!wanted || wanted.split(/\s+/).every((word) => said.includes(word))) &&
    (below === null || below.has(recording.area_id)) &&
    (!filter.standing || standingOf(recording) === filter.standing) &&
    (!filter.language || (recording.language ?? "none") === filter.language)
  );
}
