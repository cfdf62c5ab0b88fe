/**
 * Tabs over the query of the address, so that a tab can be linked to: arrow keys move, as screen readers announce. Rarer
 * ones are in a menu, `more`, and one that is chosen there joins the others. The chosen one is in view.
 */
import type { ComponentChildren } from "preact"
import { useId, useLayoutEffect } from "preact/hooks"
import { place, setQuery } from "../shell/router.js"
import { Menu } from "./menu.js"
import { useScrollEdges } from "./scroll-edges.js"

export interface Tab {
  readonly key: string
  readonly title: string
  readonly content: () => ComponentChildren
}

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1 }

export function Tabs(props: { readonly label: string; readonly tabs: readonly Tab[]; readonly more?: readonly Tab[] }) {
  const { label, more = [] } = props
  const id = useId()
  const chosen = place.value.query.get("tab")
  const tabs = [...props.tabs, ...more.filter(({ key }) => key === chosen)]
  const at = Math.max(
    0,
    tabs.findIndex(({ key }) => key === chosen),
  )
  const current = tabs[at]
  const list = useScrollEdges()
  useLayoutEffect(() => {
    const tab = document.getElementById(`${id}-tab-${at}`)
    // Only the list is scrolled, and not the page; the neighbours are seen, too.
    if (tab !== null && list.current !== null)
      list.current.scrollLeft = tab.offsetLeft - (list.current.clientWidth - tab.offsetWidth) / 2
  }, [current?.key])
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
      <div class="tab-bar">
        <div ref={list} class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
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
        {more.length > 0 && (
          <Menu
            label={`More of ${label}`}
            text="More"
            items={more.map(({ key, title }) => ({ title, onSelect: () => setQuery({ tab: key }) }))}
          />
        )}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-tab-${at}`}>
        {current?.content()}
      </div>
    </>
  )
}
