/** Caches values that follow from the names of a request's headers, one for each list of names. */
import type { HeaderShape } from "../base/request-headers.js"

export class ByShape<Value> {
  private readonly known = new WeakMap<HeaderShape, { readonly value: Value }>()

  constructor(private readonly make: (shape: HeaderShape) => Value) {}

  of(shape: HeaderShape): Value {
    const known = this.known.get(shape)
    if (known !== undefined) return known.value
    const value = this.make(shape)
    this.known.set(shape, { value })
    return value
  }
}
