/** The meaning of a code and what to do about it: the texts of `hayloft explain` and of docs/reference/codes.md. */

export interface Text {
  /** The event that has happened, and its consequence; one to three sentences. Commands are in backquotes. */
  readonly cause: string
  /** The action to take now. */
  readonly action: string
  /** A page of docs/, with the heading: `operate/operate.md#space`. */
  readonly page?: string
}

/** The level of some events depends on what has happened. */
export type ExplainedLevel = "warn" | "error" | "warn or error"

export interface LogText extends Text {
  readonly level: ExplainedLevel
}

export const text = (cause: string, action: string, page?: string): Text => ({
  cause,
  action,
  ...(page !== undefined && { page }),
})

const logged =
  (level: ExplainedLevel) =>
  (cause: string, action: string, page?: string): LogText => ({ level, ...text(cause, action, page) })

export const warn = logged("warn")
export const error = logged("error")
export const warnOrError = logged("warn or error")
