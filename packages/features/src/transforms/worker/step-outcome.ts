/** Outcomes of a step: new bytes, or the reason why the step was skipped. */

export interface MadeBytes {
  readonly kind: "made"
  readonly bytes: Uint8Array
  readonly type: string
}

export interface Skipped {
  readonly kind: "skipped"
  readonly reason: string
}

const REASON_LENGTH_MAX = 160

/** The reason becomes ASCII of a limited length: parts of it may come from the input. */
export function skip(reason: string): Skipped {
  const ascii = reason.replaceAll(/[^ -~]+/g, " ").trim()
  return { kind: "skipped", reason: ascii.slice(0, REASON_LENGTH_MAX) }
}

/** Returns true if the machine caused the error, not the input: the step may succeed later. */
export const isPassing = (error: unknown): boolean =>
  /out of memory|cannot allocate|could not allocate|allocation failed|timeout/i.test(messageOf(error))

/** The first line of what was thrown. */
export const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? ""
