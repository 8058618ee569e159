/** What is shown of the fleet: filters as they stand in the address, and the rows that pass them. Pure. */
import { KINDS, whyOf, type FleetCluster, type Kind, type States, type Why } from "../../clusters";
import { plain } from "../../design/targets";
import type { shapes } from "../../api";
import type { Language } from "../../i18n";

export interface Filters {
  states: readonly Kind[];
  area: string;
  fault: string;
  tongue: string;
  text: string;
}
export interface Row {
  id: string;
  place: FleetCluster;
  state: shapes.ClusterStateView;
  kind: Kind;
  why: Why;
}

export function filtersOf(query: URLSearchParams): Filters {
  const states = (query.get("state") ?? "").split(",");
  return {
    states: KINDS.filter((kind) => states.includes(kind)),
    area: query.get("area") ?? "",
    fault: query.get("fault") ?? "",
    tongue: query.get("lang") ?? "",
    text: query.get("q") ?? "",
  };
}

/** The address's query for these filters; other values of the address stay. */
export function queryOf(filters: Filters, before: URLSearchParams): string {
  const query = new URLSearchParams(before);
  const said = {
    state: filters.states.join(","),
    area: filters.area,
    fault: filters.fault,
    lang: filters.tongue,
    q: filters.text,
  };
  for (const [name, value] of Object.entries(said)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  return query.toString();
}

/** One row a cluster, worst first, then by name. A cluster whose state is not known yet has no row. */
export function rowsOf(clusters: readonly FleetCluster[], states: States, now: Date, lang: Language): Row[] {
  const order = new Map(KINDS.map((kind, i) => [kind, i]));
  const collator = new Intl.Collator("vi", { numeric: true });
  return clusters
    .flatMap((place) => {
      const state = states.get(place.cluster.id);
      if (!state) return [];
      return [{ id: place.cluster.id, place, state, kind: state.state, why: whyOf(state, place.place, now, lang) }];
    })
    .sort(
      (a, b) =>
        order.get(a.kind)! - order.get(b.kind)! ||
        Number(b.why.bad) - Number(a.why.bad) ||
        collator.compare(a.place.cluster.name, b.place.cluster.name),
    );
}

/** Rows that pass; `but` leaves out the filter by state, for counting what each state would show. */
export function passing(
  rows: readonly Row[],
  filters: Filters,
  inArea: ReadonlySet<string> | null,
  but?: "states",
): Row[] {
  const words = plain(filters.text.trim());
  return rows.filter(
    ({ place: { cluster, areaPath }, state, kind }) =>
      (but === "states" || filters.states.length === 0 || filters.states.includes(kind)) &&
      (inArea === null || inArea.has(cluster.area_id)) &&
      (!filters.fault || state.faults.includes(filters.fault)) &&
      (!filters.tongue || cluster.languages.includes(filters.tongue)) &&
      (!words || plain(`${cluster.name} ${areaPath} ${cluster.contact_name} ${cluster.contact_phone}`).includes(words)),
  );
}

export function countsOf(rows: readonly Row[]): ReadonlyMap<Kind, number> {
  const counts = new Map<Kind, number>();
  for (const { kind } of rows) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
