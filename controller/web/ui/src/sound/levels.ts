/** How loud a frame is, in dB of full scale. Pure. */
export const SILENCE_DB = -90;

export interface Level {
  rms: number;
  peak: number;
}

export function levelOf(samples: Float32Array): Level {
  let sum = 0;
  let peak = 0;
  for (const value of samples) {
    sum += value * value;
    peak = Math.max(peak, Math.abs(value));
  }
  return { rms: decibels(Math.sqrt(sum / Math.max(1, samples.length))), peak: decibels(peak) };
}

export function decibels(part: number): number {
  return part > 0 ? Math.max(SILENCE_DB, 20 * Math.log10(part)) : SILENCE_DB;
}

/** How fast a meter falls: eyes can follow it, and a pause between words still looks like one. */
const FALL_DB_S = 24;

/** What a meter shows after it showed `before`: it rises at once and falls slowly. */
export function settled(before: Level, heard: Level, seconds: number): Level {
  const fall = FALL_DB_S * seconds;
  return { rms: Math.max(heard.rms, before.rms - fall), peak: Math.max(heard.peak, before.peak - fall) };
}

/** 16-bit samples, little-endian: what the controller takes, and what a WAV file holds. */
export function samples16(frame: Float32Array): ArrayBuffer {
  const out = new DataView(new ArrayBuffer(frame.length * 2));
  frame.forEach((value, at) => out.setInt16(at * 2, Math.max(-1, Math.min(1, value)) * 32767, true));
  return out.buffer;
}

/** A WAV file of frames as `samples16` makes them. */
export function wavOf(frames: readonly ArrayBuffer[], rate: number): Blob {
  const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const text = (at: number, said: string) => [...said].forEach((sign, i) => head.setUint8(at + i, sign.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true); // PCM
  head.setUint16(22, 1, true); // one channel
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head.buffer, ...frames], { type: "audio/wav" });
}
