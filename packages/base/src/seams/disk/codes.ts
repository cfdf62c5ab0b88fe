/** Meaning of the system's error codes: whether the device failed, and whether a path does not exist. */
import { fail, isFailure } from "../../failures.js"
import type { Failure, FailureKind } from "../../failures.js"

/** Codes that mean that a path does not exist; other errors do not tell. */
const ABSENT: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"])

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

/** The result of `exists` for a failed check. */
export function falseIfAbsent(error: unknown): false {
  if (isFailure(error) && ABSENT.has(String(error.details["code"]))) return false
  throw error
}
