/** How much of a sound somebody has heard: every part counts once, however often it was played. Pure. */
export interface Ranges {
  readonly length: number;
  start(index: number): number;
  end(index: number): number;
}

/** From 0 to 1, of `duration` seconds. `played` is what an audio element says it played. */
export function heardShare(played: Ranges, duration: number): number {
  if (!(duration > 0)) return 0;
  let sum = 0;
  for (let i = 0; i < played.length; i += 1) sum += Math.max(0, played.end(i) - played.start(i));
  return Math.min(1, sum / duration);
}

/** An element's own clock and the file's length differ by a packet or two: that much may be missing at the end. */
const SPARE_S = 0.25;

export function heardWhole(played: Ranges, duration: number): boolean {
  return duration > 0 && heardShare(played, duration) * duration >= duration - Math.max(SPARE_S, duration * 0.01);
}

/** The outline of a waveform as one path, `peaks.length` wide and 2 high around 0. */
export function outline(peaks: readonly number[]): string {
  return peaks.map((peak, at) => `M${at + 0.5} ${(-bar(peak)).toFixed(3)}V${bar(peak).toFixed(3)}`).join("");
}

/** Silence still shows as a thin line. */
function bar(peak: number): number {
  return Math.max(0.015, Math.min(1, peak));
}

/** At most so many bars, each the highest of those it stands for. */
export function fewer(peaks: readonly number[], most: number): number[] {
  if (peaks.length <= most) return [...peaks];
  const out = new Array<number>(most).fill(0);
  peaks.forEach((peak, at) => {
    const to = Math.floor((at * most) / peaks.length);
    out[to] = Math.max(out[to]!, peak);
  });
  return out;
}
