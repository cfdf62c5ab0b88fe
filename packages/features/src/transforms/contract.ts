/**
 * Transforms: representations of an object that are computed from its bytes. The original is never changed.
 *
 * A pipeline is what a client writes after `x-transform=`: steps with `|` between them, each a name and its parameters:
 * `tar,member=a.svg|svgmin|gzip`. The member of an archive comes first, a coding last.
 */
import type { ModuleName } from "@hayloft/base/ids.js"

/** `inside`: as large as fits; `cover`: cut to fill; `contain`: with borders; `fill`: stretched. */
export const FITS = ["inside", "cover", "contain", "fill"] as const
export const IMAGE_FORMATS = ["jpeg", "png", "webp", "avif"] as const
export const CODINGS = ["gzip", "zstd"] as const

type Fit = (typeof FITS)[number]
export type ImageFormat = (typeof IMAGE_FORMATS)[number]
export type Coding = (typeof CODINGS)[number]

export interface ImageStep {
  readonly kind: "image"
  /** Pixels. Absent: as the other one requires; both absent: not resized. */
  readonly width?: number
  readonly height?: number
  readonly fit: Fit
  /** The format of the input applies if this is absent. */
  readonly format?: ImageFormat
  /** 1 to 100; absent: the format's usual one. */
  readonly quality?: number
}

/** A step on whole bytes, which a process runs. */
export type WholeStep =
  | { readonly kind: "svgmin" }
  | ImageStep
  | { readonly kind: "module"; readonly name: ModuleName; readonly parameters: string }

/** The member of an archive, or pages of its list of members. */
export type ArchiveStep =
  | { readonly kind: "member"; readonly path: string }
  | { readonly kind: "list"; readonly prefix: string; readonly after: string; readonly membersMax: number }

export interface Pipeline {
  /** In canonical form: pipelines with the same text do the same. */
  readonly text: string
  readonly archive?: ArchiveStep
  readonly steps: readonly WholeStep[]
  readonly coding?: Coding
}

/** A step as a process gets it. `contentType`: of what a module makes; absent: that of its input. */
export type TaskStep =
  | Exclude<WholeStep, { kind: "module" }>
  | {
      readonly kind: "module"
      readonly name: string
      readonly code: Uint8Array
      readonly parameters: string
      readonly contentType?: string
    }

/** A task for a process. */
export type TransformTask =
  | { readonly kind: "steps"; readonly steps: readonly TaskStep[]; readonly bytes: Uint8Array; readonly type: string }
  /** How much memory outside of the JavaScript heap the steps take. */
  | { readonly kind: "measure"; readonly steps: readonly TaskStep[]; readonly bytes: Uint8Array }
  /** For gzip raw deflate blocks that end at a byte, none of them the last; for zstd a whole frame. */
  | { readonly kind: "encode"; readonly coding: Coding; readonly bytes: Uint8Array }
  /** The answer names the fault of the module. */
  | { readonly kind: "checkModule"; readonly code: Uint8Array }
  /** Which steps there are here, with their versions. */
  | { readonly kind: "versions" }

/** The answer of a process. */
export type TransformAnswer =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly type: string }
  /** The input stays as it is. `reason`: a short English phrase of ASCII. The same input is always skipped. */
  | { readonly kind: "skipped"; readonly reason: string }
  | { readonly kind: "measured"; readonly nativeBytes: number }
  | { readonly kind: "encoded"; readonly bytes: Uint8Array }
  /** `fault` is undefined if a module is good. */
  | { readonly kind: "checked"; readonly fault: string | undefined }
  | { readonly kind: "versions"; readonly versions: StepVersions }

/** Changes whenever the same input may give other bytes. Undefined: the step is not available here. */
export interface StepVersions {
  readonly svgmin: string
  readonly image: string | undefined
  readonly gzip: string
  readonly zstd: string
}

/** A WebAssembly module that an administrator has uploaded as a step. */
export interface ModuleInfo {
  readonly name: ModuleName
  readonly sha256: string
  readonly sizeBytes: number
  /** Content type of its results; undefined: the type of the input. */
  readonly contentType: string | undefined
  readonly modifiedMs: number
}

export interface TransformReport {
  /** Processes that run steps. */
  readonly threads: number
  readonly running: number
  readonly waiting: number
  readonly versions: StepVersions
  /** Results of bucket rules that this store keeps. */
  readonly results: { readonly sizeBytes: number; readonly sizeBytesMax: number; readonly count: number }
}

/** Modules and state, for administrators. */
export interface TransformAdmin {
  report(): Promise<TransformReport>
  /** By name. */
  modules(): Promise<readonly ModuleInfo[]>
  /** Throws `invalidArgument` for a module that cannot be a step, `limitExceeded`. */
  putModule(name: ModuleName, code: Uint8Array, contentType: string | undefined): Promise<ModuleInfo>
  /** Throws `noSuchTransform`. */
  removeModule(name: ModuleName): Promise<void>
}
