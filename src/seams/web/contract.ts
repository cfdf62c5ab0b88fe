/** Web: documents that others serve over HTTP. */
export interface Web {
  /** Whether it may be asked, as far as the address says; what a name in it stands for shows only on asking. */
  allows(url: string): boolean
  /**
   * The body of what the address answers with 200. Throws `providerUnreachable` for anything else: an address that may
   * not be asked, another status, a redirection, a document over `bytesMax`, or one that is not there in `timeoutMs`.
   */
  get(url: string, limits: { readonly bytesMax: number; readonly timeoutMs: number }): Promise<Uint8Array>
}
