/** Work that several callers may need at the same time: while that of a key is under way, all wait for the same. */
export class SharedWork<Key, Result> {
  private readonly underWay = new Map<Key, Promise<Result>>()

  /** How many works are under way. */
  get size(): number {
    return this.underWay.size
  }

  /**
   * Returns the result of the work for this key that is under way; if none is, `work` is called at once. `work` must not call
   * this function with its own key, since it would wait for itself.
   */
  of(key: Key, work: () => Promise<Result>): Promise<Result> {
    const known = this.underWay.get(key)
    if (known !== undefined) return known
    let begin = (): void => undefined
    const begun = new Promise<Result>(resolve => {
      begin = () => resolve((async () => work())())
    }).finally(() => this.underWay.delete(key))
    this.underWay.set(key, begun)
    begin()
    return begun
  }

  /** Resolves once all works that are under way now have ended. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.underWay.values())
  }
}
