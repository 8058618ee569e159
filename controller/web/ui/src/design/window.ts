/** Which rows of a long list have to exist. Pure. */
export interface Slice {
  from: number;
  to: number;
  before: number; // px
  after: number; // px
}

/** Rows beyond the edge that are there already when somebody scrolls. */
const SPARE = 12;

export function slice(count: number, rowHeight: number, scrollTop: number, viewHeight: number): Slice {
  const from = Math.max(0, Math.min(count, Math.floor(scrollTop / rowHeight) - SPARE));
  const to = Math.min(count, Math.ceil((scrollTop + viewHeight) / rowHeight) + SPARE);
  return { from, to: Math.max(from, to), before: from * rowHeight, after: Math.max(0, count - to) * rowHeight };
}
