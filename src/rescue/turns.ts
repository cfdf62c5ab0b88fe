/** Turns: tasks side by side, up to a limit, and now and then one that runs alone. */
export class Turns {
  private readonly running = new Set<Promise<unknown>>()
  private failure: { readonly error: unknown } | undefined

  constructor(private readonly atOnce: number) {}

  /** Resolves when the task has begun. Throws what an earlier one threw. */
  async begin(task: () => Promise<void>): Promise<void> {
    while (this.running.size >= this.atOnce) await Promise.race(this.running)
    this.check()
    const running: Promise<unknown> = task()
      .catch((error: unknown) => (this.failure ??= { error }))
      .finally(() => this.running.delete(running))
    this.running.add(running)
  }

  /** Resolves when the task has ended, with no other beside it. */
  async alone(task: () => Promise<void>): Promise<void> {
    await this.end()
    await task()
  }

  /** Resolves when all have ended. Throws what one of them threw. */
  async end(): Promise<void> {
    while (this.running.size > 0) await Promise.race(this.running)
    this.check()
  }

  private check(): void {
    if (this.failure) throw this.failure.error
  }
}
