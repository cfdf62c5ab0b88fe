/**
 * Sends the body of a request from a source of bytes.
 *
 * Promises  One piece at a time: the next one is requested once the last one has left this process. The last one is
 *           sent once the source has ended without an error and with the declared length, so the server never takes a
 *           body for whole that is not.
 * Failures  Those of the source, or `BrokenSource` for another length, are passed to `onFailure`.
 */
import type { ClientRequest } from "node:http"
import { BrokenSource } from "./remote.js"

export interface StreamedBody {
  readonly lengthBytes: number
  /** 16 bytes, sent as `Content-MD5`. */
  readonly md5?: Uint8Array | undefined
  /** Called for each attempt. The memory of a piece may be reused once the next one is requested. */
  readonly open: () => AsyncIterable<Uint8Array>
}

/** The body of a request could not be read: no fault of the server, so that a repetition does not help. */
export class SourceFailure extends Error {
  override readonly name = "SourceFailure"

  constructor(readonly reason: unknown) {
    super("the body to send could not be read", { cause: reason })
  }
}

export const isStreamed = (body: Uint8Array | StreamedBody | undefined): body is StreamedBody =>
  body !== undefined && !(body instanceof Uint8Array)

export class BodySending {
  #source: AsyncIterator<Uint8Array> | undefined
  #state: "waiting" | "sending" | "sent" | "stopped" = "waiting"
  #wake: () => void = () => undefined

  constructor(
    private readonly request: ClientRequest,
    private readonly body: StreamedBody,
    private readonly onFailure: (reason: unknown) => void,
  ) {}

  /** The whole body was passed to the connection. */
  get isSent(): boolean {
    return this.#state === "sent"
  }

  /** Call it once there is a connection. */
  start(): void {
    if (this.#state !== "waiting") return
    this.#state = "sending"
    this.#send().catch((error: unknown) => {
      if (this.#state === "stopped") return
      this.stop()
      this.onFailure(error)
    })
  }

  /** Sends no more, and ends the source. Does not wait for it. */
  stop(): void {
    if (this.#state === "sent" || this.#state === "stopped") return
    this.#state = "stopped"
    this.#wake()
    void closed(this.#source)
  }

  async #send(): Promise<void> {
    const { open, lengthBytes } = this.body
    const source = open()[Symbol.asyncIterator]()
    this.#source = source
    let leftBytes = lengthBytes
    let last: Uint8Array | undefined
    for (let piece = await this.#next(source); piece !== undefined; piece = await this.#next(source)) {
      if (this.#isStopped()) return
      if (piece.length > leftBytes) throw new BrokenSource(`the body has more than its ${lengthBytes} bytes`)
      if (piece.length === 0) continue
      leftBytes -= piece.length
      if (leftBytes === 0) last = Uint8Array.from(piece)
      else await this.#written(piece)
      if (this.#isStopped()) return
    }
    if (this.#isStopped()) return
    if (leftBytes > 0) throw new BrokenSource(`the body ended ${leftBytes} bytes before its ${lengthBytes}`)
    this.#state = "sent"
    this.request.end(last)
  }

  async #next(source: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
    let hasEnded = true
    try {
      const next = await source.next()
      hasEnded = next.done === true
      return next.done === true ? undefined : next.value
    } finally {
      // One that has ended or failed is not ended again.
      if (hasEnded) this.#source = undefined
    }
  }

  #isStopped(): boolean {
    return this.#state === "stopped"
  }

  /** Resolves once the piece has left this process, or is no longer needed. */
  #written(piece: Uint8Array): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
      // A connection that fails stops this by its end.
      this.request.write(piece, error => {
        if (error == null) resolve()
      })
    })
  }
}

async function closed(source: AsyncIterator<Uint8Array> | undefined): Promise<void> {
  try {
    await source?.return?.()
  } catch {
    // The outcome of a source that is no longer needed matters to no one.
  }
}
