/**
 * Fetches that several readers wait for: each is done once, and ends with the last reader that waits.
 *
 * Promises  A reader that leaves is rejected at once with the reason of its signal; the others go on waiting. After the last one has
 *           left, the fetch is aborted, and the next reader begins another.
 */
interface Shared<Result> {
  readonly result: Promise<Result>
  readonly ended: AbortController
  users: number
}

export class SharedFetches<Result> {
  private readonly under = new Map<string, Shared<Result>>()

  has(name: string): boolean {
    return this.under.has(name)
  }

  /** Joins the fetch of this name, or begins it. */
  async join(name: string, signal: AbortSignal, begin: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    signal.throwIfAborted()
    const shared = this.under.get(name) ?? this.start(name, begin)
    shared.users += 1
    let onAbort = (): void => undefined
    const left = new Promise<never>((_, reject) => {
      onAbort = () => {
        shared.users -= 1
        if (shared.users === 0) this.end(name, shared, signal.reason)
        reject(signal.reason)
      }
    })
    signal.addEventListener("abort", onAbort, { once: true })
    try {
      return await Promise.race([shared.result, left])
    } finally {
      signal.removeEventListener("abort", onAbort)
    }
  }

  private start(name: string, begin: (signal: AbortSignal) => Promise<Result>): Shared<Result> {
    const ended = new AbortController()
    const shared: Shared<Result> = { result: begin(ended.signal), ended, users: 0 }
    this.under.set(name, shared)
    const forget = (): void => this.forget(name, shared)
    shared.result.then(forget, forget)
    return shared
  }

  private end(name: string, shared: Shared<Result>, reason: unknown): void {
    this.forget(name, shared)
    shared.ended.abort(reason)
  }

  private forget(name: string, shared: Shared<Result>): void {
    if (this.under.get(name) === shared) this.under.delete(name)
  }
}
