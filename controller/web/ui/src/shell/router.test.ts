import { expect, it } from "vitest";
import { entrance, roomAt, rooms } from "../rooms/rooms";
import { href, match } from "./router.svelte";

it("patterns name the parts of an address", () => {
  expect(match("/cluster/:id", "/cluster/01J8%20x")).toEqual({ id: "01J8 x" });
  expect(match("/cluster/:id", "/cluster")).toBeNull();
  expect(match("/admin/:page?", "/admin")).toEqual({});
  expect(match("/", "/fleet")).toBeNull();
  expect(href("/fleet")).toBe("/console/fleet");
});

it("every room has an entrance that leads into it, and no two the same", () => {
  for (const room of rooms.filter((each) => each.nav)) expect(roomAt(entrance(room))?.room).toBe(room);
  expect(new Set(rooms.map((room) => room.path)).size).toBe(rooms.length);
});
