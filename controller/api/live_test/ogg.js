// Packets out of a stream of Ogg pages (RFC 3533), as they come. Its two headers (RFC 7845) are left out.
const HEAD = 27;
const HEADERS = 2;
const MOST = 1 << 20; // more without a whole page is no Ogg

export class OggPackets {
  #bytes = new Uint8Array(0);
  #part = [];
  #seen = 0;

  /** Take some bytes; gives the packets that became whole. */
  take(more) {
    const bytes = new Uint8Array(this.#bytes.length + more.length);
    bytes.set(this.#bytes);
    bytes.set(more, this.#bytes.length);
    const packets = [];
    let at = 0;
    for (let size = pageSize(bytes, at); size; size = pageSize(bytes, at)) {
      this.#page(bytes.subarray(at, at + size), packets);
      at += size;
    }
    this.#bytes = bytes.slice(at);
    if (this.#bytes.length > MOST) throw new Error("this is no Ogg");
    return packets;
  }

  #page(page, packets) {
    let at = HEAD + page[26];
    for (const lace of page.subarray(HEAD, at)) {
      this.#part.push(page.slice(at, at + lace));
      at += lace;
      if (lace < 255) {
        if (this.#seen >= HEADERS) packets.push(joined(this.#part));
        this.#seen += 1;
        this.#part = [];
      }
    }
  }
}

/** The size of the page at a place; 0 when it is not whole yet. */
function pageSize(bytes, at) {
  if (bytes.length < at + HEAD || bytes.length < at + HEAD + bytes[at + 26]) return 0;
  if (String.fromCharCode(...bytes.subarray(at, at + 4)) !== "OggS") throw new Error("this is no Ogg");
  const table = bytes.subarray(at + HEAD, at + HEAD + bytes[at + 26]);
  const size = HEAD + table.length + table.reduce((sum, one) => sum + one, 0);
  return bytes.length < at + size ? 0 : size;
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
