/** Web: documents that other servers provide over HTTP, and services that the operator has chosen. */
export interface Web {
  /** Returns true if the address may be requested, before its host name is resolved. */
  allows(url: string): boolean
  /**
   * The body of the address's response with status 200. Throws `providerUnreachable` for anything else: an address that
   * is not allowed, another status, a redirection, a document over `bytesMax`, or none within `timeoutMs`.
   */
  get(url: string, limits: { readonly bytesMax: number; readonly timeoutMs: number }): Promise<Uint8Array>
}

export interface PostRequest {
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Certificates in PEM, one of which must have signed the server's; undefined: those that Node.js trusts. */
  readonly authorities: string | undefined
}

export interface PostAnswer {
  readonly status: number
  readonly body: Uint8Array
}

export interface ReadRequest {
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

export interface SendRequest {
  readonly method: "HEAD" | "PUT" | "DELETE"
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Its length is in the headers. Undefined: none. */
  readonly body: AsyncIterable<Uint8Array> | undefined
}

export interface SendAnswer extends PostAnswer {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
}

export interface WebServices {
  /** The response, as of `post`. A server that answers before it has all of the body ends the body. */
  send(request: SendRequest, bytesMax: number, signal: AbortSignal): Promise<SendAnswer>
  /** The response to a GET, as of `post`. */
  read(request: ReadRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer>
  /**
   * The response, whatever its status: redirections are not followed. Throws `providerUnreachable` if there is none, if
   * its body is over `bytesMax`, or once the signal fires: the caller limits the time.
   */
  post(request: PostRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer>
}
