/** When something that is created expires, as a number of days. */
import type { Signal } from "@preact/signals"
import { TextField } from "./fields.js"

const DAY_MS = 86_400_000

/** Empty, or a number of days. */
export function expiryOf(days: string, nowMs: number): { readonly expiresMs?: number } | undefined {
  if (days.trim() === "") return {}
  const count = Number(days)
  return Number.isFinite(count) && count > 0 ? { expiresMs: nowMs + Math.round(count * DAY_MS) } : undefined
}

export function ExpiryField({ days }: { readonly days: Signal<string> }) {
  return (
    <TextField
      label="Days until it expires"
      type="number"
      min={0}
      step="any"
      value={days}
      error={expiryOf(days.value, Date.now()) === undefined ? "A number of days above 0." : undefined}
      hint="Empty: it does not expire"
    />
  )
}
