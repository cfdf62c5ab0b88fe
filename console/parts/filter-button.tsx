/** The button that shows and hides the panel of a filter, and says how many of its parts are set. */
import type { Signal } from "@preact/signals"
import { Icon } from "./icon.js"

/** `id`: that of the panel. */
export function FilterButton(props: {
  readonly id: string
  readonly active: number
  readonly isOpen: Signal<boolean>
}) {
  const { id, active, isOpen } = props
  return (
    <button
      type="button"
      class={active > 0 ? "button on" : "button"}
      aria-expanded={isOpen.value}
      aria-controls={id}
      onClick={() => (isOpen.value = !isOpen.value)}
    >
      <span>Filter{active > 0 && ` (${active})`}</span>
      <Icon name="down" />
    </button>
  )
}
