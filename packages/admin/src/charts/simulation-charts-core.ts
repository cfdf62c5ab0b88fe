/** The charts of a simulation. */
import { CHANCE_MIN, chanceText, type Chart } from "./chart-core.js"

/** The part of an outcome that the charts need: the same members as the admin API returns. */
interface Charted {
  readonly scheme: { readonly text: string }
  readonly repair: { readonly hours: number }
  readonly durability: { readonly nines: number }
  readonly space: { readonly storageFactor: number }
  readonly failedTogether: readonly { readonly devices: number; readonly lossChance: number }[]
}

type ChartedOrNot = Charted | { readonly problem: string }

const rounded = (value: number): string => String(Number(value.toPrecision(3)))

export function simulationCharts(outcomes: readonly ChartedOrNot[]): readonly Chart[] {
  const possible = outcomes.filter(outcome => "scheme" in outcome)
  if (possible.length === 0) return []
  const bars = (title: string, axis: string, valueOf: (outcome: Charted) => number): Chart => ({
    kind: "bars",
    title,
    axis,
    bars: possible.map(outcome => {
      const value = valueOf(outcome)
      return { label: outcome.scheme.text, value, text: rounded(value) }
    }),
  })
  return [
    bars("Durability", "nines of a year in which nothing is lost, by the model", ({ durability }) => durability.nines),
    bars("Space", "bytes on disk for each byte that is stored", ({ space }) => space.storageFactor),
    bars("Repair", "hours until a lost device is rebuilt", ({ repair }) => repair.hours),
    {
      kind: "lines",
      title: "Devices that fail at one moment",
      xAxis: "devices that fail",
      yAxis: `chance that something is lost (${chanceText(CHANCE_MIN)} or less at the lower edge)`,
      lines: possible.map(({ scheme, failedTogether }) => ({
        label: scheme.text,
        points: failedTogether.map(({ devices, lossChance }) => ({ x: devices, y: lossChance })),
      })),
    },
  ]
}
