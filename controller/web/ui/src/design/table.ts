import type { Snippet } from "svelte";

export interface Column<R> {
  key: string;
  label: string;
  /** What the cell says, and what it is sorted by unless `sort` says otherwise. */
  text: (row: R) => string | number;
  sort?: (row: R) => string | number;
  /** Draws the cell; `text` still serves search and sorting. */
  cell?: Snippet<[R]>;
  align?: "start" | "end";
  /** CSS width: "8rem", "20%". */
  width?: string;
  /** Left out below 40rem of width. */
  wideOnly?: boolean;
  unsortable?: boolean;
}

export interface Order {
  key: string;
  down: boolean;
}

/** Rows in this order: numbers by size, texts as the language sorts them, equal ones as they were. */
export function sorted<R>(rows: readonly R[], columns: readonly Column<R>[], order: Order | null): readonly R[] {
  const column = order && columns.find((each) => each.key === order.key);
  if (!order || !column) return rows;
  const by = column.sort ?? column.text;
  const collator = new Intl.Collator("vi", { numeric: true });
  const sign = order.down ? -1 : 1;
  return rows
    .map((row) => [by(row), row] as const)
    .sort(
      ([a], [b]) =>
        sign * (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b))),
    )
    .map(([, row]) => row);
}
