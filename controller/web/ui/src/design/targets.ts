/**
 * Choosing where: areas with everything below them, and single clusters. Pure.
 *
 * What is kept is the choice as the person meant it, in its shortest form: a whole area is the area (clusters that join
 * it later belong to it), not the list of its clusters.
 */
export interface AreaNode {
  id: string;
  parent_id: string | null;
  name: string;
}
export interface ClusterNode {
  id: string;
  area_id: string;
  name: string;
}

/** A named group of clusters. */
export interface ZoneNode {
  id: string;
  name: string;
  clusters: readonly string[];
}

export interface Choice {
  everywhere: boolean;
  areas: readonly string[];
  clusters: readonly string[];
  /** Zones that are kept as zones; elsewhere a zone is a handle for its clusters of the moment. */
  zones: readonly string[];
}
export const NOWHERE: Choice = { everywhere: false, areas: [], clusters: [], zones: [] };
export const EVERYWHERE: Choice = { everywhere: true, areas: [], clusters: [], zones: [] };

export interface TreeNode {
  kind: "area" | "cluster";
  id: string;
  name: string;
  parent: TreeNode | null;
  children: TreeNode[];
  /** Clusters in it and below it. */
  clusters: number;
}

const byName = new Intl.Collator("vi", { numeric: true });

/** The tree; areas whose parent may not be seen stand at the top. */
export function treeOf(areas: readonly AreaNode[], clusters: readonly ClusterNode[]): TreeNode[] {
  const nodes = new Map<string, TreeNode>();
  for (const { id, name } of areas) nodes.set(id, { kind: "area", id, name, parent: null, children: [], clusters: 0 });
  const roots: TreeNode[] = [];
  for (const { id, parent_id } of areas) {
    const node = nodes.get(id)!;
    node.parent = (parent_id !== null && nodes.get(parent_id)) || null;
    (node.parent?.children ?? roots).push(node);
  }
  for (const { id, area_id, name } of clusters) {
    const parent = nodes.get(area_id) ?? null;
    (parent?.children ?? roots).push({ kind: "cluster", id, name, parent, children: [], clusters: 1 });
    for (let up = parent; up; up = up.parent) up.clusters += 1;
  }
  const order = (list: TreeNode[]) => {
    list.sort((a, b) => (a.kind === b.kind ? byName.compare(a.name, b.name) : a.kind === "area" ? -1 : 1));
    for (const each of list) order(each.children);
  };
  order(roots);
  return roots;
}

export type Tick = "all" | "some" | "none";

/** How the box beside a node looks. */
export function tickOf(node: TreeNode, choice: Choice): Tick {
  if (choice.everywhere || isChosen(node, choice) || above(node, choice)) return "all";
  if (node.children.length === 0) return "none";
  const below = node.children.map((child) => tickOf(child, choice));
  if (below.every((tick) => tick === "all")) return "all";
  return below.some((tick) => tick !== "none") ? "some" : "none";
}

/** The choice after a click on a node's box. */
export function toggled(roots: readonly TreeNode[], node: TreeNode, choice: Choice): Choice {
  return tickOf(node, choice) === "all" ? without(roots, [node], choice) : shortest(roots, add(choice, [node]));
}

/** A zone as far as it stands in a tree. */
export interface Zone {
  id: string;
  name: string;
  nodes: readonly TreeNode[];
}

/** Zones by name, each with its clusters of this tree; those that have none here are left out. */
export function zonesIn(roots: readonly TreeNode[], zones: readonly ZoneNode[]): Zone[] {
  const nodes = new Map<string, TreeNode>();
  const visit = (node: TreeNode) => {
    if (node.kind === "cluster") nodes.set(node.id, node);
    node.children.forEach(visit);
  };
  roots.forEach(visit);
  return zones
    .map(({ id, name, clusters }) => ({ id, name, nodes: clusters.flatMap((each) => nodes.get(each) ?? []) }))
    .filter((zone) => zone.nodes.length > 0)
    .sort((a, b) => byName.compare(a.name, b.name));
}

/** Whether a zone is chosen, in part or whole. */
export function tickOfZone({ nodes }: Zone, choice: Choice): Tick {
  const chosen = nodes.filter((node) => tickOf(node, choice) === "all").length;
  return chosen === 0 ? "none" : chosen === nodes.length ? "all" : "some";
}

/** The choice after a click on a zone: its clusters of this moment are taken in, or out. */
export function zoneToggled(roots: readonly TreeNode[], zone: Zone, choice: Choice): Choice {
  return tickOfZone(zone, choice) === "all"
    ? without(roots, zone.nodes, choice)
    : shortest(roots, add(choice, zone.nodes));
}

/** The choice after a click on a zone that is kept as a zone: whatever it holds later belongs to it, too. */
export function zoneKept({ id }: Zone, choice: Choice): Choice {
  const zones = choice.zones.includes(id) ? choice.zones.filter((each) => each !== id) : [...choice.zones, id];
  return { ...choice, everywhere: false, zones };
}

/** How many clusters are chosen, those of chosen zones among them. */
export function chosenClusters(roots: readonly TreeNode[], choice: Choice, zones: readonly Zone[] = []): number {
  const total = (list: readonly TreeNode[]): number =>
    list.reduce((sum, node) => sum + (isChosen(node, choice) ? node.clusters : total(node.children)), 0);
  if (choice.everywhere) return roots.reduce((sum, node) => sum + node.clusters, 0);
  const kept = zones.filter((zone) => choice.zones.includes(zone.id)).flatMap((zone) => zone.nodes);
  return total(roots) + [...new Set(kept)].filter((node) => tickOf(node, choice) !== "all").length;
}

/** Nodes whose name (or that of something below) holds the words, without regard to diacritics. */
export function found(roots: readonly TreeNode[], query: string): Set<TreeNode> | null {
  const wanted = plain(query.trim());
  if (!wanted) return null;
  const kept = new Set<TreeNode>();
  const keep = (node: TreeNode, inside: boolean): boolean => {
    const own = inside || plain(node.name).includes(wanted);
    let any = own;
    for (const child of node.children) any = keep(child, own) || any;
    if (any) kept.add(node);
    return any;
  };
  for (const root of roots) keep(root, false);
  return kept;
}

/** "Tà Rụt" as "ta rut": how people type names in a hurry. */
export function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").replace(/[đĐ]/g, "d").toLowerCase();
}

function isChosen(node: TreeNode, choice: Choice): boolean {
  return (node.kind === "area" ? choice.areas : choice.clusters).includes(node.id);
}

function above(node: TreeNode, choice: Choice): boolean {
  for (let up = node.parent; up; up = up.parent) if (isChosen(up, choice)) return true;
  return false;
}

function add(choice: Choice, nodes: readonly TreeNode[]): Choice {
  const ids = (kind: TreeNode["kind"]) => nodes.filter((node) => node.kind === kind).map((node) => node.id);
  return {
    everywhere: false,
    areas: [...new Set([...choice.areas, ...ids("area")])],
    clusters: [...new Set([...choice.clusters, ...ids("cluster")])],
    zones: choice.zones,
  };
}

/** What an area says its parts need not say; an area all of whose parts are chosen stays in parts. */
function shortest(roots: readonly TreeNode[], choice: Choice): Choice {
  const kept: TreeNode[] = [];
  const visit = (node: TreeNode) => {
    if (isChosen(node, choice)) kept.push(node);
    else node.children.forEach(visit);
  };
  roots.forEach(visit);
  return add({ ...NOWHERE, zones: choice.zones }, kept);
}

/** Taking parts out of a chosen whole leaves their siblings. */
function without(roots: readonly TreeNode[], nodes: readonly TreeNode[], choice: Choice): Choice {
  const gone = new Set(nodes);
  const broken = new Set<TreeNode>(); // no whole any more
  for (const node of nodes) for (let up = node.parent; up; up = up.parent) broken.add(up);
  const kept: TreeNode[] = [];
  const visit = (each: TreeNode, whole: boolean) => {
    if (gone.has(each)) return;
    const all = whole || isChosen(each, choice);
    if (all && !broken.has(each)) kept.push(each);
    else each.children.forEach((child) => visit(child, all));
  };
  for (const root of roots) visit(root, choice.everywhere);
  return add({ ...NOWHERE, zones: choice.zones }, kept);
}
