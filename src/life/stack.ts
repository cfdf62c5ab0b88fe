/**
 * A stack of things to close, for start-ups that may fail half-way: a stand-in for
 * `AsyncDisposableStack`, which Node 20 lacks.
 *
 *   await using stack = new DisposeStack()
 *   const device = stack.use(await openDevice(…))
 *   stack.defer(() => server.close())
 *   return new Running(stack.move())        // all went well: whoever holds the move closes it
 *
 * Promises  Closes everything once, in reverse, each after the one before has finished, also when
 *           one of them fails. One error is thrown as it is, several as an `AggregateError`.
 * Refuses   Taking anything in after it was closed or moved.
 */
import { assert } from "../base/assert.js"

export class DisposeStack implements AsyncDisposable {
  #closers: (() => unknown)[] | undefined = []

  /** Closes it when the stack is closed; returns it. */
  use<Resource extends AsyncDisposable | Disposable>(resource: Resource): Resource {
    this.defer(() => (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]()))
    return resource
  }

  /** Calls and awaits `close` when the stack is closed. */
  defer(close: () => unknown): void {
    assert(this.#closers !== undefined, "the stack is closed")
    this.#closers.push(close)
  }

  /** Hands everything to a new stack; this one has nothing left to close. */
  move(): DisposeStack {
    assert(this.#closers !== undefined, "the stack is closed")
    const moved = new DisposeStack()
    moved.#closers = this.#closers
    this.#closers = undefined
    return moved
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closers = this.#closers ?? []
    this.#closers = undefined
    const errors: unknown[] = []
    for (const close of closers.reverse()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length === 1) throw errors[0]
    if (errors.length > 1) throw new AggregateError(errors, "several things failed to close")
  }
}
