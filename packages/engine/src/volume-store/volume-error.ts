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
}

const CLOSED = "the store is closed"
export const closedError = (cause?: unknown): VolumeError => new VolumeError("closed", CLOSED, cause)

/** The error that a program gets: bugs of the store stay what they are. */
function volumeErrorOf(error: unknown): unknown {
  if (!isFailure(error)) return error
  if (error.kind === "stopping") return closedError(error)
  return new VolumeError(CODES[error.kind] ?? "failed", error.message, error)
}

/** The disk answers, and cannot read this place; or the volume is gone. */
const isLostBytes = ({ kind, details }: Failure): boolean =>
  kind === "deviceFailed" && (details["code"] === "EIO" || details["code"] === "ENOENT")

/** The error of a call that reads values: bytes that the disk has lost are damage. */
export function readErrorOf(error: unknown): unknown {
  return isFailure(error) && isLostBytes(error)
    ? new VolumeError("damaged", error.message, error)
    : volumeErrorOf(error)
}

/** The result of the work, whose failures are those of the library. `errorOf` maps the failures of this call. */
export async function withVolumeErrors<T>(work: () => Promise<T>, errorOf = volumeErrorOf): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw errorOf(error)
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new VolumeError("aborted", "the signal has fired", signal.reason)
}
