/** A difference as readable text. */
import type { Difference } from "./chapter.js"

const TEXT_MAX = 3_000
const CONTEXT = 200

const printable = (text: string): string =>
  text.replaceAll(/[^\n\x20-\x7e]/g, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)

const cut = (text: string): string =>
  text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}\n… ${text.length - TEXT_MAX} more characters`

/** The differing lines with their numbers; of a long line only the text around the first difference. */
function changed(one: string, other: string): string {
  const [ours, theirs] = [other.split("\n"), one.split("\n")]
  const places = Array.from({ length: Math.max(ours.length, theirs.length) }, (_, i) => i)
  return places
    .filter(i => ours[i] !== theirs[i])
    .map(i => `${i + 1}: ${around(theirs[i], ours[i])}`)
    .join("\n")
}

function around(theirs = "(nothing)", ours = "(nothing)"): string {
  let at = 0
  while (at < ours.length && ours[at] === theirs[at]) at += 1
  const from = Math.max(0, at - CONTEXT)
  return `${theirs.slice(from, at + CONTEXT)}\n   instead: ${ours.slice(from, at + CONTEXT)}`
}

export function show({ chapter, number, unit, played }: Difference): string {
  const lines = [`chapter ${chapter}, request ${number}: ${unit.kind} ${unit.specs.map(({ what }) => what).join(", ")}`]
  if (unit.kind === "raw") lines.push(printable(unit.bytes.toString("latin1")))
  unit.specs.forEach((spec, i) => {
    const { framing, signing, cuts, expect } = spec
    lines.push(JSON.stringify({ framing, signing, cuts, expect }))
    const sent = played.written[0]?.rendered[i]
    if (sent !== undefined)
      lines.push(
        cut(printable(sent.head.toString("latin1").replaceAll("\r", "") + sent.body.toString("latin1", 0, 1_000))),
      )
  })
  const [one = "", other] = played.outcomes.map(({ text }) => printable(text))
  lines.push(other === undefined ? "--- answer" : "--- answer of the other checkout", cut(one))
  if (other !== undefined) lines.push("--- lines of this one that differ", cut(changed(one, other)))
  return lines.join("\n")
}
