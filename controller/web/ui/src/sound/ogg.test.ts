import { expect, it } from "vitest";
import { OggPackets } from "./ogg";

/** A page of these packets; `open`: the last one goes on in the next page. */
function page(packets: readonly Uint8Array[], open = false): Uint8Array {
  const laces = packets.flatMap((packet, i) => {
    const whole = new Array<number>(Math.floor(packet.length / 255)).fill(255);
    return open && i === packets.length - 1 ? whole : [...whole, packet.length % 255];
  });
  const body = packets.flatMap((packet) => [...packet]);
  return new Uint8Array([
    ...new TextEncoder().encode("OggS"),
    ...new Array<number>(22).fill(0),
    laces.length,
    ...laces,
    ...body,
  ]);
}
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

const stream = new Uint8Array([
  ...page([bytes(19, 1)]),
  ...page([bytes(60, 2)]),
  ...page([bytes(80, 3), bytes(510, 4)], true),
  ...page([bytes(7, 4), bytes(255, 5)]),
]);

it.each([1, 7, 300, 10_000])("gives packets without the headers, %i bytes at a time", (step) => {
  const ogg = new OggPackets();
  const packets: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += step) packets.push(...ogg.take(stream.subarray(at, at + step)));
  expect(packets.map((packet) => [packet.length, packet[0]])).toEqual([
    [80, 3],
    [517, 4],
    [255, 5],
  ]);
});

it("refuses what is no Ogg", () => {
  expect(() => new OggPackets().take(bytes(100, 7))).toThrow("no Ogg");
});
