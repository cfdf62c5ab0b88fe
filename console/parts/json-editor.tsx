/** An editor for documents in JSON, such as policies: it says where the text is not JSON while it is typed. */
import type { Signal } from "@preact/signals"
import { Button } from "./button.js"
import type { Complete } from "./completion.js"
import { LinedTextField, type MarkedLine } from "./fields.js"

/** Returns why a text is not JSON, with the place; undefined if it is. */
export function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const at = Number(/position (\d+)/.exec(message)?.[1] ?? Number.NaN)
    if (Number.isNaN(at)) return `This is not JSON: ${message}`
    const before = text.slice(0, at).split("\n")
    return `This is not JSON at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`
  }
}

const formatted = (text: string): string => JSON.stringify(JSON.parse(text), undefined, 2)

/** `check`: what else is wrong with a text that is JSON. `marks`: lines with a problem that is shown elsewhere. */
export function JsonEditor(props: {
  readonly label: string
  readonly value: Signal<string>
  readonly rows?: number
  readonly hint?: string
  readonly check?: (value: unknown) => string | undefined
  readonly marks?: readonly MarkedLine[]
  readonly complete?: Complete
}) {
  const { label, value, rows = 16, hint, check, marks = [], complete } = props
  const isEmpty = value.value.trim() === ""
  const problem = isEmpty ? undefined : jsonProblem(value.value)
  const error = problem ?? (isEmpty ? undefined : check?.(JSON.parse(value.value)))
  return (
    <div class="json-editor">
      <LinedTextField {...{ label, value, rows, marks, error, complete }} {...(hint === undefined ? {} : { hint })} />
      <Button isDisabled={isEmpty || problem !== undefined} onClick={() => (value.value = formatted(value.value))}>
        Format
      </Button>
    </div>
  )
}
