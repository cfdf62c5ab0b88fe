/**
 * Settings that save themselves: one line each, with a switch or a field at its end. A change is sent at once; the line says
 * that it is saved, or why it is not, and shows again what the store has.
 */
import { useSignal, type ReadonlySignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useEffect, useId, useRef } from "preact/hooks"
import { asApiError } from "../api/client.js"
import { Icon } from "./icon.js"

const SAVED_MS = 5_000

const MISSED = "the change before it was still being saved. Make it again."

export type Saving =
  | { readonly kind: "none" | "busy" | "saved" }
  | { readonly kind: "failed"; readonly message: string }

/** The setting that was saved last: its line says so, also if the page has begun again with the new value. */
let latest = { name: "", atMs: 0 }

const wasSaved = (name: string): boolean => latest.name === name && Date.now() - latest.atMs < SAVED_MS

/**
 * Sends changes of the setting `name` one at a time. `save` stores the change by `work`, has the page show it by `show`, and
 * resolves with true after both. A change that is made meanwhile is not sent, and the line says so.
 */
export function useSaving(name: string): {
  readonly state: ReadonlySignal<Saving>
  readonly save: (work: () => Promise<void>, show: () => Promise<void>) => Promise<boolean>
} {
  const state = useSignal<Saving>({ kind: wasSaved(name) ? "saved" : "none" })
  useEffect(() => {
    if (state.value.kind !== "saved") return undefined
    const timer = setTimeout(() => (state.value = { kind: "none" }), SAVED_MS)
    return () => clearTimeout(timer)
  }, [state.value])
  const isMissed = useRef(false)
  const save = async (work: () => Promise<void>, show: () => Promise<void>): Promise<boolean> => {
    if (state.value.kind === "busy") {
      isMissed.current = true
      return false
    }
    isMissed.current = false
    state.value = { kind: "busy" }
    try {
      await work()
      latest = { name, atMs: Date.now() }
      await show()
      state.value = isMissed.current ? { kind: "failed", message: MISSED } : { kind: "saved" }
      return true
    } catch (error) {
      state.value = { kind: "failed", message: asApiError(error).message }
      return false
    }
  }
  return { state, save }
}

function SavingNote({ state }: { readonly state: Saving }) {
  if (state.kind === "none") return null
  if (state.kind === "busy") return <span class="hint">Saving…</span>
  if (state.kind === "failed") return null
  return (
    <span class="saved">
      <Icon name="check" />
      Saved
    </span>
  )
}

/** `children`: the control. `more`: what stands below the line, over its whole width. */
export function SettingLine(props: {
  readonly title: string
  readonly hint?: ComponentChildren
  readonly state?: ReadonlySignal<Saving>
  readonly children?: ComponentChildren
  readonly more?: ComponentChildren
}) {
  const { title, hint, state, children, more } = props
  const saving = state?.value ?? { kind: "none" }
  return (
    <div class="setting-line" role="group" aria-label={title}>
      <div class="setting-text">
        <p class="setting-title">{title}</p>
        {hint !== undefined && <p class="hint">{hint}</p>}
      </div>
      <div class="setting-control">
        <span role="status">
          <SavingNote state={saving} />
        </span>
        {children}
      </div>
      <div role="alert" class="setting-problem">
        {saving.kind === "failed" && <p class="field-error">Not saved, and set back: {saving.message}</p>}
      </div>
      {more !== undefined && <div class="setting-more">{more}</div>}
    </div>
  )
}

export function Switch(props: {
  readonly label: string
  readonly isOn: boolean
  readonly isDisabled?: boolean
  readonly onChange: (isOn: boolean) => void
}) {
  const { label, isOn, isDisabled = false, onChange } = props
  return (
    <button
      type="button"
      role="switch"
      class="switch"
      aria-checked={isOn}
      aria-label={label}
      disabled={isDisabled}
      onClick={() => onChange(!isOn)}
    />
  )
}

/** A field that hands its text over when one leaves it or presses Enter. `value`: what is stored. */
export function CommitField(props: {
  readonly label: string
  readonly value: string
  readonly unit?: string
  readonly min?: number
  readonly max?: number
  readonly step?: number | "any"
  readonly placeholder?: string
  readonly problemOf?: (text: string) => string | undefined
  readonly onCommit: (text: string) => Promise<boolean>
}) {
  const { label, value, unit, problemOf, onCommit, ...limits } = props
  const text = useSignal(value)
  const id = useId()
  useEffect(() => void (text.value = value), [value])
  const problem = problemOf?.(text.value)
  const commit = async (): Promise<void> => {
    if (text.value === value || problem !== undefined) return
    if (!(await onCommit(text.value.trim()))) text.value = value
  }
  return (
    <span class="commit-field">
      <input
        {...limits}
        type="number"
        aria-label={label}
        aria-invalid={problem !== undefined}
        aria-describedby={problem === undefined ? undefined : id}
        value={text.value}
        onInput={event => (text.value = event.currentTarget.value)}
        onChange={() => void commit()}
      />
      {unit !== undefined && <span class="hint">{unit}</span>}
      {problem !== undefined && (
        <span id={id} class="field-error">
          {problem}
        </span>
      )}
    </span>
  )
}

export function CommitSelect<T extends string>(props: {
  readonly label: string
  readonly value: T
  readonly options: readonly (readonly [value: T, title: string])[]
  readonly isDisabled?: boolean
  readonly onChange: (value: T) => void
}) {
  const { label, value, options, isDisabled = false, onChange } = props
  return (
    <select
      aria-label={label}
      value={value}
      disabled={isDisabled}
      onChange={event => {
        const chosen = options.find(([option]) => option === event.currentTarget.value)
        // The stored one shows until the change is stored.
        event.currentTarget.value = value
        if (chosen !== undefined) onChange(chosen[0])
      }}
    >
      {options.map(([option, title]) => (
        <option key={option} value={option}>
          {title}
        </option>
      ))}
    </select>
  )
}
