/** Meaning of the system's error codes: whether the device failed, and whether a path does not exist. */
import { fail, isFailure } from "../../failures.js"
import type { Failure, FailureKind } from "../../failures.js"

/** Codes that mean that a path does not exist; other errors do not tell. */
const ABSENT: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"])

/** Codes that tell of the path, and nothing of the device. */
const OF_PATHS: ReadonlySet<string> = new Set([...ABSENT, "EEXIST", "ENOTEMPTY", "EISDIR"])

/** Codes that are not the device's failure. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  ENOSPC: "deviceFull",
  EDQUOT: "deviceFull",
  EMFILE: "tooManyInFlight",
  ENFILE: "tooManyInFlight",
  ENOMEM: "tooManyInFlight",
}

/** The failure that a disk throws for a code. */
export const failureOfCode = (code: string, path: string, cause?: unknown): Failure =>
  fail(KINDS[code] ?? "deviceFailed", { path, code }, cause)

/** Returns true if the device has failed a call, as far as the code of the failure tells. */
export const isDeviceFault = (error: unknown): boolean =>
  isFailure(error, "deviceFailed") && !OF_PATHS.has(String(error.details["code"]))

/** The result of `exists` for a failed check. */
export function falseIfAbsent(error: unknown): false {
  if (isFailure(error) && ABSENT.has(String(error.details["code"]))) return false
  throw error
}
