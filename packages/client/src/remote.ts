/**
 * Failures of a client: no response, or an error response.
 *
 * The endpoint may be any store, so the codes are an open set; callers decide by `status`.
 */

/** No response: refused, reset, timed out, name unknown, TLS not trusted. */
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

const MESSAGE_CHARACTERS_MAX = 500
const CODE_CHARACTERS_MAX = 100

/** Returns a server's message about a failure, so long that a person can still read it. */
export const briefMessage = (message: string): string => message.slice(0, MESSAGE_CHARACTERS_MAX)
export const briefCode = (code: string): string => code.slice(0, CODE_CHARACTERS_MAX)

/** A response with a status of 300 or more. */
export class RemoteFailure extends Error {
  override readonly name = "RemoteFailure"

  constructor(
    readonly status: number,
    /** The code of S3 or the admin API: `NoSuchBucket`; `http-503` if the body had none. */
    readonly code: string,
    /** The message without the name. */
    readonly reason: string,
    /** For a search in the operator's log. */
    readonly requestId: string | undefined,
    /** The bucket, key or path that the answer is about. */
    readonly about?: string,
  ) {
    super(about === undefined ? reason : `${about}: ${reason}`)
  }
}

/** A malformed response: truncated, or with bytes that do not match their checksum. */
export class BrokenAnswer extends Error {
  override readonly name = "BrokenAnswer"
}

/** A body to send that is shorter or longer than it was declared. */
export class BrokenSource extends Error {
  override readonly name = "BrokenSource"
}
