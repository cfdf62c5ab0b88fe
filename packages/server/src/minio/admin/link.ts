/**
 * MinIO's admin API over the link of a front thread: the thread of the engine carries calls out, and keeps the streams that it has
 * answered until the front has read them, or leaves.
 *
 * Limits  The streams of our admin API have a limit of their own for all of them together.
 */
import { changing, reading, type ThreadLink } from "@hayloft/engine/thread/index.js"
import type { MinioAdmin, MinioAnswer, MinioCall } from "./contract.js"

interface SentAnswer extends Omit<MinioAnswer, "stream"> {
  /** The number of its stream, if it has one. */
  readonly streamId: number | undefined
}

const METHODS = {
  call: changing<MinioCall, SentAnswer>("admin call of MinIO"),
  /** The next piece of a stream; undefined once it has ended. */
  next: reading<number, Uint8Array | undefined>("next piece of a stream of MinIO"),
  /** The client has left. */
  leave: reading<number, void>("end of a stream of MinIO"),
} as const

interface OpenStream {
  readonly pieces: AsyncIterator<Uint8Array>
  readonly left: AbortController
}

/** In the thread of the engine, before the link starts. */
export function serveMinioAdmin(link: ThreadLink, admin: MinioAdmin): void {
  const streams = new Map<number, OpenStream>()
  let lastId = 0
  const leave = (id: number): void => {
    const stream = streams.get(id)
    streams.delete(id)
    stream?.left.abort()
    stream?.pieces.return?.().catch(() => undefined)
  }
  link.handle(METHODS.call, async call => {
    const left = new AbortController()
    const { stream, ...answer } = await admin.handle(call, left.signal)
    if (stream === undefined) return { ...answer, streamId: undefined }
    lastId += 1
    streams.set(lastId, { pieces: stream[Symbol.asyncIterator](), left })
    return { ...answer, streamId: lastId }
  })
  link.handle(METHODS.next, async id => {
    const next = await streams.get(id)?.pieces.next()
    if (next?.done === false) return next.value
    leave(id)
    return undefined
  })
  link.handle(METHODS.leave, leave)
  void link.ended.then(() => [...streams.keys()].forEach(leave))
}

/** In a front thread. */
export class LinkedMinioAdmin implements MinioAdmin {
  constructor(private readonly link: ThreadLink) {}

  async handle(call: MinioCall, signal: AbortSignal): Promise<MinioAnswer> {
    const { streamId, ...answer } = await this.link.call(METHODS.call, call)
    if (streamId === undefined) return answer
    const leave = (): void => void this.link.call(METHODS.leave, streamId).catch(() => undefined)
    // A client may have left meanwhile: then nobody reads the pieces, not even to their end.
    signal.addEventListener("abort", leave, { once: true })
    if (signal.aborted) leave()
    return { ...answer, stream: this.pieces(streamId, signal, leave) }
  }

  private async *pieces(id: number, signal: AbortSignal, leave: () => void): AsyncGenerator<Uint8Array> {
    try {
      while (!signal.aborted) {
        const piece = await this.link.call(METHODS.next, id)
        if (piece === undefined) return
        yield piece
      }
    } finally {
      signal.removeEventListener("abort", leave)
      leave()
    }
  }
}
