/**
 * The map beneath: tiles an operator dropped into the controller's folder, drawn in the browser, or none at all. The
 * code that draws them is loaded only when there are some.
 */
import * as leaflet from "leaflet";
import { api, call } from "../api";

/** A layer of tiles, or null when the controller has no map. */
export async function basemap(dark: boolean, signal: AbortSignal): Promise<leaflet.GridLayer | null> {
  const { tiles, max_zoom: maxZoom } = await call(api.GET("/api/v1/map", { signal }));
  if (tiles === null) return null;
  // protomaps-leaflet builds upon a global L.
  (globalThis as { L?: typeof leaflet }).L = leaflet;
  const { leafletLayer } = await import("protomaps-leaflet");
  return leafletLayer({
    url: new URL(tiles, location.origin).href,
    flavor: dark ? "dark" : "light",
    lang: "vi",
    pane: "tilePane",
    // What is deeper is drawn from these; without it, tiles that are not there would be asked for.
    maxDataZoom: maxZoom ?? undefined,
  }) as unknown as leaflet.GridLayer;
}
