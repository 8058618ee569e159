/** How an occurrence of the last hours was heard, in words and in colour. Pure. */
import type { shapes } from "../../api";
import { t } from "./words";

type Line = Omit<shapes.SoundedView, "reason" | "silent">;

/** A person ended it before any box was through: nobody's fault, and nothing to call whole. */
export function cut(line: Line): boolean {
  return (
    line.reported > 0 &&
    line.played + line.partial + line.missed + line.skipped + line.refused + line.silent_count === 0
  );
}

export function heard(line: Line): string {
  if (cut(line)) return line.stopped < (line.expected ?? 0) ? t.cutAt(line.stopped) : t.cut;
  return line.expected === null ? t.heardSome(line.played) : t.heard(line.played, line.expected);
}

export function well(line: Line): boolean {
  return line.missed + line.partial + line.refused + line.silent_count === 0 && line.played >= (line.expected ?? 0);
}
