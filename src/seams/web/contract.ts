/** Web: documents that other servers provide over HTTP. */
export interface Web {
  /** Whether the address may be requested, before its host name is resolved. */
  allows(url: string): boolean
  /**
   * The body of the address's response with status 200. Throws `providerUnreachable` for anything else: an address that
   * is not allowed, another status, a redirection, a document over `bytesMax`, or none within `timeoutMs`.
   */
  get(url: string, limits: { readonly bytesMax: number; readonly timeoutMs: number }): Promise<Uint8Array>
}
