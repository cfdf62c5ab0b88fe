/** The results of a simulation as tables, with what they leave out. Pure. */
import type { z } from "zod"
import type { SIMULATION } from "@hayloft/admin/index.js"
import { durationText, figureText as numberText, plural, printable, sizeText, tableText } from "../text.js"

export type Simulated = z.output<typeof SIMULATION>
type Possible = Extract<Simulated["outcomes"][number], { scheme: unknown }>

const percentText = (share: number): string => `${numberText(100 * share)} %`

const COLUMNS: readonly (readonly [head: string, cell: (outcome: Possible) => string])[] = [
  ["NINES", ({ durability }) => durability.nines.toFixed(1)],
  ["LOSS IN A YEAR", ({ durability }) => numberText(durability.annualLossChance)],
  ["YEARS TO LOSS", ({ durability }) => numberText(durability.yearsToLoss)],
  ["OBJECTS LOST A YEAR", ({ durability }) => numberText(durability.lostObjectsPerYear)],
  ["OF AN OBJECT", ({ durability }) => `${durability.objectNines.toFixed(1)} nines`],
  ["MOSTLY BY", causeText],
]

const SPACE: typeof COLUMNS = [
  ["FACTOR", ({ space }) => numberText(space.storageFactor)],
  ["USABLE", ({ space }) => sizeText(space.usableBytes)],
  ["OF A DEVICE", ({ space }) => sizeText(space.usableBytesPerDevice)],
  ["OF AN OBJECT", ({ space }) => `${sizeText(Math.round(space.objectBytesOnDisk))} on disk`],
  ["REBUILD", ({ repair, scheme }) => `${durationText(repair.hours * 3600)}, on ${ON[scheme.rebuild]}`],
  ["MOVES", ({ repair }) => sizeText(repair.movedBytes)],
]

const ON = { others: "the others", spare: "a spare" } as const

const FAILURES: typeof COLUMNS = [
  ["ZONES", ({ zones }) => String(zones.zonesTolerated)],
  ["MACHINES", ({ zones }) => String(zones.machinesTolerated)],
  ["DEVICES", ({ scheme }) => String(scheme.shards - scheme.needed)],
  ["NO READ", ({ availability }) => percentText(availability.readUnavailable)],
  ["NO WRITE", ({ availability }) => percentText(availability.writeUnavailable)],
]

/** The most frequent way to lose something. */
function causeText({ durability: { byDevices, byZones, byZoneAndDevices } }: Possible): string {
  if (byDevices >= Math.max(byZones, byZoneAndDevices)) return "devices"
  return byZones >= byZoneAndDevices ? "zones" : "a zone, then devices"
}

const CHECK: typeof COLUMNS = [
  ["YEARS OF A GROUP", ({ durability }) => numberText(durability.group.years)],
  ["MONTE CARLO", monteCarloText],
  ["APPROXIMATION", ({ durability }) => numberText(durability.group.approximateYears)],
  ["TO A LOST SECTOR", ({ durability }) => numberText(durability.group.yearsToSectorLoss)],
]

function monteCarloText({ monteCarlo: { years, standardErrorYears } }: Possible): string {
  return `${numberText(years)} ± ${percentText(standardErrorYears / years)}`
}

const table = (head: string, columns: typeof COLUMNS, outcomes: readonly Possible[]): string =>
  tableText(
    [head, ...columns.map(([name]) => name)],
    outcomes.map(outcome => [outcome.scheme.text, ...columns.map(([, cell]) => cell(outcome))]),
  )

export function simulationText({ layout, assumptions, outcomes, limits }: Simulated): string {
  const possible = outcomes.filter(outcome => "scheme" in outcome)
  const problems = outcomes.flatMap(outcome =>
    "problem" in outcome ? [`${printable(outcome.policy)}: ${outcome.problem}\n`] : [],
  )
  const { devices, machines, zones, rawBytes } = layout
  const zoneText = zones === 0 ? "no zones named, so the loss of one is left out" : plural(zones, "zone")
  const { annualFailureRate = 0, fill = 0, objects = 0 } = assumptions
  const parts = [
    `${plural(devices, "device")} in ${plural(machines, "machine")}, ${zoneText}; ${sizeText(rawBytes)}\n` +
      `assumed: ${percentText(annualFailureRate)} of the devices fail in a year, ${percentText(fill)} of each in use, ` +
      `${plural(objects, "object")}; --json shows all\n`,
    ...(possible.length === 0
      ? []
      : [
          table("DURABILITY", COLUMNS, possible),
          table("SPACE, REPAIR", SPACE, possible),
          table("MAY FAIL", FAILURES, possible),
          togetherText(possible),
          table("CHECK", CHECK, possible),
        ]),
    ...(problems.length === 0 ? [] : [problems.join("")]),
    limits.map(limit => `${limit}\n`).join(""),
  ]
  return parts.join("\n")
}

/** The chance of a loss if 2, 3 … devices fail at one moment, up to the first number that is likely to lose something. */
function togetherText(outcomes: readonly Possible[]): string {
  const most = Math.max(...outcomes.map(({ failedTogether }) => failedTogether.length))
  const counts = Array.from({ length: most }, (_, i) => i + 1).filter(count => count <= TOGETHER_SHOWN)
  return tableText(
    ["LOSS IF AT ONCE", ...counts.map(count => (count === 1 ? "1 FAILS" : `${count} FAIL`))],
    outcomes.map(({ scheme, failedTogether }) => [
      scheme.text,
      ...counts.map(count => numberText(failedTogether[count - 1]?.lossChance ?? 1)),
    ]),
  )
}

/** Devices that fail at one moment; `--json` has more. */
const TOGETHER_SHOWN = 6
