/** Progress of work: a bar with the same in words. */
import type { Progress } from "../api/shapes.js"
import { durationText, percentText, shareOf, sizeText } from "./format.js"

/** `share` from 0 to 1; undefined if it is not known. */
export function ProgressBar({ label, share }: { readonly label: string; readonly share: number | undefined }) {
  return <progress aria-label={label} max={1} {...(share === undefined ? {} : { value: share })} />
}

/** `40 % of 1.2 GiB, 30.0 MiB/s, done in about 12 min`. */
export function workText({ doneBytes, remainingBytes, bytesPerSecond, endsInSeconds }: Progress): string {
  const totalBytes = doneBytes + remainingBytes
  if (totalBytes === 0) return "counting…"
  const share = shareOf(doneBytes, totalBytes)
  const rate = bytesPerSecond > 0 ? [`${sizeText(Math.round(bytesPerSecond))}/s`] : []
  const end =
    endsInSeconds === undefined
      ? remainingBytes > 0
        ? ["end not known yet"]
        : []
      : [`done in about ${durationText(endsInSeconds)}`]
  return [`${percentText(share)} of ${sizeText(totalBytes)}`, ...rate, ...end].join(", ")
}

/** Work in bytes, with its rate and its end. */
export function WorkProgress({ label, progress }: { readonly label: string; readonly progress: Progress }) {
  const { doneBytes, remainingBytes } = progress
  const totalBytes = doneBytes + remainingBytes
  return (
    <div class="work">
      <ProgressBar label={label} share={totalBytes === 0 ? undefined : shareOf(doneBytes, totalBytes)} />
      <p>{workText(progress)}</p>
    </div>
  )
}

/** How full something is: the bar changes its colour when it becomes critical, and the text says it. */
export function Meter(props: { readonly label: string; readonly share: number; readonly text?: string }) {
  const { label, share, text } = props
  const level = share >= 0.95 ? "danger" : share >= 0.85 ? "warning" : "normal"
  return (
    <span class="meter">
      <meter class={level} aria-label={label} value={share} max={1} />
      {text !== undefined && <span>{text}</span>}
    </span>
  )
}
