/** The errors of the library: failures of the store, sorted by what a program does next. */
import { isFailure, type Failure, type FailureKind } from "@hayloft/base/failures.js"

/**
 * `invalid`: an argument. `exists`: the key has a value. `damaged`: bytes differ from those that were written. `full`:
 * the disk. `busy`: too much is on its way; try again. `failed`: the disk. `inUse`: another process has the folder.
 * `notAStore`: the folder holds something else. `closed`: the store is closed. `aborted`: the signal has fired.
 */
type VolumeErrorCode =
  | "invalid"
  | "exists"
  | "damaged"
  | "full"
  | "busy"
  | "failed"
  | "inUse"
  | "notAStore"
  | "closed"
  | "aborted"

export class VolumeError extends Error {
  override readonly name = "VolumeError"
  readonly code: VolumeErrorCode

  constructor(code: VolumeErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.code = code
  }
}

const CODES: Partial<Readonly<Record<FailureKind, VolumeErrorCode>>> = {
  invalidArgument: "invalid",
  corruptNeedle: "damaged",
  corruptRow: "damaged",
  corruptRecord: "damaged",
  noSuchNeedle: "damaged",
  deviceFull: "full",
  tooManyInFlight: "busy",
  folderInUse: "inUse",
  folderNotEmpty: "notAStore",
  foreignFolder: "notAStore",
  invalidConfig: "notAStore",
  stopping: "closed",
}

/** The disk answers, and cannot read this place; or the volume is gone. */
const isLostBytes = ({ kind, details }: Failure): boolean =>
  kind === "deviceFailed" && (details["code"] === "EIO" || details["code"] === "ENOENT")

/** The error that a program gets: bugs of the store stay what they are. */
export function volumeErrorOf(error: unknown): unknown {
  if (!isFailure(error)) return error
  return new VolumeError(isLostBytes(error) ? "damaged" : (CODES[error.kind] ?? "failed"), error.message, error)
}

/** The result of the work, whose failures are those of the library. */
export async function withVolumeErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw volumeErrorOf(error)
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new VolumeError("aborted", "the signal has fired", signal.reason)
}
