/**
 * Charts as SVG: sparklines, bars and lines. Each has its values as text as well: a sentence for screen readers, and a
 * table that can be opened below the larger ones.
 */
import { percentText } from "./format.js"

const SPARK = { width: 120, height: 28 }
const CHART = { width: 640, height: 200, left: 56, bottom: 22, top: 8, right: 8 }
const GRID_LINES = 4

const highest = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), 0)

/** A round number at or above a value, for the end of an axis. */
export function axisEnd(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [1, 2, 2.5, 5, 10].find(each => each * power >= value) ?? 10
  return step * power
}

const pathOf = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")

/** A line without axes. `label`: what it shows, with its latest value. */
export function Sparkline({ values, label }: { readonly values: readonly number[]; readonly label: string }) {
  const { width, height } = SPARK
  const end = highest(values) || 1
  const step = width / Math.max(1, values.length - 1)
  const points = values.map((value, at) => [at * step, height - 2 - (value / end) * (height - 4)] as const)
  return (
    <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      <path d={pathOf(points)} />
    </svg>
  )
}

export interface Bar {
  readonly label: string
  readonly value: number
  readonly kind?: "good" | "warning" | "danger"
}

/** Horizontal bars with their values as text; readable without the picture. */
export function BarList(props: {
  readonly label: string
  readonly bars: readonly Bar[]
  readonly text: (value: number) => string
}) {
  const { label, bars, text } = props
  const end = highest(bars.map(({ value }) => value)) || 1
  return (
    <dl class="bar-list" aria-label={label}>
      {bars.map(bar => (
        <div key={bar.label}>
          <dt>{bar.label}</dt>
          <dd>
            <span class={`bar ${bar.kind ?? ""}`} style={{ inlineSize: `${(bar.value / end) * 100}%` }} />
            <span>{text(bar.value)}</span>
          </dd>
        </div>
      ))}
    </dl>
  )
}

export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

interface LineChartProps {
  /** The label says what the chart shows. */
  readonly label: string
  readonly series: readonly Series[]
  readonly xText: (x: number) => string
  readonly yText: (y: number) => string
}

function scales(series: readonly Series[]) {
  const points = series.flatMap(each => each.points)
  const xs = points.map(([x]) => x)
  const [from, to] = [xs.reduce((a, b) => Math.min(a, b), Infinity), xs.reduce((a, b) => Math.max(a, b), -Infinity)]
  const end = axisEnd(highest(points.map(([, y]) => y)))
  const { width, height, left, bottom, top, right } = CHART
  return {
    from,
    to,
    end,
    x: (value: number) => left + ((value - from) / (to - from || 1)) * (width - left - right),
    y: (value: number) => height - bottom - (value / end) * (height - bottom - top),
  }
}

function ValuesTable({ label, series, xText, yText }: LineChartProps) {
  return (
    <details class="values">
      <summary>Values as a table</summary>
      <div class="table-frame" tabIndex={0} role="region" aria-label={`${label}, values`}>
        <table>
          <thead>
            <tr>
              <th scope="col">At</th>
              {series.map(({ name }) => (
                <th key={name} scope="col" class="end">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(series[0]?.points ?? []).map(([x], at) => (
              <tr key={x}>
                <th scope="row">{xText(x)}</th>
                {series.map(({ name, points }) => (
                  <td key={name} class="end">
                    {yText(points[at]?.[1] ?? 0)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}

/** Lines over a common axis, such as time. All series have the same places on it. */
export function LineChart(props: LineChartProps) {
  const { label, series, xText, yText } = props
  if (series.every(({ points }) => points.length === 0)) return <p class="faint">No values yet.</p>
  const { from, to, end, x, y } = scales(series)
  const { width, height, left, right } = CHART
  const lines = Array.from({ length: GRID_LINES + 1 }, (_, at) => (end * at) / GRID_LINES)
  return (
    <figure class="chart">
      <figcaption>
        {label}
        <span class="legend">
          {series.map(({ name }, at) => (
            <span key={name} class={`key line-${at}`}>
              {name}
            </span>
          ))}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${label}; values follow as a table`}>
        {lines.map(value => (
          <g key={value}>
            <path class="grid" d={`M${left} ${y(value)}H${width - right}`} />
            <text x={left - 6} y={y(value) + 4} text-anchor="end">
              {yText(value)}
            </text>
          </g>
        ))}
        <text x={left} y={height - 4}>
          {xText(from)}
        </text>
        <text x={width - right} y={height - 4} text-anchor="end">
          {xText(to)}
        </text>
        {series.map(({ name, points }, at) => (
          <path key={name} class={`line line-${at}`} d={pathOf(points.map(([px, py]) => [x(px), y(py)]))} />
        ))}
      </svg>
      <ValuesTable {...props} />
    </figure>
  )
}

/** Parts of a whole in one bar, each with its share as text. */
export function ShareBar(props: {
  readonly label: string
  readonly parts: readonly { readonly name: string; readonly value: number; readonly kind: string }[]
  readonly text: (value: number) => string
}) {
  const { label, parts, text } = props
  const total = parts.reduce((sum, { value }) => sum + value, 0) || 1
  return (
    <figure class="share-bar">
      <figcaption class="sr-only">{label}</figcaption>
      <div class="shares" aria-hidden="true">
        {parts
          .filter(({ value }) => value > 0)
          .map(({ name, value, kind }) => (
            <span key={name} class={kind} style={{ flexGrow: value / total }} />
          ))}
      </div>
      <ul class="legend">
        {parts.map(({ name, value, kind }) => (
          <li key={name} class={`key ${kind}`}>
            {name}: {text(value)} ({percentText(value / total)})
          </li>
        ))}
      </ul>
    </figure>
  )
}
