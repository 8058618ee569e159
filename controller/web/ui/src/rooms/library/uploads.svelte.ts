/** Files on their way to the controller: two at a time, whichever page is shown; each can be cancelled or tried again. */
import { isAbort, type Problem, problemFrom, type shapes, upload, type Upload } from "../../api";

export interface About {
  title: string;
  area: string;
  /** "" = for everybody. */
  language: string;
}

export interface Sending {
  readonly key: number;
  readonly title: string;
  readonly state: "waiting" | "sending" | "done" | "failed";
  /** 0 to 1. */
  readonly part: number;
  readonly problem: Problem | null;
  /** The recording it became. */
  readonly recording: string | null;
}

interface Job {
  title: string;
  address: string;
  method: "POST" | "PUT";
  body: Blob;
}

const AT_A_TIME = 2;
/** What arrived needs no row of its own for long: the list shows it. */
const SHOWN_MS = 5_000;

class Uploads {
  #items = $state.raw<readonly Sending[]>([]);
  #jobs = new Map<number, Job>();
  #running = new Map<number, Upload<shapes.RecordingView>>();
  #next = 1;

  get items(): readonly Sending[] {
    return this.#items;
  }

  /** Whether leaving the console would lose something. */
  get busy(): boolean {
    return this.#items.some((each) => each.state === "waiting" || each.state === "sending");
  }

  add(body: Blob, about: About, fileName: string): void {
    const query = new URLSearchParams({ area_id: about.area, title: about.title, file_name: fileName.slice(-200) });
    if (about.language) query.set("language", about.language);
    this.#put({ title: about.title, address: `/api/v1/recordings?${query}`, method: "POST", body });
  }

  replace(recording: shapes.RecordingView, file: File): void {
    const query = new URLSearchParams({ file_name: file.name.slice(-200) });
    const address = `/api/v1/recordings/${recording.id}/sound?${query}`;
    this.#put({ title: recording.title, address, method: "PUT", body: file });
  }

  cancel(key: number): void {
    this.#running.get(key)?.cancel();
    this.close(key);
  }

  again(key: number): void {
    this.#change(key, { state: "waiting", part: 0, problem: null });
    this.#work();
  }

  /** Take it off the list. */
  close(key: number): void {
    this.#jobs.delete(key);
    this.#items = this.#items.filter((each) => each.key !== key);
  }

  #put(job: Job): void {
    const key = this.#next++;
    this.#jobs.set(key, job);
    const item: Sending = { key, title: job.title, state: "waiting", part: 0, problem: null, recording: null };
    this.#items = [...this.#items, item];
    this.#work();
  }

  #work(): void {
    for (const each of this.#items) {
      if (this.#running.size >= AT_A_TIME) break;
      if (each.state === "waiting") void this.#send(each.key);
    }
    if (this.busy) window.addEventListener("beforeunload", ask);
    else window.removeEventListener("beforeunload", ask);
  }

  async #send(key: number): Promise<void> {
    const job = this.#jobs.get(key)!;
    this.#change(key, { state: "sending" });
    const sent = upload<shapes.RecordingView>(job.address, job.body, {
      method: job.method,
      headers: { "Content-Type": "application/octet-stream" },
      onProgress: (part) => this.#change(key, { part }),
    });
    this.#running.set(key, sent);
    try {
      const made = await sent.done;
      this.#change(key, { state: "done", part: 1, recording: made.id });
      this.#jobs.delete(key);
      setTimeout(() => this.close(key), SHOWN_MS);
    } catch (error) {
      if (!isAbort(error)) this.#change(key, { state: "failed", problem: problemFrom(error) });
    } finally {
      this.#running.delete(key);
      this.#work();
    }
  }

  #change(key: number, more: Partial<Sending>): void {
    this.#items = this.#items.map((each) => (each.key === key ? { ...each, ...more } : each));
  }
}

function ask(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

export const uploads = new Uploads();

/** A title out of a file's name: "ban-tin_30-11.mp3" is "ban-tin 30-11". */
export function titleOf(fileName: string): string {
  return fileName
    .replace(/\.[^.]{1,5}$/, "")
    .replace(/_+/g, " ")
    .trim()
    .slice(0, 200);
}
