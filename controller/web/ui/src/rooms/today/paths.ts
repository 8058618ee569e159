/** Where one reads why something sounds or did not: the addresses behind the lines of today. Pure. */
import type { shapes } from "../../api";

/** One occurrence on the week grid. */
export function schedulePath(programmeId: string, recurrence: string | null): string {
  const query = new URLSearchParams({ item: programmeId, ...(recurrence ? { at: recurrence } : {}) });
  return `/schedule?${query}`;
}

/** What is behind a sound; where that has no page, one of the clusters it is about; null when neither is known. */
export function reasonPath(reason: shapes.ReasonView, clusters: readonly string[]): string | null {
  if (reason.id !== null) {
    switch (reason.kind) {
      case "programme":
        return schedulePath(reason.id, reason.recurrence);
      case "alert":
        return `/emergency/${reason.id}`;
      case "drill":
        return `/drills/${reason.id}`;
      case "live":
        return "/studio";
      case "order":
      case "unknown":
        break;
    }
  }
  return clusters[0] ? `/cluster/${clusters[0]}` : null;
}
