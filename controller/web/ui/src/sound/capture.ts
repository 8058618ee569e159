/** An open microphone: frames of 20 ms, 48 kHz, one channel. */
import { Problem } from "../api";
import workletUrl from "./frames.worklet.ts?worker&url";

export const RATE = 48_000;
/** A browser that wants a click first does not say so: it just does not begin. */
const BEGINS_MS = 1_000;

export interface CaptureOptions {
  /** Which one; without it the system's usual one. */
  device?: string | null;
  frame: (samples: Float32Array) => void;
  /** It was unplugged, or another program took it. */
  ended?: () => void;
}

export interface Capture {
  readonly device: string | null;
  /** Whether sound comes; after a reload a browser may want a click first. */
  runs(): Promise<boolean>;
  close(): void;
}

export async function openCapture({ device, frame, ended }: CaptureOptions): Promise<Capture> {
  if (!navigator.mediaDevices) throw new Problem(0, "insecure", "");
  const wish: MediaTrackConstraints = {
    channelCount: 1,
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    ...(device ? { deviceId: { exact: device } } : {}),
  };
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: wish });
  } catch (error) {
    const { name, message } = error as DOMException;
    if (device && (name === "OverconstrainedError" || name === "NotFoundError")) return openCapture({ frame, ended });
    throw new Problem(0, name, message);
  }
  const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    void context.close();
  };
  try {
    await context.audioWorklet.addModule(workletUrl);
  } catch (error) {
    close();
    throw new Problem(0, "unexpected", String(error));
  }
  const node = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(node);
  node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => frame(data);
  const track = stream.getAudioTracks()[0];
  track?.addEventListener("ended", () => ended?.());
  return {
    device: track?.getSettings().deviceId ?? null,
    async runs() {
      await Promise.race([context.resume(), new Promise((done) => setTimeout(done, BEGINS_MS))]);
      return context.state === "running";
    },
    close() {
      node.port.onmessage = null;
      close();
    },
  };
}
