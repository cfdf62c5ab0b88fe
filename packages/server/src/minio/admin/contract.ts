/** MinIO's admin API between the thread that a request reaches and the thread of the engine, which answers it. */

/** A request whose signature is verified. */
export interface MinioCall {
  readonly method: string
  /** Below `/minio/admin/v3/`: `add-user`. */
  readonly path: string
  readonly rawQuery: string
  /** The body as it was sent: it may be sealed. */
  readonly body: Uint8Array
  readonly accessKeyId: string
  readonly sessionToken: string | undefined
  readonly from: { readonly requestId: string; readonly address: string }
  readonly isEncrypted: boolean
  readonly userAgent: string | undefined
  readonly referer: string | undefined
  /** The Host header. */
  readonly host: string
}

/** A failure as clients of MinIO know it. */
export interface MinioError {
  readonly status: number
  readonly code: string
  readonly message: string
}

export interface MinioAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: Uint8Array
  /** Instead of the body: its pieces, as they come. */
  readonly stream?: AsyncIterable<Uint8Array>
  /** The reason why the request was refused: it is noted in the log. */
  readonly failure?: { readonly code: string; readonly kind: string; readonly reason: string }
}

export interface MinioAdmin {
  /** `signal` fires when the client has left. Throws only what the server answers: internal errors. */
  handle(call: MinioCall, signal: AbortSignal): Promise<MinioAnswer>
}
