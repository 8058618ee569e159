/** The map as an object: Leaflet, told in the words of this house. MapView shows it. */
import {
  circle,
  control,
  latLngBounds,
  LayerGroup,
  Map as LeafletMap,
  polygon,
  Tooltip,
  type GridLayer,
  type LatLngBounds,
  type Renderer,
} from "leaflet";
import { STATES, type State } from "../design/state";
import { basemap } from "./basemap";
import { extent, ground, type Figure, type Point } from "./geometry";
import { Graticule } from "./graticule";
import { DRAWN, Mark, MarkCanvas, paletteOf, type Palette } from "./marks";

export interface MapCluster {
  id: string;
  name: string;
  area_id: string;
  latitude: number | null;
  longitude: number | null;
  state: State;
  /** A second line beneath the name: what is so there, in words. */
  detail?: string;
}
export interface MapArea {
  id: string;
  name: string;
}
export type Placed = MapCluster & { latitude: number; longitude: number };

interface Held {
  mark: Mark;
  cluster: Placed;
}

export interface Shown {
  clusters: readonly Placed[];
  areas: readonly MapArea[];
  /** These have a ring, the others stand back when there are any. */
  chosen: ReadonlySet<string>;
  figures: readonly Figure[];
}

/** Vietnam, for a map of nothing. */
const HOME: [Point, Point] = [[8.4, 102.1], [23.4, 109.6]]; // prettier-ignore
const GROUND_KM = 0.9;
/** Names stand on the map by themselves when so few are in view. */
const NAMED_AT_MOST = 30;
const AREAS_NAMED_AT_MOST = 24;

/** Half the height of an area's name, and the width of its letters on the average. */
const NAME_PX = 9;
const LETTER_PX = 7.5;
/** Between an area and its name: a mark at its edge reaches a little beyond it. */
const GAP_PX = 4;

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export class ClusterMap {
  readonly map: LeafletMap;
  #canvas: MarkCanvas;
  #under: Renderer;
  #palette: Palette;
  #marks = new Map<string, Held>();
  #graticule: Graticule;
  #areas = new LayerGroup();
  #areaNames = new LayerGroup();
  #named: { text: string; bounds: LatLngBounds; tooltip: Tooltip }[] = [];
  #places: readonly Point[] = [];
  #drawn = new LayerGroup();
  #tiles: GridLayer | null = null;
  #areaKey = "";
  #figureKeys: ReadonlySet<string> = new Set();
  #fitted = false;
  #onpick: (id: string) => void;

  constructor(element: HTMLElement, onpick: (id: string) => void) {
    this.#onpick = onpick;
    this.#palette = paletteOf(element, STATES);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = new LeafletMap(element, {
      attributionControl: false,
      zoomControl: false,
      trackResize: false, // resized() is told; Leaflet's own way also speaks up after the map is gone
      maxZoom: 18,
      minZoom: 4,
      zoomSnap: 0.5,
      worldCopyJump: true,
      zoomAnimation: !still,
      fadeAnimation: !still,
      inertia: !still,
    });
    this.map.createPane("ground").style.zIndex = "250";
    this.#under = new MarkCanvas({ pane: "ground", padding: 0.3 });
    this.#canvas = new MarkCanvas({ padding: 0.3, tolerance: 6 });
    this.#graticule = new Graticule(this.#under, this.#line());
    this.#graticule.addTo(this.map);
    this.#areas.addTo(this.map);
    this.#areaNames.addTo(this.map);
    this.#drawn.addTo(this.map);
    control.scale({ imperial: false, position: "bottomleft" }).addTo(this.map);
    this.map.fitBounds([[...HOME[0]], [...HOME[1]]]);
    this.map.on("moveend", this.#nameThem);
  }

  destroy(): void {
    this.map.remove();
  }

  /** The element has another size now. */
  resized = (): void => {
    this.map.invalidateSize({ animate: false });
    if (!this.#fitted) this.fit();
  };

  /** Colours of another theme. */
  repaint(): void {
    this.#palette = paletteOf(this.map.getContainer(), STATES);
    this.#graticule.paint(this.#line());
    this.#areaKey = "";
  }

  get accent(): string {
    return this.#palette.accent;
  }

  async tiles(dark: boolean, signal: AbortSignal): Promise<boolean> {
    const layer = await basemap(dark, signal);
    if (signal.aborted) return false;
    this.#tiles?.remove();
    this.#tiles = layer?.addTo(this.map) ?? null;
    if (layer) this.#graticule.remove();
    else this.#graticule.addTo(this.map);
    return layer !== null;
  }

  show({ clusters, areas, chosen, figures }: Shown): void {
    this.#places = [...clusters.map(placeOf), ...figures.flatMap(extent)];
    if (!this.#fitted) this.fit(); // first, so that a thousand marks are placed once
    this.#showAreas(clusters, areas);
    this.#showMarks(clusters, chosen);
    if (this.#showFigures(figures)) this.fit();
    this.#nameThem();
  }

  /** So that every cluster and every figure can be seen. */
  fit = (): void => {
    const all = boundsOf(this.#places);
    const size = this.map.getSize();
    if (!all.isValid() || size.x === 0 || size.y === 0) return;
    // More above: the names of areas stand there.
    this.map.fitBounds(all.pad(0.05), { maxZoom: 15, paddingTopLeft: [24, 44], paddingBottomRight: [24, 24] });
    this.#fitted = true;
  };

  /** Move only as far as needed to see this cluster. */
  reveal(id: string): void {
    const found = this.#marks.get(id);
    if (found && !this.map.getBounds().pad(-0.05).contains(found.mark.getLatLng())) {
      this.map.panTo(found.mark.getLatLng());
    }
  }

  #line(): string {
    return getComputedStyle(this.map?.getContainer() ?? document.documentElement)
      .getPropertyValue("--line")
      .trim();
  }

  #showMarks(clusters: readonly Placed[], chosen: ReadonlySet<string>): void {
    const ordered = [...clusters].sort((a, b) => DRAWN.indexOf(a.state) - DRAWN.indexOf(b.state));
    const gone = new Set(this.#marks.keys());
    for (const cluster of ordered) {
      gone.delete(cluster.id);
      const options = {
        state: cluster.state,
        palette: this.#palette,
        chosen: chosen.has(cluster.id),
        faint: chosen.size > 1 && !chosen.has(cluster.id),
      };
      const known = this.#marks.get(cluster.id);
      if (!known) this.#add(cluster, options);
      else {
        const raised = known.cluster.state !== cluster.state || options.chosen;
        known.cluster = cluster;
        known.mark.setLatLng([cluster.latitude, cluster.longitude]);
        known.mark.show(options);
        if (raised) known.mark.bringToFront();
      }
    }
    for (const id of gone) {
      this.#marks.get(id)?.mark.remove();
      this.#marks.delete(id);
    }
  }

  #add(cluster: Placed, options: { state: State; palette: Palette; chosen: boolean; faint: boolean }): void {
    const mark = new Mark([cluster.latitude, cluster.longitude], { ...options, renderer: this.#canvas });
    const held = { mark, cluster };
    this.#marks.set(cluster.id, held);
    // Most are never pointed at: a tooltip for each would take longer than all the marks.
    mark.once("mouseover", () => !mark.getTooltip() && this.#tip(held, false).openTooltip());
    mark.on("click", () => this.#onpick(cluster.id));
    mark.addTo(this.map);
  }

  /** Its name: always there, or when it is pointed at, then with what is so there. */
  #tip({ mark, cluster: { id } }: Held, permanent: boolean): Mark {
    const text = () => label(this.#marks.get(id)!.cluster, !permanent);
    mark.unbindTooltip();
    return mark.bindTooltip(text, {
      permanent,
      direction: permanent ? "right" : "top",
      offset: permanent ? [8, 0] : [0, -6],
      className: permanent ? "map-name" : "",
    });
  }

  #showAreas(clusters: readonly Placed[], areas: readonly MapArea[]): void {
    const key = JSON.stringify([clusters.map((each) => [each.area_id, each.latitude, each.longitude]), areas]);
    if (key === this.#areaKey) return;
    this.#areaKey = key;
    this.#areas.clearLayers();
    this.#areaNames.clearLayers();
    this.#named = [];
    const by = Map.groupBy(clusters, (cluster) => cluster.area_id);
    for (const { id, name } of areas) {
      const places = (by.get(id) ?? []).map(({ latitude, longitude }): Point => [latitude, longitude]);
      if (places.length === 0) continue;
      const shape = polygon(ground(places, GROUND_KM).map(([lat, lon]) => [lat, lon]), {
        renderer: this.#under,
        interactive: false,
        color: this.#palette.accent,
        weight: 1.5,
        opacity: 0.55,
        fillOpacity: 0.09,
        smoothFactor: 0.5,
      }); // prettier-ignore
      const bounds = shape.getBounds();
      const tooltip = new Tooltip(bounds.getCenter(), { permanent: true, direction: "center", className: "map-area" });
      this.#named.push({ text: name, bounds, tooltip });
      this.#areas.addLayer(shape);
      this.#areaNames.addLayer(tooltip.setContent(span(name)));
    }
  }

  /** Whether one of them is new and lies, or reaches, beyond what is seen. */
  #showFigures(figures: readonly Figure[]): boolean {
    this.#drawn.clearLayers();
    const style = { color: this.#palette.accent, weight: 3, fillOpacity: 0.18, interactive: false };
    for (const figure of figures) {
      this.#drawn.addLayer(
        figure.kind === "circle"
          ? circle([...figure.centre], { ...style, radius: figure.km * 1000 })
          : polygon(figure.points.map(([lat, lon]) => [lat, lon]), style),
      ); // prettier-ignore
    }
    const known = this.#figureKeys;
    this.#figureKeys = new Set(figures.map((each) => JSON.stringify(each)));
    const seen = this.map.getBounds();
    return figures.some((each) => !known.has(JSON.stringify(each)) && !seen.contains(boundsOf(extent(each))));
  }

  /** Names of clusters when few are in view, names of areas when not too many are. */
  #nameThem = (): void => {
    const seen = this.map.getBounds();
    const near = [...this.#marks.values()].filter(({ mark }) => seen.contains(mark.getLatLng()));
    const named = near.length <= NAMED_AT_MOST && this.map.getZoom() >= 13;
    const inView = new Set(named ? near : []);
    for (const held of this.#marks.values()) {
      const wanted = inView.has(held);
      if (wanted !== Boolean(held.mark.getTooltip()?.options.permanent)) this.#tip(held, wanted);
    }
    const few = !named && this.#areaNames.getLayers().length <= AREAS_NAMED_AT_MOST && this.map.getZoom() >= 9;
    this.map.getContainer().classList.toggle("areas-named", few);
    if (few) this.#placeNames(near.map(({ mark }) => this.map.latLngToContainerPoint(mark.getLatLng())));
  };

  /** Each name above its area, or below it, where no mark and no other name is; where neither is free it is left out. */
  #placeNames(marks: readonly { x: number; y: number }[]): void {
    const taken: Box[] = marks.map(({ x, y }) => ({ left: x - 7, right: x + 7, top: y - 7, bottom: y + 7 }));
    for (const { text, bounds, tooltip } of this.#named) {
      const middle = bounds.getCenter().lng;
      const above = this.map.latLngToContainerPoint([bounds.getNorth(), middle]).subtract([0, NAME_PX + GAP_PX]);
      const below = this.map.latLngToContainerPoint([bounds.getSouth(), middle]).add([0, NAME_PX + GAP_PX]);
      const half = (text.length * LETTER_PX) / 2;
      const boxAt = ({ x, y }: { x: number; y: number }): Box => ({
        left: x - half, right: x + half, top: y - NAME_PX, bottom: y + NAME_PX,
      }); // prettier-ignore
      const free = [above, below].find((at) => !taken.some((box) => overlap(box, boxAt(at))));
      tooltip.setOpacity(free ? 1 : 0);
      if (!free) continue;
      taken.push(boxAt(free));
      tooltip.setLatLng(this.map.containerPointToLatLng(free));
    }
  }
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function boundsOf(places: readonly Point[]): LatLngBounds {
  return latLngBounds(places.map(([lat, lon]): [number, number] => [lat, lon]));
}

function placeOf({ latitude, longitude }: Placed): Point {
  return [latitude, longitude];
}

/** Text as text: a name may hold anything. */
function span(text: string): HTMLElement {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}

function label({ name, detail }: Placed, whole: boolean): HTMLElement {
  const element = span(name);
  if (whole && detail) {
    const second = document.createElement("small");
    second.textContent = detail;
    element.append(document.createElement("br"), second);
  }
  return element;
}
