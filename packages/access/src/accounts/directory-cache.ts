/**
 * A cache of values derived from query results about identities, valid while no identity changes.
 *
 * Promises  Every value is dropped when the generation of the directory increases. A value is cached only if the
 *           generation has not changed since its query started: a query that runs during a change may return the
 *           earlier state.
 * Limits    At most `valuesMax` values; when the cache is full, it is cleared.
 */
import type { Directory } from "./directory.js"

export class DirectoryCache<Key, Value> {
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

  /** `queriedIn` is the generation before the query started. */
  keep(key: Key, value: Value, queriedIn: number): void {
    this.refresh()
    if (queriedIn !== this.generation) return
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
