/** Tabs over the query of the address, so that a tab can be linked to: arrow keys move, as screen readers announce. */
import type { ComponentChildren } from "preact"
import { useId } from "preact/hooks"
import { place, setQuery } from "../shell/router.js"

export interface Tab {
  readonly key: string
  readonly title: string
  readonly content: () => ComponentChildren
}

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1 }

export function Tabs({ label, tabs }: { readonly label: string; readonly tabs: readonly Tab[] }) {
  const id = useId()
  const chosen = place.value.query.get("tab")
  const at = Math.max(
    0,
    tabs.findIndex(({ key }) => key === chosen),
  )
  const current = tabs[at]
  const choose = (index: number) => setQuery({ tab: tabs[index]?.key })
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key]
    if (step === undefined) return
    event.preventDefault()
    const next = (at + step + tabs.length) % tabs.length
    choose(next)
    document.getElementById(`${id}-tab-${next}`)?.focus()
  }
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
        {tabs.map(({ key, title }, index) => (
          <button
            key={key}
            id={`${id}-tab-${index}`}
            type="button"
            role="tab"
            aria-selected={index === at}
            aria-controls={`${id}-panel`}
            tabIndex={index === at ? 0 : -1}
            onClick={() => choose(index)}
          >
            {title}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-tab-${at}`}>
        {current?.content()}
      </div>
    </>
  )
}
