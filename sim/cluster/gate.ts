/**
 * The gate of a simulated process: everything that reaches the process from outside passes it. It holds back events
 * while the process is stopped, as SIGSTOP does, and drops them once the process has ended.
 *
 * Promises  Events that were held back happen in the order in which they came.
 */
export class Gate {
  private held: (() => void)[] | undefined
  private isOver = false
  private readonly endings = new Set<() => void>()

  get isPaused(): boolean {
    return this.held !== undefined
  }

  get hasEnded(): boolean {
    return this.isOver
  }

  pause(): void {
    this.held ??= []
  }

  go(): void {
    const held = this.held ?? []
    this.held = undefined
    // An event may pause the process again.
    for (const event of held) this.enter(event)
  }

  end(): void {
    this.isOver = true
    this.held = undefined
    for (const ending of this.endings) ending()
    this.endings.clear()
  }

  /** Called once the process ends; not before, if the returned function is called. */
  atEnd(call: () => void): () => void {
    this.endings.add(call)
    return () => void this.endings.delete(call)
  }

  /** An event that the process handles. */
  enter(event: () => void): void {
    if (this.isOver) return
    if (this.held !== undefined) this.held.push(event)
    else event()
  }

  /** A result that the process waits for; it never comes once the process has ended. */
  pass<T>(result: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      result.then(
        value => this.enter(() => resolve(value)),
        (error: unknown) => this.enter(() => reject(error)),
      )
    })
  }
}
