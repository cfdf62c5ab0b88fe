/**
 * Memoized pure functions: of a text that clients send repeatedly, or of an object that never changes.
 *
 * Limits  `Remembered` caches `TEXTS_MAX` texts of `TEXT_CHARACTERS_MAX` each, then clears the cache, so that texts
 *         that were sent once use no memory. Longer ones are computed each time. `RememberedLast` keeps one value,
 *         `RememberedByObject` each value as long as its object.
 */
const TEXTS_MAX = 1_000
const TEXT_CHARACTERS_MAX = 512

export class Remembered<Value> {
  private readonly known = new Map<string, { readonly value: Value }>()
  /** The last text needs no lookup in the map. */
  private lastText: string | undefined
  private last: { readonly value: Value } | undefined

  /** `make` must be pure; errors, and values that `isKept` rejects, are not cached. */
  constructor(
    private readonly make: (text: string) => Value,
    private readonly isKept: (value: Value) => boolean = () => true,
  ) {}

  of(text: string): Value {
    if (text === this.lastText && this.last !== undefined) return this.last.value
    if (text.length > TEXT_CHARACTERS_MAX) return this.make(text)
    let entry = this.known.get(text)
    if (entry === undefined) {
      entry = { value: this.make(text) }
      if (!this.isKept(entry.value)) return entry.value
      if (this.known.size >= TEXTS_MAX) this.known.clear()
      this.known.set(text, entry)
    }
    this.lastText = text
    this.last = entry
    return entry.value
  }
}

export class RememberedByObject<Key extends object, Value extends object | string> {
  private readonly known = new WeakMap<Key, Value>()

  /** `make` must be pure; errors are not cached. */
  constructor(private readonly make: (key: Key) => Value) {}

  of(key: Key): Value {
    const known = this.known.get(key)
    if (known !== undefined) return known
    const value = this.make(key)
    this.known.set(key, value)
    return value
  }
}

/** The value of one object: of the last that it was asked for, or told. */
export class RememberedLast<Key extends object, Value> {
  private key: Key | undefined
  private value: Value | undefined

  /** `make` must be pure; errors are not cached. */
  constructor(private readonly make: (key: Key) => Value) {}

  of(key: Key): Value {
    if (key === this.key && this.value !== undefined) return this.value
    return this.set(key, this.make(key))
  }

  /** The value from which the object was made. */
  set(key: Key, value: Value): Value {
    this.key = key
    this.value = value
    return value
  }
}
