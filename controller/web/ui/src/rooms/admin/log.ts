/** Where the console shows what a row of the log speaks of. Pure. */
import type { shapes } from "../../api";

export type Kind = NonNullable<shapes.AuditView["kind"]>;
type Thing = shapes.ThingView;

export const KINDS = [
  "alerts",
  "drills",
  "warnings",
  "templates",
  "orders",
  "live",
  "programmes",
  "recordings",
  "stations",
  "clusters",
  "boxes",
  "people",
  "sessions",
  "house",
] as const satisfies readonly Kind[];

export function isKind(text: string | null): text is Kind {
  return KINDS.some((each) => each === text);
}

const PATHS: Record<Thing["kind"], (page: string) => string> = {
  area: () => "/admin/areas",
  zone: () => "/admin/zones",
  cluster: (page) => `/cluster/${page}`,
  agent: (page) => `/cluster/${page}`,
  user: () => "/admin/users",
  recording: (page) => `/library/${page}`,
  source: () => "/admin/sources",
  programme: (page) => `/schedule?${new URLSearchParams({ item: page })}`,
  template: (page) => `/templates/${page}`,
  alert: (page) => `/emergency/${page}`,
  drill: (page) => `/drills/${page}`,
  warning: (page) => `/warnings/${page}`,
  warning_source: () => "/admin/warnings",
  live: () => "/studio",
};

/** The address of a thing; null when it is gone. */
export function thingPath(thing: Thing): string | null {
  return thing.page === null ? null : PATHS[thing.kind](thing.page);
}
