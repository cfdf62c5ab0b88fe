/** Web: documents that others serve over HTTP. */
export interface Web {
  /**
   * The body of what the address answers with 200. Throws `providerUnreachable` for anything else: another
   * status, a redirection, a document over `bytesMax`, or one that is not there in `timeoutMs`.
   */
  get(url: string, limits: { readonly bytesMax: number; readonly timeoutMs: number }): Promise<Uint8Array>
}
