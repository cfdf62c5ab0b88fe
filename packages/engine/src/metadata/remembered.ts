/**
 * Values that are computed from rows of buckets and identities alone, each kept for as long as these rows do not change
 * (`QueryView.generationMark`).
 */
import type { QueryView, RowView } from "./views.js"

/** The view of a query; or that of a command, which has no mark, since its decision relies on the rows. */
export type MayBeMarked = RowView & Partial<Pick<QueryView, "generationMark">>

export class RememberedByGeneration<Value extends object | number> {
  private readonly known = new WeakMap<object, Value>()

  /** `read` must be pure, and read no other rows. Values that `isKept` rejects are computed each time. */
  constructor(
    private readonly read: (view: RowView) => Value,
    private readonly isKept: (value: Value) => boolean = () => true,
  ) {}

  of(view: MayBeMarked): Value {
    const known = view.generationMark && this.known.get(view.generationMark)
    if (known !== undefined) return known
    const value = this.read(view)
    // A view that has missed rows meanwhile has no mark any more.
    const mark = view.generationMark
    if (mark !== undefined && this.isKept(value)) this.known.set(mark, value)
    return value
  }
}
