/** The frame of a page: its title, which navigation focuses, its actions, and how current what it shows is. */
import type { ComponentChildren } from "preact"
import type { Live } from "../api/live.js"
import { IconButton } from "./button.js"
import { ageText } from "./format.js"
import { NameText } from "./name-text.js"
import { useNow } from "./now.js"

/** How old the shown values are, and a button that refreshes them. */
export function Freshness({ live }: { readonly live: Live<unknown> }) {
  const now = useNow(1_000)
  const { atMs, error, isFetching } = live
  const age = atMs === undefined ? "Not loaded yet" : `Updated ${ageText(Math.min(atMs, now), now)}`
  return (
    <div class="freshness">
      {/* Without a value the page itself says why there is none. */}
      {(atMs !== undefined || error === undefined) && <span>{age}</span>}
      <IconButton label="Refresh" icon="refresh" isBusy={isFetching} onClick={live.refresh} />
    </div>
  )
}

/** The properties that every page gets. */
export interface PageProps {
  /** Decoded segments of the address after the page: `/console/buckets/photos/policy` has `photos` and `policy`. */
  readonly segments: readonly string[]
}

/** One page. `live`: the value of which the header tells the age. `trail`: links to the pages above. */
export function Page(props: {
  readonly title: string
  readonly children: ComponentChildren
  readonly actions?: ComponentChildren
  readonly live?: Live<unknown>
  readonly trail?: readonly { readonly title: string; readonly to: string }[]
  /** One line below the title. */
  readonly summary?: ComponentChildren
}) {
  const { title, children, actions, live, trail = [], summary } = props
  return (
    <div class="page">
      <header class="page-header">
        <div class="page-title">
          {trail.length > 0 && (
            <nav class="trail" aria-label="Pages above">
              {trail.map(step => (
                <a key={step.to} href={step.to}>
                  <NameText name={step.title} />
                </a>
              ))}
            </nav>
          )}
          <h1 tabIndex={-1}>
            <NameText name={title} />
          </h1>
          {summary}
        </div>
        {live && <Freshness live={live} />}
        {actions !== undefined && <div class="actions">{actions}</div>}
      </header>
      {children}
    </div>
  )
}

/** A part of a page with a heading. */
export function Section(props: {
  readonly title: string
  readonly children: ComponentChildren
  readonly actions?: ComponentChildren
  readonly hint?: ComponentChildren
}) {
  const { title, children, actions, hint } = props
  return (
    <section class="card">
      <div class="card-header">
        <h2>{title}</h2>
        {actions !== undefined && <div class="actions">{actions}</div>}
      </div>
      {hint !== undefined && <p class="hint">{hint}</p>}
      {children}
    </section>
  )
}

/** Names with values, as a list of definitions. */
export function Facts({ facts }: { readonly facts: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A state in a word, with a colour that only repeats what the word says. */
export function Badge(props: {
  readonly kind: "good" | "info" | "warning" | "danger" | "neutral"
  readonly children: ComponentChildren
}) {
  return <span class={`badge ${props.kind}`}>{props.children}</span>
}
