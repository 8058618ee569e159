/** Frames of speech as the controller takes them: Opus packets (WebCodecs), or plain 16-bit samples. */
import { RATE } from "./capture";
import { samples16 } from "./levels";

/** Frames that the encoder may be behind before some are left out. */
const MOST_WAITING = 10;

export interface SpeechEncoder {
  readonly codec: "opus" | "pcm";
  push(frame: Float32Array): void;
  close(): void;
}

export async function speechEncoder(
  send: (bytes: ArrayBuffer | Uint8Array<ArrayBuffer>) => void,
): Promise<SpeechEncoder> {
  const encoder = await opusEncoder(send);
  if (!encoder) return { codec: "pcm", push: (frame) => send(samples16(frame)), close: () => undefined };
  let position = 0;
  return {
    codec: "opus",
    push(frame) {
      if (encoder.state === "configured" && encoder.encodeQueueSize < MOST_WAITING) encode(encoder, frame, position);
      position += frame.length;
    },
    close() {
      if (encoder.state !== "closed") encoder.close();
    },
  };
}

async function opusEncoder(send: (bytes: Uint8Array<ArrayBuffer>) => void): Promise<AudioEncoder | null> {
  if (typeof AudioEncoder === "undefined") return null;
  const config: AudioEncoderConfig = {
    codec: "opus",
    sampleRate: RATE,
    numberOfChannels: 1,
    bitrate: 48_000,
    opus: { frameDuration: 20_000, format: "opus" },
  };
  const support = await AudioEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
  if (!support.supported) return null;
  const encoder = new AudioEncoder({
    output(chunk) {
      const packet = new Uint8Array(chunk.byteLength);
      chunk.copyTo(packet);
      send(packet);
    },
    error: (error) => console.error("speech encoder", error),
  });
  encoder.configure(config);
  return encoder;
}

function encode(encoder: AudioEncoder, frame: Float32Array, position: number): void {
  const data = new AudioData({
    format: "f32-planar",
    sampleRate: RATE,
    numberOfFrames: frame.length,
    numberOfChannels: 1,
    timestamp: Math.round((position / RATE) * 1e6),
    data: frame as Float32Array<ArrayBuffer>,
  });
  encoder.encode(data);
  data.close();
}
