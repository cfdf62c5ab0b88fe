/** Works that follow one another, in the order in which they came, however those before them ended. */
export class InOrder {
  private last: Promise<void> = Promise.resolve()

  /** Resolves with, or rejects with, the outcome of the work. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(work)
    // The outcome is the caller's: it is not kept until the next work.
    this.last = done.then(nothing, nothing)
    return done
  }

  /** Resolves once every work that has come until now has ended. */
  ended(): Promise<void> {
    return this.last
  }
}

const nothing = (): void => undefined
