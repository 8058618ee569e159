/** Lines of latitude and longitude: the ground of a map without tiles. */
import { LayerGroup, polyline, type Map, type Renderer } from "leaflet";
import { graticuleStep } from "./geometry";

export class Graticule extends LayerGroup {
  #colour: string;
  #renderer: Renderer;

  constructor(renderer: Renderer, colour: string) {
    super();
    this.#renderer = renderer;
    this.#colour = colour;
  }

  override onAdd(map: Map): this {
    super.onAdd(map);
    map.on("moveend", this.#draw, this);
    this.#draw();
    return this;
  }

  override onRemove(map: Map): this {
    map.off("moveend", this.#draw, this);
    return super.onRemove(map);
  }

  paint(colour: string): void {
    this.#colour = colour;
    this.#draw();
  }

  #draw = (): void => {
    const map = (this as unknown as { _map?: Map })._map;
    if (!map) return;
    this.clearLayers();
    const seen = map.getBounds().pad(0.5);
    const step = graticuleStep(map.getBounds().getEast() - map.getBounds().getWest());
    const style = { renderer: this.#renderer, color: this.#colour, weight: 1, interactive: false };
    const [south, north, west, east] = [seen.getSouth(), seen.getNorth(), seen.getWest(), seen.getEast()];
    for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) {
      this.addLayer(polyline([[lat, west], [lat, east]], style)); // prettier-ignore
    }
    for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
      this.addLayer(polyline([[south, lon], [north, lon]], style)); // prettier-ignore
    }
  };
}
