import { expect, test } from "vitest";
import {
  asPlaces,
  distance,
  extent,
  fromPlaces,
  graticuleStep,
  ground,
  hull,
  inside,
  type Figure,
  type Point,
} from "./geometry";

const SQUARE: Figure = { kind: "polygon", points: [[16, 106], [16, 107], [17, 107], [17, 106]] }; // prettier-ignore
const CIRCLE: Figure = { kind: "circle", centre: [16.5, 106.9], km: 3.21 };

test("figures go to the API as CAP writes them, and come back", () => {
  const said = asPlaces([SQUARE, CIRCLE]);
  expect(said).toEqual({ polygons: ["16,106 16,107 17,107 17,106 16,106"], circles: ["16.5,106.9 3.21"] });
  expect(fromPlaces(said.polygons, said.circles)).toEqual([SQUARE, CIRCLE]);
});

test("what cannot be read is no figure", () => {
  expect(
    fromPlaces(["", "16,106 17,107", "a,b c,d e,f", "16,106 95,107 17,107"], ["16,106", "x 3", "16,106 -1"]),
  ).toEqual([]);
});

test("what a figure covers has two corners", () => {
  expect(extent(SQUARE)).toEqual([[16, 106], [17, 107]]); // prettier-ignore
  const [[south, west], [north, east]] = extent(CIRCLE);
  expect(distance([south, 106.9], [north, 106.9])).toBeCloseTo(2 * 3.21, 3);
  expect(distance([16.5, west], [16.5, east])).toBeCloseTo(2 * 3.21, 3);
  expect(
    extent({ kind: "circle", centre: [90, 0], km: 5 })
      .flat()
      .every(Number.isFinite),
  ).toBe(true);
});

test("a degree of latitude is 111.2 km", () => {
  expect(distance([16, 106], [17, 106])).toBeCloseTo(111.195, 2);
});

test("inside and outside", () => {
  expect([inside(SQUARE, [16.5, 106.5]), inside(SQUARE, [17.5, 106.5]), inside(SQUARE, [16.5, 105])]).toEqual([
    true,
    false,
    false,
  ]);
  expect([inside(CIRCLE, [16.52, 106.9]), inside(CIRCLE, [16.54, 106.9])]).toEqual([true, false]);
});

test("a hull holds every place, and ground has extent around one place", () => {
  const places: Point[] = [[0, 0], [0, 2], [2, 2], [2, 0], [1, 1], [0, 1]]; // prettier-ignore
  expect(hull(places)).toEqual([[0, 0], [0, 2], [2, 2], [2, 0]]); // prettier-ignore
  const around = ground([[16.5, 106.9]], 1);
  expect(around.length).toBe(12);
  for (const point of around) expect(distance([16.5, 106.9], point)).toBeCloseTo(1, 1);
});

test("the graticule's step is 1, 2 or 5 of something", () => {
  expect([0.3, 1, 7, 40].map((span) => graticuleStep(span))).toEqual([0.05, 0.2, 2, 10]);
});
