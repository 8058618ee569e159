/** What a warning says, taken from its reading as the controller stored it. Nothing in it is trusted to be there. Pure. */
import type { shapes } from "../../api";
import type { State } from "../../design";
import { fromPlaces, type Figure } from "../../map/geometry";
import { t } from "./words";

export interface Info {
  language: string;
  event: string;
  headline: string;
  areas: string[];
}

export interface Read {
  infos: Info[];
  figures: Figure[];
}

export function readingOf(reading: Record<string, unknown>): Read {
  const infos = list(reading.infos);
  const areas = infos.flatMap((info) => list(info.areas));
  const figures = areas.flatMap((area) => fromPlaces(texts(area.polygons), texts(area.circles)));
  const distinct = new Map(figures.map((each) => [JSON.stringify(each), each]));
  return {
    infos: infos.map((info) => ({
      language: text(info.language),
      event: text(info.event),
      headline: text(info.headline),
      areas: list(info.areas).map((area) => text(area.desc)),
    })),
    figures: [...distinct.values()],
  };
}

const VERDICTS: Record<string, State> = { valid: "ok", none: "warn", untrusted: "warn", invalid: "fault" };
export function verdictState(signature: string): State {
  return VERDICTS[signature] ?? "warn";
}

/** A word from one of the dictionaries; what they do not know stays as it came. */
export function said(dictionary: object, word: string): string {
  const found: unknown = word in dictionary ? dictionary[word as keyof typeof dictionary] : undefined;
  return typeof found === "string" ? found : word;
}

export function isOpen(state: string): boolean {
  return ["received", "shown", "proposed"].includes(state);
}

/** Whether people may make it sound: never a test, never what was altered. */
export function mayAccept(warning: shapes.WarningView): boolean {
  return (
    isOpen(warning.state) && warning.proposal !== null && warning.status === "Actual" && warning.signature !== "invalid"
  );
}

export function stateOf(state: string): State {
  if (state === "proposed") return "warn";
  if (state === "issued") return "ok";
  return state === "accepted" ? "playing" : "idle";
}

export function severityState(severity: string): State {
  return severity === "Extreme" ? "fault" : severity === "Severe" ? "warn" : "idle";
}

export function reasonName(code: string): string {
  return said(t.reason, code);
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value)
    ? value.filter((each): each is Record<string, unknown> => typeof each === "object" && each !== null)
    : [];
}
function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}
function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
