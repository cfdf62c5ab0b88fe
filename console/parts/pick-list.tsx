/** Chooses several of a list: check boxes with a line that explains each; a long list has a field that narrows it. */
import { useSignal, type Signal } from "@preact/signals"
import { useId } from "preact/hooks"

export interface Pick {
  readonly value: string
  readonly title: string
  readonly note?: string
}

/** Longer lists have a field to search in. */
const SHORT = 6

export function PickList(props: {
  readonly label: string
  readonly picks: readonly Pick[]
  readonly chosen: Signal<readonly string[]>
  readonly hint?: string
}) {
  const { label, picks, chosen, hint } = props
  const id = useId()
  const search = useSignal("")
  const words = search.value.trim().toLowerCase()
  const shown = picks.filter(
    ({ value, title, note = "" }) => chosen.value.includes(value) || `${title} ${note}`.toLowerCase().includes(words),
  )
  const set = (value: string, isChosen: boolean): void => {
    const others = chosen.value.filter(each => each !== value)
    chosen.value = isChosen ? [...others, value] : others
  }
  return (
    <fieldset class="picks" aria-describedby={hint === undefined ? undefined : `${id}-hint`}>
      <legend>{label}</legend>
      {hint !== undefined && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
      {picks.length > SHORT && (
        <input
          type="search"
          aria-label={`Find in ${label.toLowerCase()}`}
          placeholder="Find…"
          value={search.value}
          onInput={event => (search.value = event.currentTarget.value)}
        />
      )}
      <ul class="pick-list">
        {shown.map(({ value, title, note }, index) => (
          <li key={value}>
            <input
              id={`${id}-${index}`}
              type="checkbox"
              checked={chosen.value.includes(value)}
              onChange={event => set(value, event.currentTarget.checked)}
            />
            <label for={`${id}-${index}`}>
              {title}
              {note !== undefined && note !== "" && <span class="hint">{note}</span>}
            </label>
          </li>
        ))}
        {shown.length === 0 && <li class="hint">Nothing matches.</li>}
      </ul>
    </fieldset>
  )
}
