/** Packets out of a stream of Ogg pages (RFC 3533), as they come. Its two headers (RFC 7845) are left out. */
const HEAD = 27;
const HEADERS = 2;
/** More without a whole page is no Ogg. */
const MOST = 1 << 20;

type Bytes = Uint8Array<ArrayBufferLike>;

export class OggPackets {
  #bytes: Bytes = new Uint8Array(0);
  #part: Bytes[] = [];
  #seen = 0;

  /** Take some bytes; gives the packets that became whole. */
  take(more: Bytes): Bytes[] {
    const bytes = joined([this.#bytes, more]);
    const packets: Bytes[] = [];
    let at = 0;
    for (let size = pageSize(bytes, at); size > 0; size = pageSize(bytes, at)) {
      this.#page(bytes.subarray(at, at + size), packets);
      at += size;
    }
    this.#bytes = bytes.slice(at);
    if (this.#bytes.length > MOST) throw new Error("this is no Ogg");
    return packets;
  }

  #page(page: Bytes, packets: Bytes[]): void {
    let at = HEAD + page[26]!;
    for (const lace of page.subarray(HEAD, at)) {
      this.#part.push(page.slice(at, at + lace));
      at += lace;
      if (lace === 255) continue;
      if (this.#seen >= HEADERS) packets.push(joined(this.#part));
      this.#seen += 1;
      this.#part = [];
    }
  }
}

/** The size of the page at a place; 0 when it is not whole yet. */
function pageSize(bytes: Bytes, at: number): number {
  if (bytes.length < at + HEAD || bytes.length < at + HEAD + bytes[at + 26]!) return 0;
  if (String.fromCharCode(...bytes.subarray(at, at + 4)) !== "OggS") throw new Error("this is no Ogg");
  const table = bytes.subarray(at + HEAD, at + HEAD + bytes[at + 26]!);
  const size = HEAD + table.length + table.reduce((sum, lace) => sum + lace, 0);
  return bytes.length < at + size ? 0 : size;
}

function joined(parts: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
