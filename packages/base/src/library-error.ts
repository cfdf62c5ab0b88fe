/**
 * Errors of the libraries that the npm package offers beside the client: `code` names the reason and is part of their
 * API, the message is for people. They take the place of failures, whose list is that of a store.
 */
export class LibraryError<Code extends string> extends Error {
  override readonly name = "LibraryError"

  constructor(
    readonly code: Code,
    message: string,
  ) {
    super(message)
  }
}
