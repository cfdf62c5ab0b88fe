/** Fields of whole numbers in the form of a lifecycle rule, and what they may hold. */
import type { Signal } from "@preact/signals"
import { TextField } from "../parts/fields.js"

export const isCount = (text: string, min: number): boolean =>
  text.trim() !== "" && Number.isSafeInteger(Number(text)) && Number(text) >= min
export const emptyOr = (text: string, min: number): boolean => text.trim() === "" || isCount(text, min)

export function DaysField(props: { readonly label: string; readonly value: Signal<string>; readonly min?: number }) {
  const { label, value, min = 1 } = props
  const error = emptyOr(value.value, min) ? undefined : `A whole number from ${min}.`
  return <TextField {...{ label, value, min, error }} type="number" step={1} />
}
