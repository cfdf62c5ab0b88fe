/**
 * What can go wrong for a client: nobody answers, or an answer that is an error.
 *
 * The endpoint may be any store, so the codes are an open set; `status` decides what a caller does.
 */

/** No answer: refused, reset, timed out, name unknown, TLS not trusted. */
export class Unreachable extends Error {
  override readonly name = "Unreachable"

  constructor(
    readonly endpoint: string,
    readonly reason: string,
    cause?: unknown,
  ) {
    super(`cannot reach ${endpoint} (${reason})`, cause === undefined ? {} : { cause })
  }
}

/** An answer with a status of 300 or more. */
export class RemoteFailure extends Error {
  override readonly name = "RemoteFailure"

  constructor(
    readonly status: number,
    /** As S3 or the admin API names it: `NoSuchBucket`; `http-503` where the body named nothing. */
    readonly code: string,
    message: string,
    /** For the operator who looks for it in the log. */
    readonly requestId: string | undefined,
  ) {
    super(message)
  }
}

/** An answer that breaks the rules: cut short, or bytes that do not fit their checksum. */
export class BrokenAnswer extends Error {
  override readonly name = "BrokenAnswer"
}
