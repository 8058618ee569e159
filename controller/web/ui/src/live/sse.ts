/**
 * Server-sent events from a byte stream. The browser's EventSource hides heartbeat comments, and without them nobody
 * can tell a quiet house from a dead line.
 */
export interface Message {
  event: string;
  data: string;
  id: string | null;
}

/** Feed it text as it comes; it gives whole messages. `null` stands for a heartbeat. */
export class SseParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id: string | null = null;

  /** Where to go on from: heartbeats move it, too. */
  get lastId(): string | null {
    return this.#id;
  }

  push(text: string): (Message | null)[] {
    const lines = (this.#rest + text).split(/\r\n|\n/);
    this.#rest = lines.pop() ?? "";
    const found: (Message | null)[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0)
          found.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
        this.#event = "";
        this.#data = [];
      } else if (line.startsWith(":")) {
        found.push(null);
      } else {
        this.#field(line);
      }
    }
    return found;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}
