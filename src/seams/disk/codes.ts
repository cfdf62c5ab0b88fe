/** What error codes of the system say: whose failure it is, and whether a path leads nowhere. */
import { fail, isFailure } from "../../base/failures.js"
import type { Failure, FailureKind } from "../../base/failures.js"

/** What says that a path leads nowhere; any other error says nothing about it. */
const ABSENT: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"])

/** What is not the device's failure. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  ENOSPC: "deviceFull",
  EDQUOT: "deviceFull",
  EMFILE: "tooManyInFlight",
  ENFILE: "tooManyInFlight",
  ENOMEM: "tooManyInFlight",
}

/** What a disk throws for a code. */
export const failureOfCode = (code: string, path: string, cause?: unknown): Failure =>
  fail(KINDS[code] ?? "deviceFailed", { path, code }, cause)

/** What a question whether something exists answers where asking failed. */
export function falseIfAbsent(error: unknown): false {
  if (isFailure(error) && ABSENT.has(String(error.details["code"]))) return false
  throw error
}
