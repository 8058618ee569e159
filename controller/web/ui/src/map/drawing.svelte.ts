/**
 * Drawing a figure on the map, with the pointer or with keys.
 *
 * Polygon: a click sets a corner, a double click or Enter ends it. Circle: a click sets the middle, the next the rim. Keys
 * work at the cross in the middle of the map: arrows move the map, the space bar clicks there, Backspace takes the last
 * corner back, Escape gives up.
 */
import { circle, layerGroup, polygon, polyline, type LatLng, type LeafletMouseEvent, type Map } from "leaflet";
import { distance, type Figure, type Point } from "./geometry";

export type Tool = "polygon" | "circle";
/** Two clicks within this many pixels are one double click. */
const NEAR_PX = 8;
const LEAST_KM = 0.05;

export class Drawing {
  tool = $state<Tool | null>(null);
  corners = $state.raw<readonly Point[]>([]);
  #map: Map;
  #done: (figure: Figure) => void;
  #shown = layerGroup();
  #colour: () => string;

  constructor(map: Map, colour: () => string, done: (figure: Figure) => void) {
    this.#map = map;
    this.#colour = colour;
    this.#done = done;
    this.#shown.addTo(map);
    map.on("click", (event: LeafletMouseEvent) => this.tool && this.#set(event.latlng));
    map.on("mousemove", (event: LeafletMouseEvent) => this.tool && this.#show(event.latlng));
    map.on("move", () => this.tool && this.#show(map.getCenter()));
    map.getContainer().addEventListener("keydown", this.#key, { capture: true });
  }

  /** Whether what is there is a figure already. */
  get complete(): boolean {
    return this.tool === "polygon" && this.corners.length >= 3;
  }

  begin(tool: Tool): void {
    this.tool = tool;
    this.corners = [];
    this.#map.doubleClickZoom.disable();
    this.#map.getContainer().focus();
    this.#show(this.#map.getCenter());
  }

  cancel = (): void => {
    this.tool = null;
    this.corners = [];
    this.#shown.clearLayers();
    this.#map.doubleClickZoom.enable();
  };

  finish = (): void => {
    if (!this.complete) return;
    const points = this.corners;
    this.cancel();
    this.#done({ kind: "polygon", points });
  };

  #set(at: LatLng): void {
    const last = this.corners.at(-1);
    const near = (point: Point) =>
      this.#map.latLngToContainerPoint(at).distanceTo(this.#map.latLngToContainerPoint([...point])) < NEAR_PX;
    if (this.tool === "polygon") {
      if (this.complete && (near(last!) || near(this.corners[0]!))) return this.finish();
      if (!last || !near(last)) this.corners = [...this.corners, [at.lat, at.lng]];
    } else if (!last) this.corners = [[at.lat, at.lng]];
    else {
      const km = distance(last, [at.lat, at.lng]);
      if (km < LEAST_KM) return;
      this.cancel();
      return this.#done({ kind: "circle", centre: last, km });
    }
    this.#show(at);
  }

  #show(pointer: LatLng): void {
    this.#shown.clearLayers();
    const style = { color: this.#colour(), weight: 2, dashArray: "6 4", interactive: false };
    const points = this.corners.map(([lat, lon]): [number, number] => [lat, lon]);
    const [first] = points;
    if (this.tool === "circle" && first) {
      const metres = distance(first, [pointer.lat, pointer.lng]) * 1000;
      this.#shown.addLayer(circle(first, { ...style, radius: Math.max(metres, 1) }));
    } else if (points.length > 1) this.#shown.addLayer(polygon([...points, pointer], style));
    else if (first) this.#shown.addLayer(polyline([first, pointer], style));
    for (const point of points) {
      this.#shown.addLayer(circle(point, { ...style, dashArray: "", radius: 1, weight: 6 }));
    }
  }

  #key = (event: KeyboardEvent): void => {
    if (!this.tool || event.target !== this.#map.getContainer()) return;
    if (event.key === "Escape") this.cancel();
    else if (event.key === " ") this.#set(this.#map.getCenter());
    else if (event.key === "Enter") this.finish();
    else if (event.key === "Backspace") {
      this.corners = this.corners.slice(0, -1);
      this.#show(this.#map.getCenter());
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
}
