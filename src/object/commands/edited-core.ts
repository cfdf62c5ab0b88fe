/** Decisions on objects that may be parts of larger ones. Pure. */
import type { RowEditor } from "./row-editor-core.js"

/** What a decision does to one object, or two if it is renamed; without an editor, nothing. */
export interface Edited<Result> {
  /** The last one, if there are several. */
  readonly editor: RowEditor | undefined
  readonly result: Result
}

/** The decision that does this alone. Throws `quotaExceeded`. */
export const decisionOf = <Result>({ editor, result }: Edited<Result>) =>
  editor === undefined ? { writes: [], result } : { ...editor.finish(), result }
