/**
 * Clusters as signs on a canvas: form and colour say the state together, so that nobody depends on the colour. Signs that
 * call for somebody are larger and lie above the others.
 */
import { Canvas, CircleMarker, type CircleMarkerOptions, type LatLngExpression, type Point } from "leaflet";
import type { State } from "../design/state";

export interface Palette {
  ink: string;
  surface: string;
  accent: string;
  state: Record<State, string>;
}

interface MarkOptions extends CircleMarkerOptions {
  state: State;
  palette: Palette;
  chosen: boolean;
  faint: boolean;
}

const SIZE: Record<State, number> = {
  idle: 5,
  ok: 5,
  unknown: 5.5,
  muted: 6,
  drill: 7,
  playing: 7,
  warn: 7,
  offline: 6.5,
  fault: 7,
  emergency: 9,
};
/** Later lies above. */
export const DRAWN: readonly State[] = [
  "idle", "ok", "unknown", "muted", "playing", "warn", "offline", "fault", "drill", "emergency",
]; // prettier-ignore

/** What Leaflet keeps to itself and a form of one's own needs. */
interface Inside {
  _renderer: MarkCanvas;
  _point: Point;
  _empty(): boolean;
}
interface CanvasInside {
  _redraw(): void;
  _drawing: boolean;
  _ctx: CanvasRenderingContext2D;
}

export class Mark extends CircleMarker {
  declare options: MarkOptions;

  constructor(at: LatLngExpression, options: MarkOptions) {
    super(at, { ...options, radius: SIZE[options.state] } as CircleMarkerOptions);
  }

  /** Draw it so from now on; nothing is drawn when nothing changed. */
  show(options: MarkOptions): void {
    const now = this.options;
    if (now.state === options.state && now.chosen === options.chosen && now.faint === options.faint) {
      if (now.palette === options.palette) return;
    }
    Object.assign(now, options);
    this.setRadius(SIZE[options.state]);
    this.redraw();
  }

  /** Leaflet calls this whenever the mark must be painted. */
  _updatePath(): void {
    const inside = this as unknown as Inside;
    if (!inside._empty()) inside._renderer.paint(this, inside._point);
  }
}

const plainRedraw = (Canvas.prototype as unknown as CanvasInside)._redraw;

export class MarkCanvas extends Canvas {
  /** Leaflet 1.9 forgets a frame it asked for when it redraws at once, and that frame may come after the map has gone. */
  _redraw(): void {
    if ((this as unknown as Partial<CanvasInside>)._ctx) plainRedraw.call(this as unknown as CanvasInside);
  }

  paint(mark: Mark, { x, y }: Point): void {
    const { _drawing, _ctx: ctx } = this as unknown as CanvasInside;
    if (!_drawing) return;
    const { state, palette, chosen, faint } = mark.options;
    ctx.save();
    ctx.globalAlpha = faint ? 0.35 : 1;
    if (chosen) ring(ctx, x, y, SIZE[state] + 4, palette.accent, 3);
    ctx.lineWidth = 2;
    ctx.lineJoin = "round";
    ctx.strokeStyle = palette.surface;
    ctx.fillStyle = palette.state[state];
    FORMS[state](ctx, x, y, SIZE[state], palette);
    ctx.restore();
  }
}

type Form = (ctx: CanvasRenderingContext2D, x: number, y: number, size: number, palette: Palette) => void;

const disc: Form = (ctx, x, y, size) => {
  ctx.beginPath();
  ctx.arc(x, y, size, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.fill();
};

const corners =
  (...at: readonly (readonly [number, number])[]): Form =>
  (ctx, x, y, size) => {
    ctx.beginPath();
    for (const [dx, dy] of at) ctx.lineTo(x + dx * size, y + dy * size);
    ctx.closePath();
    ctx.stroke();
    ctx.fill();
  };

const diamond = corners([0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]);
const square = corners([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]);
const triangle = corners([0, -1.1], [1.1, 0.85], [-1.1, 0.85]);

const hollow: Form = (ctx, x, y, size, palette) => {
  const colour = ctx.fillStyle;
  ctx.fillStyle = palette.surface;
  disc(ctx, x, y, size + 0.5, palette);
  ring(ctx, x, y, size - 1, colour, 2.5);
};

function ring(
  ctx: CanvasRenderingContext2D,
  x: number,
  y: number,
  size: number,
  colour: CanvasFillStrokeStyles["strokeStyle"],
  width: number,
): void {
  ctx.beginPath();
  ctx.arc(x, y, size, 0, 2 * Math.PI);
  ctx.lineWidth = width;
  ctx.strokeStyle = colour;
  ctx.stroke();
}

function stroke(
  ctx: CanvasRenderingContext2D,
  colour: CanvasFillStrokeStyles["strokeStyle"],
  ...lines: readonly (readonly [number, number, number, number])[]
): void {
  ctx.beginPath();
  for (const [ax, ay, bx, by] of lines) {
    ctx.moveTo(ax, ay);
    ctx.lineTo(bx, by);
  }
  ctx.lineWidth = 2;
  ctx.strokeStyle = colour;
  ctx.stroke();
}

const FORMS: Record<State, Form> = {
  ok: disc,
  idle: disc,
  playing: (ctx, x, y, size, palette) => {
    disc(ctx, x, y, size, palette);
    ring(ctx, x, y, size * 0.4, palette.surface, 2);
  },
  unknown: hollow,
  offline: (ctx, x, y, size, palette) => {
    const colour = ctx.fillStyle;
    hollow(ctx, x, y, size, palette);
    stroke(ctx, colour, [x - size * 0.6, y + size * 0.6, x + size * 0.6, y - size * 0.6]);
  },
  muted: (ctx, x, y, size, palette) => {
    square(ctx, x, y, size, palette);
    stroke(ctx, palette.surface, [x - size * 0.5, y, x + size * 0.5, y]);
  },
  warn: triangle,
  fault: (ctx, x, y, size, palette) => {
    const arm = size * 0.45;
    square(ctx, x, y, size, palette);
    stroke(ctx, palette.surface, [x - arm, y - arm, x + arm, y + arm], [x - arm, y + arm, x + arm, y - arm]);
  },
  drill: diamond,
  emergency: (ctx, x, y, size, palette) => {
    diamond(ctx, x, y, size, palette);
    ring(ctx, x, y, size * 0.35, palette.surface, 2);
  },
};

/** The colours of the theme that holds now. */
export function paletteOf(element: Element, states: readonly State[]): Palette {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const named: Partial<Record<State, string>> = { muted: "warn", unknown: "idle" };
  const state = Object.fromEntries(states.map((each) => [each, colour(named[each] ?? each)]));
  return {
    ink: colour("ink-2"),
    surface: colour("surface"),
    accent: colour("accent"),
    state: state as Record<State, string>,
  };
}
