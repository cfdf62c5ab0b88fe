/** Lifecycle in words: what rules do to an object, and what the next pass removes. */
import type { z } from "zod"
import type { LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "../admin/index.js"
import { printable, sizeText, tableText, timeText } from "./text.js"

type Explanation = z.output<typeof LIFECYCLE_EXPLANATION>
type Preview = z.output<typeof LIFECYCLE_PREVIEW>
type Version = Explanation["versions"][number]
type Rule = Version["rules"][number]

const ACTIONS = {
  hide: "gets a delete marker",
  removeVersion: "is removed",
  removeMarker: "is removed",
} as const

const WHY_NOT: Readonly<Record<NonNullable<Rule["whyNot"]>, string>> = {
  disabled: "is disabled",
  prefix: "is for another prefix",
  size: "is for other sizes",
  tags: "is for other tags",
  noAction: "has no action for this version",
  hidesVersions: "removes a delete marker only once it is the last version",
  newerKept: "keeps the newest versions, of which this is one",
}

const kindOf = ({ isMarker, isLatest }: Version): string =>
  `${isLatest ? "current" : "noncurrent"} ${isMarker ? "delete marker" : "version"}`

function outcomeOf({ next, isLocked }: Version, nowMs: number): string {
  if (next === undefined) return "stays: no rule applies"
  const held = isLocked && next.action !== "hide" ? ", but object lock keeps it" : ""
  const when = next.dueMs <= nowMs ? "in the next pass" : `in the first pass after ${timeText(next.dueMs)}`
  return `${ACTIONS[next.action]} ${when} by rule "${printable(next.ruleId)}"${held}`
}

const ruleText = ({ ruleId, dueMs, whyNot }: Rule): string =>
  `  rule "${printable(ruleId)}" ${dueMs === undefined ? WHY_NOT[whyNot ?? "noAction"] : `acts at ${timeText(dueMs)}`}`

export function explanationText({ hasRules, nowMs, versions, hasMore }: Explanation): string {
  const lines = [
    ...(hasRules ? [] : ["the bucket has no lifecycle rules"]),
    ...versions.flatMap(version => [
      `${kindOf(version)} ${version.versionId}, ${sizeText(version.sizeBytes)}, of ${timeText(version.modifiedMs)}: ${outcomeOf(version, nowMs)}`,
      ...version.rules.map(ruleText),
    ]),
    ...(hasMore ? ["there are older versions"] : []),
  ]
  return `${lines.join("\n")}\n`
}

export function previewText({ hasRules, atMs, rules, locked }: Preview): string {
  if (!hasRules) return "the bucket has no lifecycle rules\n"
  const rows = rules.map(({ ruleId, hidden, versions, markers, bytes }) => [
    ...[String(versions), String(hidden), String(markers), sizeText(bytes), printable(ruleId)],
  ])
  const examples = rules.flatMap(({ ruleId, examples: shown }) =>
    shown.map(
      ({ key, versionId, action }) =>
        `${printable(key)} (${versionId}) ${ACTIONS[action]} by rule "${printable(ruleId)}"\n`,
    ),
  )
  return [
    `the pass after ${timeText(atMs)} would remove:\n`,
    tableText(["VERSIONS", "HIDDEN", "MARKERS", "BYTES", "RULE"], rows),
    ...(locked > 0 ? [`${locked} versions are due and stay: object lock keeps them\n`] : []),
    ...examples,
  ].join("")
}
