/**
 * Values made from answers about identities, remembered while no identity changes.
 *
 * Promises  Every value is dropped when the generation of the directory moves. A value is remembered only if the
 *           generation has not moved since its query was asked: an answer that was on its way while something changed
 *           may tell what was before.
 * Limits    At most `valuesMax` values; when there are more, all are forgotten.
 */
import type { Directory } from "./directory.js"

export class RememberedAnswers<Key, Value> {
  private readonly values = new Map<Key, Value>()
  private generation = 0

  constructor(
    private readonly directory: Pick<Directory, "generation">,
    private readonly valuesMax: number,
  ) {}

  get(key: Key): Value | undefined {
    this.refresh()
    return this.values.get(key)
  }

  /** `askedIn`: the generation before the query was asked. */
  keep(key: Key, value: Value, askedIn: number): void {
    this.refresh()
    if (askedIn !== this.generation) return
    if (this.values.size >= this.valuesMax) this.values.clear()
    this.values.set(key, value)
  }

  private refresh(): void {
    const { generation } = this.directory
    if (this.generation === generation) return
    this.generation = generation
    this.values.clear()
  }
}
