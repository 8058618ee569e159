/** The board in the browser: what changed is asked for and put in its place. Pure. */
import type { shapes } from "../../api";

export interface Board {
  revision: number;
  state: string;
  counts: Record<string, number>;
  sounded: number;
  total: number;
  red: shapes.RedView[];
  rows: Map<string, shapes.RowView>;
  farewell: shapes.FarewellBoardView | null;
}

/** Who is silent so long after the start needs a telephone (the controller's own bound). */
export const RED_AFTER_MS = 15_000;

/** Take in an answer to `?since=`. Null when it does not continue what is known: ask for all of it. */
export function merged(known: Board | null, answer: shapes.BoardView): Board | null {
  if (known && answer.revision < known.revision) return null; // the controller was restarted
  const rows = new Map(known?.rows);
  for (const row of answer.rows) rows.set(row.cluster_id, row);
  return {
    revision: answer.revision,
    state: answer.state,
    counts: answer.counts,
    sounded: answer.sounded,
    total: Object.values(answer.counts).reduce((sum, n) => sum + n, 0),
    red: [...answer.red],
    rows,
    farewell: answer.farewell,
  };
}

export const LADDER = ["delivered", "verified", "started", "finished"] as const;
export const ASIDE = ["queued", "refused", "muted", "stopped", "missed", "no_box"] as const;

/** How many clusters came at least so far. */
export function reached(board: Board): Record<(typeof LADDER)[number], number> {
  const n = (state: string) => board.counts[state] ?? 0;
  const finished = n("finished") + n("heard");
  const started = Math.max(board.sounded, n("started") + finished);
  const verified = Math.min(board.total, started + n("verified"));
  return { finished, started, verified, delivered: Math.min(board.total, verified + n("delivered")) };
}

/** The worst first: who is silent, then who sounds, by name. */
export function inOrder(rows: Iterable<shapes.RowView>): shapes.RowView[] {
  const byName = new Intl.Collator("vi", { numeric: true });
  return [...rows].sort((a, b) => Number(a.sounded) - Number(b.sounded) || byName.compare(a.cluster, b.cluster));
}
