/** Decisions on objects that may be parts of larger ones. Pure. */
import type { RowEditor } from "./row-editor-core.js"

/** A change of one object, or of two by a rename. Without an editor, nothing changes. */
export interface Edited<Result> {
  /** The last editor, if there are several. */
  readonly editor: RowEditor | undefined
  readonly result: Result
}

/** The decision that makes this change alone. Throws what features refuse. */
export const decisionOf = <Result>({ editor, result }: Edited<Result>) =>
  editor === undefined ? { writes: [], result } : { ...editor.finish(), result }
