/**
 * Completion in a text of JSON: while a string is typed, names that begin so are offered below it. Arrow keys choose, Enter
 * and Tab take one, Escape closes the list.
 */
import { useSignal, type Signal } from "@preact/signals"
import { useId, useRef } from "preact/hooks"

/** Returns what a string that begins so may become. */
export type Complete = (typed: string) => readonly string[]

const OFFERED_MAX = 8

interface Offer {
  readonly names: readonly string[]
  readonly at: number
  /** Offsets in the text: the name that is taken replaces this part. */
  readonly start: number
  readonly end: number
  readonly line: number
  readonly column: number
}

/** The string in which the caret is; undefined if it is in none. */
function stringAt(text: string, caret: number): Pick<Offer, "start" | "end" | "line" | "column"> | undefined {
  const lineStart = text.lastIndexOf("\n", caret - 1) + 1
  const before = text.slice(lineStart, caret)
  if ((before.match(/"/g) ?? []).length % 2 === 0) return undefined
  const column = before.lastIndexOf('"') + 1
  const rest = /^[^"\n]*(?=")/.exec(text.slice(caret))?.[0] ?? ""
  const line = text.slice(0, lineStart).split("\n").length - 1
  return { start: lineStart + column, end: caret + rest.length, line, column }
}

export function useCompletion(complete: Complete | undefined, value: Signal<string>) {
  const area = useRef<HTMLTextAreaElement>(null)
  const offer = useSignal<Offer | undefined>(undefined)
  const id = useId()
  const close = (): void => void (offer.value = undefined)
  const look = (): void => {
    const { current } = area
    const found = current && complete && stringAt(current.value, current.selectionStart)
    if (!found) return close()
    const typed = current.value.slice(found.start, current.selectionStart)
    const names = typed === "" ? [] : (complete?.(typed) ?? []).slice(0, OFFERED_MAX)
    const isDone = names.length === 0 || (names.length === 1 && names[0] === typed)
    offer.value = isDone ? undefined : { ...found, names, at: 0 }
  }
  const take = (name: string): void => {
    const { current } = area
    const given = offer.value
    if (current === null || given === undefined) return
    current.setRangeText(name, given.start, given.end, "end")
    value.value = current.value
    close()
    current.focus()
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const given = offer.value
    if (given === undefined) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    const { names, at } = given
    if (step !== undefined) offer.value = { ...given, at: (at + step + names.length) % names.length }
    else if (event.key === "Enter" || event.key === "Tab") take(names[at] ?? "")
    else if (event.key === "Escape") close()
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  return { area, id, offer: offer.value, look, close, take, onKeyDown }
}

/** The list of offers, below the place where one types. */
export function Offers(props: { readonly completion: ReturnType<typeof useCompletion>; readonly scrollTop: number }) {
  const { id, offer, take } = props.completion
  if (offer === undefined) return null
  const { names, at, line, column } = offer
  const style = {
    insetBlockStart: `calc(${line + 1} * 1.25rem + 0.5rem - ${props.scrollTop}px)`,
    insetInlineStart: `min(calc(${column}ch), max(0rem, calc(100% - 20rem)))`,
  }
  return (
    <ul id={`${id}-offers`} class="offers" role="listbox" aria-label="Completions" style={style}>
      {names.map((name, index) => (
        <li
          key={name}
          id={`${id}-offer-${index}`}
          role="option"
          aria-selected={index === at}
          onMouseDown={event => {
            event.preventDefault()
            take(name)
          }}
        >
          {name}
        </li>
      ))}
    </ul>
  )
}
