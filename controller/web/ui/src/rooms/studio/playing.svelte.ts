/** The last play-now order of this window: kept while its person looks at other pages. */
import type { shapes } from "../../api";

export interface Playing {
  title: string;
  /** Clusters that should sound it. */
  clusters: readonly string[];
  played: shapes.PlayedView;
}

class LastOrder {
  current = $state.raw<Playing | null>(null);
}

export const lastOrder = new LastOrder();
