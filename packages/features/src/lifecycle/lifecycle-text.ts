/** Lifecycle in words: what rules do to an object, and what the next pass removes and moves. */
import type { z } from "zod"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import type { LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "./schemas.js"

type Explanation = z.output<typeof LIFECYCLE_EXPLANATION>
type Preview = z.output<typeof LIFECYCLE_PREVIEW>
type Version = Explanation["versions"][number]
type Rule = Version["rules"][number]

const ACTIONS = {
  hide: "gets a delete marker",
  removeVersion: "is removed",
  removeMarker: "is removed",
  move: "moves",
} as const

const WHY_NOT: Readonly<Record<NonNullable<Rule["whyNot"]>, string>> = {
  disabled: "is disabled",
  prefix: "is for another prefix",
  size: "is for other sizes",
  tags: "is for other tags",
  noAction: "has no action for this version",
  hidesVersions: "removes a delete marker only once it is the last version",
  newerKept: "keeps the newest versions, of which this is one",
  tooSmall: "leaves objects below 128 KiB in their storage class",
  hasClass: "is done: the version has this storage class",
  classOrder: "cannot move it there from the storage class that it has or will have by then",
  unmapped: "cannot move it there: this storage class has no redundancy policy; the operator can map it to one",
}

const kindOf = ({ isMarker, isLatest }: Version): string =>
  `${isLatest ? "current" : "noncurrent"} ${isMarker ? "delete marker" : "version"}`

const factsText = ({ sizeBytes, modifiedMs, storageClass }: Version): string =>
  `${sizeText(sizeBytes)}, ${storageClass}, of ${timeText(modifiedMs)}`

function outcomeOf({ next, isLocked }: Version, nowMs: number): string {
  if (next === undefined) return "stays: no rule applies"
  const held = isLocked && next.action !== "hide" && next.action !== "move" ? ", but object lock keeps it" : ""
  const when = next.dueMs <= nowMs ? "in the next pass" : `in the first pass after ${timeText(next.dueMs)}`
  return `${actionText(next)} ${when} by rule "${printable(next.ruleId)}"${held}`
}

const actionText = ({ action, storageClass }: Pick<NonNullable<Version["next"]>, "action" | "storageClass">): string =>
  storageClass === undefined ? ACTIONS[action] : `${ACTIONS[action]} to ${storageClass}`

const whenText = ({ dueMs, whyNot }: Pick<Rule, "dueMs" | "whyNot">): string =>
  dueMs === undefined ? WHY_NOT[whyNot ?? "noAction"] : `acts at ${timeText(dueMs)}`

function ruleTexts({ ruleId, transitions = [], ...removal }: Rule): readonly string[] {
  const name = `  rule "${printable(ruleId)}"`
  const moves = transitions.map(({ storageClass, ...when }) => `${name} to ${storageClass} ${whenText(when)}`)
  const isOnlyMoves = moves.length > 0 && removal.whyNot === "noAction"
  return isOnlyMoves ? moves : [...moves, `${name} ${whenText(removal)}`]
}

export function explanationText({ hasRules, nowMs, versions, hasMore }: Explanation): string {
  const lines = [
    ...(hasRules ? [] : ["the bucket has no lifecycle rules"]),
    ...versions.flatMap(version => [
      `${kindOf(version)} ${version.versionId}, ${factsText(version)}: ${outcomeOf(version, nowMs)}`,
      ...version.rules.flatMap(ruleTexts),
    ]),
    ...(hasMore ? ["there are older versions"] : []),
  ]
  return `${lines.join("\n")}\n`
}

export function previewText(preview: Preview): string {
  const { hasRules, atMs, rules, locked, examined, isComplete, abandonedUploads } = preview
  const abandoned =
    abandonedUploads > 0 ? `unfinished uploads that go without a rule, because of their age: ${abandonedUploads}\n` : ""
  if (!hasRules) return `the bucket has no lifecycle rules\n${abandoned}`
  const rows = rules.map(({ ruleId, isEnabled, hidden, versions, markers, bytes, moved, movedBytes, uploads }) => [
    String(versions),
    String(hidden),
    String(markers),
    sizeText(bytes),
    String(moved),
    sizeText(movedBytes),
    String(uploads),
    `${printable(ruleId)}${isEnabled ? "" : " (disabled)"}`,
  ])
  const examples = rules.flatMap(({ ruleId, examples: shown }) =>
    shown.map(
      ({ key, versionId, ...example }) =>
        `${printable(key)} (${versionId}) ${actionText(example)} by rule "${printable(ruleId)}"\n`,
    ),
  )
  return [
    `the pass after ${timeText(atMs)} would remove and move:\n`,
    tableText(["VERSIONS", "HIDDEN", "MARKERS", "BYTES", "MOVED", "MOVED BYTES", "UPLOADS", "RULE"], rows),
    ...(isComplete ? [] : [`the bucket has more than the ${countText(examined)} versions that were looked at\n`]),
    ...(locked > 0 ? [`object lock keeps ${plural(locked, "version")} that would be due\n`] : []),
    abandoned,
    ...examples,
  ].join("")
}
