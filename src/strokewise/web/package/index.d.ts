/** A point; other fields (pressure, time, tilt) are ignored. A PointerEvent is one. */
export type Point =
  | { readonly x: number; readonly y: number }
  | { readonly x: number; readonly y: number; readonly [field: string]: unknown };

/** [x, y, …]: what follows x and y is ignored. */
export type PointTuple = readonly number[];

/** What is drawn without lifting the pen: points, or their columns, as Quick, Draw! writes them. */
export type Stroke =
  | readonly (Point | PointTuple)[]
  | { readonly x: readonly number[]; readonly y: readonly number[] };

/** What a drawing app writes around strokes: `{strokes: …}`, Excalidraw's elements, tldraw's shapes, Konva's lines. */
export type AppDrawing = { readonly [key: string]: unknown };

/** Pixels, row by row, 4 (RGBA), 3 or 1 bytes each. ImageData is one. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Strokes in any of their forms, the JSON text of them, or pixels. */
export type Drawing = readonly Stroke[] | Stroke | AppDrawing | readonly AppDrawing[] | Pixels | string;

export interface RecogniseOptions {
  /** Confidence, 0 to 1, below which the shape becomes "other". 0 by default. */
  readonly rejectBelow?: number;
  /** How strokes are written that could be lists of points or of columns; by default what is plausible. */
  readonly strokes?: "points" | "columns";
}

export interface SnapOptions extends RecogniseOptions {
  /** The largest misfit, 0 to 1, of an outline that is accepted for a shape that the network is sure of. */
  readonly maxMisfit?: number;
}

export interface Recognition {
  /** The name of the likeliest shape. */
  readonly shape: string;
  /** Its score, 0 to 1. */
  readonly confidence: number;
  /** The score of every shape; they sum to 1. */
  readonly scores: { readonly [shape: string]: number };
}

export type XY = readonly [number, number];

/** Where the outline of a shape lies in a drawing, in the drawing's own units: x to the right, y down. */
export interface Geometry {
  readonly shape: string;
  /** Which of the shape's outlines. */
  readonly variant: string;
  /** From the outline's own coordinates to the drawing: [[a, b, c], [d, e, f]], x′ = ax + by + c, y′ = dx + ey + f. */
  readonly matrix: readonly [readonly [number, number, number], readonly [number, number, number]];
  /** SVG path data of the clean shape: `new Path2D(path)`, or the `d` of a <path>. */
  readonly path: string;
  readonly parameters: {
    readonly centre: XY;
    /** Width and height along its own axes. */
    readonly size: XY;
    /** Of its first axis in degrees, clockwise as seen. */
    readonly angle: number;
    readonly mirrored: boolean;
    /** Of an ellipse. */
    readonly radii?: XY;
    /** Of a box with round corners. */
    readonly corner_radius?: number;
    /** Of a polygon. */
    readonly vertices?: readonly XY[];
    /** Points that the outline names, as an arrow's tip. */
    readonly points?: { readonly [name: string]: XY };
  };
  /** Root mean square distance from the ink to the outline, as a share of the drawing's longer side. */
  readonly residual: number;
  /** Mean of the share of the ink off the outline and of the outline without ink: 0 is perfect, 1 the worst. */
  readonly misfit: number;
}

export interface Snap extends Recognition {
  /** Where the shape lies, or null where no outline explains the drawing. */
  readonly geometry: Geometry | null;
  /** Why there is no geometry. */
  readonly no_geometry?: string;
}

/** A layer of the network. Sizes are [maps, height, width]. */
export interface Layer {
  readonly name: string;
  readonly block: string;
  readonly kind: "convolution" | "pooling" | "normalisation" | "activation" | "flatten" | "fully connected";
  readonly input_size: readonly [number, number, number];
  readonly output_size: readonly [number, number, number];
  /** The value at (row, column) sees size×size pixels from (start + row·jump, start + column·jump) on. */
  readonly receptive_field: { readonly size: number; readonly jump: number; readonly start: number };
  readonly description: string;
  readonly kernel_size: number;
  readonly stride: number;
  readonly padding: number;
  readonly bias: boolean;
  readonly groups: number;
}

/** A trained model with its preprocessing. Everything is synchronous. */
export class Recogniser {
  /** From the bytes of a model file. Throws ModelError where they are none. */
  constructor(bytes: ArrayBuffer | ArrayBufferView);
  /** The names of the shapes, "other" among them: drawings that are none of them. */
  readonly shapes: readonly string[];
  /** Width and height of the network's picture in pixels. */
  readonly imageSize: number;
  /** Recognise a drawing. Throws PictureError for one that cannot be read. */
  recognise(drawing: Drawing, options?: RecogniseOptions): Recognition;
  /** Recognise a drawing, and lay the outline of its shape over the ink. Throws PictureError. */
  snap(drawing: Drawing, options?: SnapOptions): Snap;
  /** The picture that the network sees, row by row, 0 bare paper to 255 full ink. Throws PictureError. */
  preprocess(drawing: Drawing, options?: RecogniseOptions): Uint8Array;
  /** The scores of a picture that `preprocess` made, in the order of `shapes`. */
  predictProba(picture: Uint8Array): number[];
  /** What every layer makes of a picture: values (maps, height, width), row by row. */
  activations(picture: Uint8Array): { readonly layer: Layer; readonly values: Float32Array }[];
}

/** A drawing cannot be read, or contains nothing that could be a shape. */
export class PictureError extends Error {
  /** Strokes that cannot be read; nothing to be seen; a photograph or ruled paper; pixels that are none. */
  readonly code: "strokes" | "blank" | "photograph" | "picture";
}

/** A model file is missing, damaged or of another version, or an option does not suit the model. */
export class ModelError extends Error {}

/** Load the recogniser: of this package, or of a model file's bytes or place. Rejects with ModelError. */
export function load(source?: URL | string | ArrayBuffer | ArrayBufferView): Promise<Recogniser>;
