/** How far a job is, as text for people. Pure. */
import { countText, durationText, figureText, sizeText } from "./quantity-text.js"

interface JobProgress {
  readonly phase: string
  readonly progress: {
    readonly done: number
    readonly total?: number | undefined
    readonly unit: "objects" | "bytes" | "versions" | "rows" | "percent"
  }
  readonly rate?: number | undefined
  readonly estimatedEndMs?: number | undefined
}

function amountText(amount: number, unit: JobProgress["progress"]["unit"]): string {
  if (unit === "bytes") return sizeText(Math.floor(amount))
  return unit === "percent" ? `${Math.floor(amount)} %` : countText(Math.floor(amount))
}

/** A slow job has a rate, too: of bytes, parts of one say nothing. */
const rateText = (rate: number, unit: JobProgress["progress"]["unit"]): string =>
  unit === "bytes" || rate >= 10 ? amountText(rate, unit) : `${figureText(rate)}${unit === "percent" ? " %" : ""}`

/** `1,204 of 20,000 objects, 812/s, done in about 23 s`; what is not known is left out. */
export function progressText({ progress, rate, estimatedEndMs, phase }: JobProgress, nowMs: number): string {
  const { done, total, unit } = progress
  const amount = amountText(done, unit)
  const known = unit === "percent" ? amount : total === undefined ? amount : `${amount} of ${amountText(total, unit)}`
  const named = unit === "objects" || unit === "versions" || unit === "rows" ? `${known} ${unit}` : known
  const isUnknown = done === 0 && total === undefined
  return [
    ...(isUnknown ? [] : [named]),
    ...(rate === undefined ? [] : [`${rateText(rate, unit)}/s`]),
    ...(estimatedEndMs === undefined
      ? []
      : [`done in about ${durationText(Math.max(0, estimatedEndMs - nowMs) / 1000)}`]),
    ...(isUnknown || phase.startsWith("counting") ? [phase === "" ? "progress unknown" : phase] : []),
  ].join(", ")
}
