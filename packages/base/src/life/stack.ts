/**
 * A stack of resources to close, for start-ups that may fail half-way: a replacement for `AsyncDisposableStack`,
 * which Node 20 lacks.
 *
 *   await using stack = new DisposeStack()
 *   const device = stack.use(await openDevice(…))
 *   stack.defer(() => server.close())
 *   return new Running(stack.move())        // success: the owner of the move closes it
 *
 * Promises  Closes everything once, in reverse order, one after another, even if one of them fails. Throws a
 *           single error as it is, several as an `AggregateError`.
 * Refuses   Additions after it was closed or moved.
 */
import { assert } from "../assert.js"

export class DisposeStack implements AsyncDisposable {
  #closers: (() => unknown)[] | undefined = []

  /** Registers a resource to be closed with the stack; returns it. */
  use<Resource extends AsyncDisposable | Disposable>(resource: Resource): Resource {
    this.defer(() => (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]()))
    return resource
  }

  /** Registers `close` to be called and awaited when the stack is closed. */
  defer(close: () => unknown): void {
    assert(this.#closers !== undefined, "the stack is closed")
    this.#closers.push(close)
  }

  /** Moves everything to a new stack; this one has nothing left to close. */
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
    if (errors.length > 1) throw new AggregateError(errors, "several resources failed to close")
  }
}
