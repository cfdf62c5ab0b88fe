/**
 * Shows what policies would mean for the present layout, or for a described one: durability, space, repair and
 * availability side by side. The server computes it; this page changes nothing.
 */
import { useSignal } from "@preact/signals"
import { useEffect, useMemo } from "preact/hooks"
import { chartsSvg, simulationCharts } from "@hayloft/admin/charts/index.js"
import { api, asApiError } from "../api/client.js"
import type { Live, LiveState } from "../api/live.js"
import type { Simulate, Simulation } from "../api/shapes.js"
import { durationText, figureText, plural, sizeText } from "../parts/format.js"
import { Page, Section } from "../parts/page.js"
import { Loaded, Notice } from "../parts/states.js"
import { Svg } from "../parts/svg.js"
import { DataTable, type Column } from "../parts/table.js"
import { describe, newQuestion, PRESETS, WhatIfForm } from "./what-if-form.js"

type Possible = Extract<Simulation["outcomes"][number], { scheme: unknown }>

const NOTHING: LiveState<Simulation> = { value: undefined, atMs: undefined, error: undefined, isFetching: true }

/** Asks the server; a later question replaces one that has not been answered. */
function useSimulation(asked: Simulate): Live<Simulation> {
  const state = useSignal(NOTHING)
  const turn = useSignal(0)
  useEffect(() => {
    const left = new AbortController()
    state.value = { ...state.value, error: undefined, isFetching: true }
    api
      .post<Simulation>("/v1/simulations", asked, { signal: left.signal })
      .then(value => (state.value = { value, atMs: Date.now(), error: undefined, isFetching: false }))
      .catch((error: unknown) => {
        if (!left.signal.aborted) state.value = { ...state.value, error: asApiError(error), isFetching: false }
      })
    return () => left.abort()
  }, [asked, turn.value])
  return { ...state.value, refresh: () => void (turn.value += 1) }
}

const percentOf = (share: number): string => `${figureText(share * 100)} %`

const column = (
  title: string,
  cell: (outcome: Possible) => string,
  sortBy?: (outcome: Possible) => number,
): Column<Possible> => ({ key: title, title, cell, align: "end", ...(sortBy && { sortBy }) })

const POLICY: Column<Possible> = { key: "policy", title: "Policy", cell: ({ scheme }) => <code>{scheme.text}</code> }

const CAUSES = { byDevices: "devices", byZones: "zones", byZoneAndDevices: "a zone, then devices" } as const

function causeOf({ durability }: Possible): string {
  const names = ["byDevices", "byZones", "byZoneAndDevices"] as const
  const most = Math.max(...names.map(name => durability[name]))
  return CAUSES[names.find(name => durability[name] === most) ?? "byDevices"]
}

const DURABILITY: readonly Column<Possible>[] = [
  POLICY,
  column(
    "Nines",
    ({ durability }) => durability.nines.toFixed(1),
    ({ durability }) => durability.nines,
  ),
  column("Loss in a year", ({ durability }) => figureText(durability.annualLossChance)),
  column("Years to loss", ({ durability }) => figureText(durability.yearsToLoss)),
  column("Objects lost a year", ({ durability }) => figureText(durability.lostObjectsPerYear)),
  column("Nines of an object", ({ durability }) => durability.objectNines.toFixed(1)),
  { key: "cause", title: "Mostly by", cell: causeOf },
]

const SPACE: readonly Column<Possible>[] = [
  POLICY,
  column(
    "Factor",
    ({ space }) => figureText(space.storageFactor),
    ({ space }) => space.storageFactor,
  ),
  column("Usable", ({ space }) => sizeText(space.usableBytes)),
  column("Of a device", ({ space }) => sizeText(space.usableBytesPerDevice)),
  column(
    "Rebuild",
    ({ repair }) => durationText(repair.hours * 3600),
    ({ repair }) => repair.hours,
  ),
  { key: "onto", title: "Onto", cell: ({ scheme }) => (scheme.rebuild === "others" ? "the others" : "a spare") },
  column("Moves", ({ repair }) => sizeText(repair.movedBytes)),
]

const FAILURES: readonly Column<Possible>[] = [
  POLICY,
  column("Zones", ({ zones }) => String(zones.zonesTolerated)),
  column("Machines", ({ zones }) => String(zones.machinesTolerated)),
  column("Devices", ({ scheme }) => String(scheme.shards - scheme.needed)),
  column("Not readable", ({ availability }) => percentOf(availability.readUnavailable)),
  column("Not writable", ({ availability }) => percentOf(availability.writeUnavailable)),
]

const CHECK: readonly Column<Possible>[] = [
  POLICY,
  column("Years of a group", ({ durability }) => figureText(durability.group.years)),
  column("Monte Carlo", ({ monteCarlo: { years, standardErrorYears } }) => {
    return `${figureText(years)} ± ${percentOf(standardErrorYears / years)}`
  }),
  column("Years to a lost sector", ({ durability }) => figureText(durability.group.yearsToSectorLoss)),
]

const TABLES = [
  ["Durability", DURABILITY],
  ["Space and repair", SPACE],
  ["What may fail", FAILURES],
  ["Check of the model", CHECK],
] as const

export function WhatIfPage() {
  const question = useMemo(newQuestion, [])
  const asked = useSignal<Simulate>({})
  const live = useSimulation(asked.value)
  const isDescribed = useSignal(false)
  const { value } = live
  const [small] = PRESETS
  const isEmpty = value !== undefined && !value.outcomes.some(outcome => "scheme" in outcome)
  // The answer that the described layout replaces is not shown meanwhile.
  const shown = isEmpty && isDescribed.value && live.isFetching ? { ...live, value: undefined } : live
  useEffect(() => {
    // A store on one disk has nothing to compare: the page begins with a described layout, and says so.
    if (isDescribed.value || !isEmpty) return
    isDescribed.value = true
    asked.value = describe(question, small)
  }, [value])
  return (
    <Page title="What if" live={live}>
      <Section title="Compare" hint="Computed from a model of random failures. Nothing is changed.">
        <WhatIfForm question={question} isBusy={live.isFetching} onAsk={request => (asked.value = request)} />
      </Section>
      {isDescribed.value && question.which.value === "described" && (
        <Notice>
          This store has too few disks to compare anything; folders on one disk are one. Shown is a described layout.
        </Notice>
      )}
      <Loaded live={shown} what="Computing">
        {simulation => <Results {...simulation} />}
      </Loaded>
    </Page>
  )
}

function Results({ layout, outcomes, limits }: Simulation) {
  const possible = outcomes.filter(outcome => "scheme" in outcome)
  const problems = outcomes.filter(outcome => "problem" in outcome)
  const { devices, machines, zones, rawBytes } = layout
  const zoneText = zones === 0 ? "no zones named, so the loss of one is left out" : plural(zones, "zone")
  return (
    <>
      <p>
        {plural(devices, "device")} in {plural(machines, "machine")}, {zoneText}; {sizeText(rawBytes)}.
      </p>
      <Notice kind="warning">
        {limits.map(limit => (
          <p key={limit}>{limit}</p>
        ))}
      </Notice>
      {problems.map(({ policy, problem }) => (
        <Notice key={policy} kind="info">
          <code>{policy}</code>: {problem}
        </Notice>
      ))}
      {possible.length > 0 && (
        <>
          {TABLES.map(([title, columns]) => (
            <Section key={title} title={title}>
              <DataTable caption={title} columns={columns} rows={possible} rowKey={({ policy }) => policy} />
            </Section>
          ))}
          <Section title="Charts">
            {simulationCharts(possible).map(chart => (
              <Svg key={chart.title} picture={chartsSvg([chart])} />
            ))}
          </Section>
        </>
      )}
    </>
  )
}
