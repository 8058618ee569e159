// Listening in: an audio element cannot send a token, so a ticket is asked for, good for one play.
import { ask } from "./api.js";

export class Listening {
  /** `page.hearing(word)` shows how it stands; `page.refused(error)` why it does not sound. */
  constructor(audio, page) {
    this.audio = audio;
    this.page = page;
    this.wish = null;
    audio.addEventListener("playing", () => page.hearing("hearing"));
    audio.addEventListener("waiting", () => { if (this.wish) page.hearing("connecting"); });
    audio.addEventListener("ended", () => this.stop());
    audio.addEventListener("error", () => this.#failed());
  }

  async start(wish) {
    this.stop();
    this.wish = wish;
    this.page.hearing("connecting");
    const ticket = await ask("/api/v1/listening", wish);
    this.audio.src = ticket.url;
    await this.audio.play().catch(() => {}); // why is told by the error event
  }

  stop() {
    this.wish = null;
    this.audio.removeAttribute("src");
    this.audio.load(); // lets the connection go
    this.page.hearing("heard_end");
  }

  /** The element does not say why: the same wish, asked for as a program would, does. */
  async #failed() {
    const wish = this.wish;
    if (!wish) return;
    this.stop();
    const giveUp = new AbortController();
    try {
      const ticket = await ask("/api/v1/listening", wish);
      await ask(ticket.url, undefined, giveUp.signal);
      this.page.refused({ code: "unreachable" });
    } catch (error) {
      this.page.refused(error);
    } finally {
      giveUp.abort();
    }
  }
}
