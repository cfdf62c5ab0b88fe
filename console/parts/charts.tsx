/**
 * Charts of lines as SVG. Each has its values as text as well: a sentence for screen readers, and a table that can be
 * opened below it.
 */
import { useSignal } from "@preact/signals"
import type { RefObject } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { percentText, timeText } from "./format.js"

const CHART = { width: 640, height: 180, bottom: 22, top: 8, right: 8 }
const CHARACTER_PX = 7
const GRID_LINES = 4

const highest = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), 0)

/** A power of two at or above a value, so that its quarters are round, too: 4 GiB. */
const axisEndOfBytes = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(4, value)))

/** A round number at or above a value, for the end of an axis. */
export function axisEnd(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [1, 2, 2.5, 5, 10].find(each => each * power >= value) ?? 10
  return step * power
}

const pathOf = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")

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
  /** Below the axis; default: the time of day, or the date if the axis is longer than two days. */
  readonly xShort?: (x: number) => string
  /** The values are bytes: the axis ends at a round number of their unit. */
  readonly isBytes?: boolean
}

interface Scales {
  readonly from: number
  readonly to: number
  readonly end: number
  /** The left edge of the plot, beside its labels. */
  readonly left: number
  readonly x: (value: number) => number
  readonly y: (value: number) => number
}

/** Places in pixels, so that texts have their size whatever the width. */
function scales({ series, yText, isBytes = false }: LineChartProps, width: number): Scales {
  const points = series.flatMap(each => each.points)
  const xs = points.map(([x]) => x)
  const [from, to] = [xs.reduce((a, b) => Math.min(a, b), Infinity), xs.reduce((a, b) => Math.max(a, b), -Infinity)]
  const end = (isBytes ? axisEndOfBytes : axisEnd)(highest(points.map(([, y]) => y)))
  const { height, bottom, top, right } = CHART
  const left = 12 + CHARACTER_PX * highest(gridOf(end, yText).map(([, label]) => label.length))
  return {
    from,
    to,
    end,
    left,
    x: (value: number) => left + ((value - from) / (to - from || 1)) * (width - left - right),
    y: (value: number) => height - bottom - (value / end) * (height - bottom - top),
  }
}

const DAYS_MS = 2 * 86_400_000

/** `14:05`, or `12-31` on a long axis: the local time. */
export function axisTimeText(timeMs: number, spanMs: number): string {
  const text = timeText(timeMs)
  return spanMs > DAYS_MS ? text.slice(5, 10) : text.slice(11, 16)
}

/** Lines of the grid whose labels differ: of small counts not each quarter has one of its own. */
function gridOf(end: number, yText: (y: number) => string): readonly (readonly [y: number, label: string])[] {
  const all = Array.from({ length: GRID_LINES + 1 }, (_, at) => (end * at) / GRID_LINES)
  const labels = all.map(yText)
  return all.flatMap((y, at) => (at > 0 && labels[at] === labels[at - 1] ? [] : [[y, labels[at] ?? ""] as const]))
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

/** The width of an element that follows the page. */
function useWidth(): readonly [RefObject<HTMLDivElement>, number] {
  const element = useRef<HTMLDivElement>(null)
  const width = useSignal(CHART.width)
  useEffect(() => {
    if (element.current === null) return undefined
    const observer = new ResizeObserver(([entry]) => {
      const now = Math.round(entry?.contentRect.width ?? 0)
      if (now > 0) width.value = now
    })
    observer.observe(element.current)
    return () => observer.disconnect()
  }, [])
  return [element, width.value]
}

/** Axes, and the lines between them. */
function Plot(props: LineChartProps & { readonly width: number; readonly scale: Scales }) {
  const { series, yText, width, scale } = props
  const { from, to, end, left, x, y } = scale
  const { xShort = (value: number) => axisTimeText(value, to - from) } = props
  const { height, right } = CHART
  return (
    <>
      {gridOf(end, yText).map(([value, label]) => (
        <g key={value}>
          <path class="grid" d={`M${left} ${y(value)}H${width - right}`} />
          <text x={left - 8} y={y(value) + 4} text-anchor="end">
            {label}
          </text>
        </g>
      ))}
      <text x={left} y={height - 4}>
        {xShort(from)}
      </text>
      <text x={(left + width - right) / 2} y={height - 4} text-anchor="middle">
        {xShort((from + to) / 2)}
      </text>
      <text x={width - right} y={height - 4} text-anchor="end">
        {xShort(to)}
      </text>
      {series.map(({ name, points }, at) => (
        <path key={name} class={`line line-${at}`} d={pathOf(points.map(([px, py]) => [x(px), y(py)]))} />
      ))}
    </>
  )
}

/** The values at the place that is pointed at. */
function Pointed(props: LineChartProps & { readonly at: number; readonly scale: Scales }) {
  const { series, at, scale } = props
  const point = series[0]?.points[at]
  if (point === undefined) return null
  const { height, bottom, top } = CHART
  return (
    <>
      <path class="pointed" d={`M${scale.x(point[0])} ${top}V${height - bottom}`} />
      {series.map(({ name, points }, line) => {
        const [px, py] = points[at] ?? [0, 0]
        return <circle key={name} class={`dot line-${line}`} cx={scale.x(px)} cy={scale.y(py)} r={3.5} />
      })}
    </>
  )
}

/** The place of the point that is nearest to a position. */
const nearestTo = (points: Series["points"], position: number, x: Scales["x"]): number =>
  points.reduce(
    (best, [value], at) =>
      Math.abs(x(value) - position) < Math.abs(x(points[best]?.[0] ?? Infinity) - position) ? at : best,
    0,
  )

/** Lines over a common axis, such as time. All series have the same places on it. Pointing at a place shows its values. */
export function LineChart(props: LineChartProps) {
  const { label, series, xText, yText } = props
  const [element, width] = useWidth()
  const pointed = useSignal<number | undefined>(undefined)
  if (series.every(({ points }) => points.length === 0)) return <p class="faint">No values yet.</p>
  const scale = scales(props, width)
  const first = series[0]?.points ?? []
  const at = pointed.value
  const x = at === undefined ? undefined : first[at]?.[0]
  return (
    <figure class="chart">
      <figcaption>
        {label}
        <span class="legend">
          {x !== undefined && <span class="faint">{xText(x)}</span>}
          {series.map(({ name, points }, line) => (
            <span key={name} class={`key line-${line}`}>
              {name}
              {at !== undefined && x !== undefined && `: ${yText(points[at]?.[1] ?? 0)}`}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={element}>
        <svg
          viewBox={`0 0 ${width} ${CHART.height}`}
          height={CHART.height}
          role="img"
          aria-label={`${label}; values follow as a table`}
          onPointerMove={event => (pointed.value = nearestTo(first, event.offsetX, scale.x))}
          onPointerLeave={() => (pointed.value = undefined)}
        >
          <Plot {...props} width={width} scale={scale} />
          {at !== undefined && <Pointed {...props} at={at} scale={scale} />}
        </svg>
      </div>
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
