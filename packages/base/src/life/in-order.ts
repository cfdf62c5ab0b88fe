/** Works that follow one another, in the order in which they came, however those before them ended. */
export class InOrder {
  private last: Promise<unknown> = Promise.resolve()

  /** Resolves with, or rejects with, the outcome of the work. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(work)
    this.last = done.catch(() => undefined)
    return done
  }

  /** Resolves once every work that has come until now has ended. */
  async ended(): Promise<void> {
    await this.last
  }
}
