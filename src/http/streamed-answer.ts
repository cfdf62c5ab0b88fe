/** Answers whose body comes piece by piece: whole, or broken visibly. */
import { assert } from "../base/assert.js"
import type { Answer } from "./contract.js"

/** What an answer is written through. */
export interface AnswerSink {
  readonly method: string
  /** True once the status line is on its way. */
  readonly answered: boolean
  readonly clientGone: boolean
  begin(answer: Answer, contentLength: number | undefined): void
  write(piece: Uint8Array): void
  /** Resolves when nothing that was written is looked at any more. */
  handedOver(): Promise<void>
  /** Ends the answer and waits until it is handed over. */
  finish(): Promise<void>
  /** Breaks the connection, so that nothing half-said looks whole. */
  destroy(): void
}

/** As `Exchange.respond` promises. */
export async function respondWithStream(
  sink: AnswerSink,
  answer: Answer,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const pieces = body[Symbol.asyncIterator]()
  try {
    const wanted = sink.method !== "HEAD" && answer.status !== 304 && answer.status !== 204
    // Before the first piece is there, a failure can still become an answer of its own.
    let next = wanted ? await pieces.next() : undefined
    if (sink.clientGone) return
    sink.begin(answer, answer.contentLength)
    let sentBytes = 0
    for (; next !== undefined && next.done !== true; next = await pieces.next()) {
      sentBytes += next.value.length
      assert(sentBytes <= (answer.contentLength ?? Infinity), "a body is no longer than its declared length")
      sink.write(next.value)
      await sink.handedOver()
      if (sink.clientGone) return
    }
    assert(!wanted || sentBytes === (answer.contentLength ?? sentBytes), "a body is as long as declared")
    await sink.finish()
  } catch (error) {
    if (sink.answered) sink.destroy()
    throw error
  } finally {
    await pieces.return?.()
  }
}
