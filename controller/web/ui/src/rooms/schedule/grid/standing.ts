/** How a tile stands: what its colour and sign say. Pure. */
import type { Item } from "./tiles";

export type Standing = "onAir" | "missing" | "partial" | "ready";

/** Of many, what needs an eye most: a hole before what sounds, that before what sounds in part. */
export function standing(items: readonly Item[]): Standing {
  const of = items.map(standingOf);
  return (["missing", "onAir", "partial"] as const).find((each) => of.includes(each)) ?? "ready";
}

function standingOf(item: Item): Standing {
  if (item.on_air > 0) return "onAir";
  if (item.content === "missing") return "missing";
  return item.content === "partial" || item.quiet > 0 ? "partial" : "ready";
}
