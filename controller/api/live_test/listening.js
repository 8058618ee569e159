// Listening in. Chromium's audio element hands on a stream in blocks of 32 KiB: twelve seconds of speech. So packets are
// decoded here (WebCodecs); the element, with a ticket since it cannot send a token, is for browsers without a decoder.
import { ask, refusal, Refused, token } from "./api.js";
import { OggPackets } from "./ogg.js";

const RATE = 48000;
const PACKET_US = 20000;
const AHEAD_S = 0.3; // sound that waits to be played, at first
const MORE_S = 0.2; // and after each time it ran dry
const AHEAD_MOST_S = 2;
const LATE_S = 1.5; // beyond what is meant to wait and one bundle of a relay: left out, so that delay does not grow

const decodes = () => typeof AudioDecoder !== "undefined";

/** What comes is played a little later, in one line. */
class Line {
  constructor(context) {
    this.context = context;
    this.ahead = AHEAD_S;
    this.ends = 0;
  }

  play(data) {
    const now = this.context.currentTime;
    if (this.ends < now) {
      if (this.ends) this.ahead = Math.min(AHEAD_MOST_S, this.ahead + MORE_S);
      this.ends = now + this.ahead;
    }
    if (this.ends - now <= this.ahead + LATE_S) {
      const buffer = this.context.createBuffer(1, data.numberOfFrames, data.sampleRate);
      data.copyTo(buffer.getChannelData(0), { planeIndex: 0, format: "f32-planar" });
      const source = this.context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.context.destination);
      source.start(this.ends);
      this.ends += buffer.duration;
    }
    data.close();
  }
}

export class Listening {
  /** `page.hearing(word)` shows how it stands; `page.refused(error)` why it does not sound. */
  constructor(audio, page) {
    this.audio = audio;
    this.page = page;
    this.leave = () => {};
    audio.addEventListener("playing", () => page.hearing("hearing"));
  }

  /** Hear a cluster or a source, until it ends or is stopped. */
  async start(wish) {
    this.stop();
    const left = new AbortController();
    this.leave = () => left.abort();
    this.page.hearing("connecting");
    try {
      await (decodes() ? this.#decoded(wish, left.signal) : this.#element(wish, left.signal));
    } catch (error) {
      if (!left.signal.aborted) throw error;
    } finally {
      if (!left.signal.aborted) this.stop();
    }
  }

  stop() {
    this.leave();
    this.page.hearing("heard_end");
  }

  async #decoded(wish, signal) {
    const path = wish.cluster_id
      ? `/api/v1/clusters/${wish.cluster_id}/listen?anyway=${wish.anyway}`
      : `/api/v1/sources/${wish.source_id}/listen`;
    const context = new AudioContext({ sampleRate: RATE });
    const line = new Line(context);
    const decoder = new AudioDecoder({ output: (data) => line.play(data), error: (error) => this.page.refused(error) });
    decoder.configure({ codec: "opus", sampleRate: RATE, numberOfChannels: 1 });
    try {
      const answer = await fetch(path, { headers: { Authorization: `Bearer ${token()}` }, signal })
        .catch(() => { throw new Refused("unreachable"); });
      if (!answer.ok) throw await refusal(answer);
      await this.#packets(answer.body.getReader(), decoder);
      await decoder.flush();
    } finally {
      if (decoder.state !== "closed") decoder.close();
      await context.close();
    }
  }

  async #packets(reader, decoder) {
    const ogg = new OggPackets();
    let timestamp = 0;
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      for (const data of ogg.take(value)) {
        decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
        if (timestamp === 0) this.page.hearing("hearing");
        timestamp += PACKET_US;
      }
    }
  }

  async #element(wish, signal) {
    const ticket = await ask("/api/v1/listening", wish);
    const over = new Promise((resolve, reject) => {
      this.audio.onended = resolve;
      this.audio.onerror = () => reject(new Refused("not_heard"));
      signal.addEventListener("abort", resolve);
    });
    this.audio.src = ticket.url;
    try {
      await Promise.all([this.audio.play().catch(() => {}), over]); // why it does not play is told by onerror
    } catch (error) {
      throw (await this.#why(wish)) ?? error;
    } finally {
      this.audio.onended = this.audio.onerror = null;
      this.audio.removeAttribute("src");
      this.audio.load(); // lets the connection go
    }
  }

  /** The element does not say why: the same wish, asked for as a program would, does. */
  async #why(wish) {
    const giveUp = new AbortController();
    try {
      const ticket = await ask("/api/v1/listening", wish);
      await ask(ticket.url, undefined, giveUp.signal);
      return null;
    } catch (error) {
      return error;
    } finally {
      giveUp.abort();
    }
  }
}
