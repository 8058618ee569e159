/**
 * Figures on the map, as CAP writes them and as the controller reads them (`controller.cap.shapes`). Pure.
 *
 * Latitude comes first, degrees are WGS 84, a radius is in kilometres, a polygon's last corner is its first.
 */
export type Point = readonly [latitude: number, longitude: number];

export type Figure = { kind: "polygon"; points: readonly Point[] } | { kind: "circle"; centre: Point; km: number };

/** Mean radius of the Earth in kilometres (IUGG R1), as the controller has it. */
const EARTH_KM = 6371.0088;
/** About a metre: more digits say nothing about a loudspeaker. */
const DIGITS = 5;
const RADIANS = Math.PI / 180;
const KM_A_DEGREE = EARTH_KM * RADIANS;

/** What the API takes: `{ polygons: ["16.5,106.9 …"], circles: ["16.5,106.9 3.2"] }`. */
export function asPlaces(figures: readonly Figure[]): { polygons: string[]; circles: string[] } {
  const polygons: string[] = [];
  const circles: string[] = [];
  for (const figure of figures) {
    if (figure.kind === "circle") circles.push(`${text(figure.centre)} ${round(figure.km, 3)}`);
    else polygons.push([...figure.points, figure.points[0]!].map(text).join(" "));
  }
  return { polygons, circles };
}

/** The figures of a warning or an alert; what cannot be read is left out (the controller has judged it already). */
export function fromPlaces(polygons: readonly string[], circles: readonly string[]): Figure[] {
  const figures: Figure[] = [];
  for (const each of polygons) {
    const points = each
      .trim()
      .split(/\s+/)
      .map(pointOf)
      .filter((point) => point !== null);
    if (points.length > 1 && same(points[0]!, points.at(-1)!)) points.pop();
    if (points.length >= 3) figures.push({ kind: "polygon", points });
  }
  for (const each of circles) {
    const [centre, km] = each.trim().split(/\s+/);
    const point = pointOf(centre ?? "");
    if (point && Number(km) >= 0) figures.push({ kind: "circle", centre: point, km: Number(km) });
  }
  return figures;
}

/** Kilometres between two places. */
export function distance(a: Point, b: Point): number {
  const [lat, lon] = [(b[0] - a[0]) * RADIANS, (b[1] - a[1]) * RADIANS];
  const half = Math.sin(lat / 2) ** 2 + Math.cos(a[0] * RADIANS) * Math.cos(b[0] * RADIANS) * Math.sin(lon / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(half)));
}

/** Whether a place lies in the figure. The controller decides with its own arithmetic; this is for showing a count. */
export function inside(figure: Figure, place: Point): boolean {
  if (figure.kind === "circle") return distance(figure.centre, place) <= figure.km;
  const [lat, lon] = place;
  let within = false;
  figure.points.forEach(([latA, lonA], i) => {
    const [latB, lonB] = figure.points[(i + 1) % figure.points.length]!;
    if (latA > lat !== latB > lat && lon < lonA + ((lat - latA) * (lonB - lonA)) / (latB - latA)) within = !within;
  });
  return within;
}

/** South-west and north-east corner of what a figure covers. */
export function extent(figure: Figure): [Point, Point] {
  if (figure.kind === "polygon") {
    const [lats, lons] = [figure.points.map(([lat]) => lat), figure.points.map(([, lon]) => lon)];
    return [
      [Math.min(...lats), Math.min(...lons)],
      [Math.max(...lats), Math.max(...lons)],
    ];
  }
  const [lat, lon] = figure.centre;
  const north = figure.km / KM_A_DEGREE;
  const east = north / Math.max(Math.cos(lat * RADIANS), 0.01); // the poles have no east
  return [
    [lat - north, lon - east],
    [lat + north, lon + east],
  ];
}

/** The ground these places cover: the convex hull of circles of `km` around them, so that one place has ground too. */
export function ground(places: readonly Point[], km: number): Point[] {
  const rim = places.flatMap(([lat, lon]) =>
    Array.from({ length: 12 }, (_, i): Point => {
      const [north, east] = [Math.sin(i * 30 * RADIANS) * km, Math.cos(i * 30 * RADIANS) * km];
      return [lat + north / KM_A_DEGREE, lon + east / (KM_A_DEGREE * Math.cos(lat * RADIANS))];
    }),
  );
  return hull(rim);
}

/** Convex hull (Andrew's monotone chain), anticlockwise. */
export function hull(places: readonly Point[]): Point[] {
  const sorted = [...places].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  const half = (points: readonly Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of points) {
      while (chain.length > 1 && turn(chain.at(-2)!, chain.at(-1)!, point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return sorted.length < 3 ? sorted : [...half(sorted), ...half(sorted.reverse())];
}

/** Distance between lines of a graticule in degrees, so that about `wanted` of them lie in `span` degrees. */
export function graticuleStep(span: number, wanted = 6): number {
  const rough = Math.max(span, 1e-6) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough)!;
}

function turn(a: Point, b: Point, c: Point): number {
  return (b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1]);
}

function pointOf(said: string): Point | null {
  const [lat, lon, ...rest] = said.split(",").map(Number);
  return rest.length === 0 && Math.abs(lat!) <= 90 && Math.abs(lon!) <= 180 ? [lat!, lon!] : null;
}

function same(a: Point, b: Point): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function text([lat, lon]: Point): string {
  return `${round(lat, DIGITS)},${round(lon, DIGITS)}`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
