/** Bounded tasks: runs tasks concurrently up to a limit, and single tasks exclusively. */
export class BoundedTasks {
  private readonly running = new Set<Promise<unknown>>()
  private failure: { readonly error: unknown } | undefined

  constructor(private readonly concurrentMax: number) {}

  /** Resolves when the task has begun. Throws the error of an earlier task. */
  async begin(task: () => Promise<void>): Promise<void> {
    while (this.running.size >= this.concurrentMax) await Promise.race(this.running)
    this.check()
    const running: Promise<unknown> = task()
      .catch((error: unknown) => (this.failure ??= { error }))
      .finally(() => this.running.delete(running))
    this.running.add(running)
  }

  /** Runs the task while no other runs; resolves when it has ended. */
  async alone(task: () => Promise<void>): Promise<void> {
    await this.end()
    await task()
  }

  /** Resolves when all have ended. Throws the error of a failed task. */
  async end(): Promise<void> {
    while (this.running.size > 0) await Promise.race(this.running)
    this.check()
  }

  private check(): void {
    if (this.failure) throw this.failure.error
  }
}
