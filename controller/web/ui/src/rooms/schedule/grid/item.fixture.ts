import type { Item } from "./tiles";

/** An ordinary occurrence for tests. */
export function item(more: Partial<Item> = {}): Item {
  return {
    programme_id: "pr_1",
    recurrence: "2026-11-29T22:00:00Z",
    start: "2026-11-29T22:00:00Z",
    end: "2026-11-29T22:05:00Z",
    title: "Bản tin sáng",
    priority: 40,
    area_id: "ar_1",
    kind: "recorded",
    repeats: true,
    moved: false,
    own: null,
    version: 1,
    editable: true,
    clusters: 7,
    content: "ready",
    gaps: [],
    lacking: [],
    lacking_count: 0,
    quiet: 0,
    on_air: 0,
    ...more,
  };
}
