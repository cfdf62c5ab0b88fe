/** Shows what the store serves: figures and curves of a time up to a week, by operation, bucket, account and error, and live requests. */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { useLive } from "../api/live.js"
import type { NamedTraffic, Traffic } from "../api/shapes.js"
import { LineChart } from "../parts/charts.js"
import { SelectField } from "../parts/fields.js"
import { countText, durationText, latencyText, sizeText, timeText } from "../parts/format.js"
import { Page, Section } from "../parts/page.js"
import { useAccountNames } from "../parts/account-name.js"
import { EmptyState, Loaded, Notice } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { Tabs, type Tab } from "../parts/tabs.js"
import { place, setQuery } from "../shell/router.js"
import { HotObjects } from "./traffic-hot.js"
import { RecentEvents } from "./traffic-events.js"
import { LiveRequests } from "./traffic-requests.js"

const EVERY_MS = 5_000

type Figures = Traffic["total"]

const WINDOWS = [
  ["minute", "last minute"],
  ["hour", "last hour"],
  ["day", "last day"],
  ["week", "last week"],
] as const
type Window = Traffic["window"]

/** A step of the curves. */
const STEPS: Readonly<Record<Window, string>> = {
  minute: "minute",
  hour: "minute",
  day: "15 minutes",
  week: "2 hours",
}
const WINDOW_SECONDS: Readonly<Record<Window, number>> = { minute: 60, hour: 3_600, day: 86_400, week: 604_800 }

const errorsOf = ({ clientErrors, serverErrors }: Figures): number => clientErrors + serverErrors
const timeOf = (durationMs: number | undefined): string => (durationMs === undefined ? "–" : latencyText(durationMs))

/** The places on a phone of columns with a place of their own. */
const NARROW: Readonly<Record<string, Pick<Column<NamedTraffic>, "narrow">>> = {
  requests: { narrow: "end" },
  p50: { narrow: "minor" },
  p99: { narrow: "minor" },
}

const columnsOf = (title: string, textOf: (name: string) => string = name => name): readonly Column<NamedTraffic>[] => [
  {
    key: "name",
    title,
    cell: ({ name }) => (
      <span class="words" title={name}>
        {textOf(name)}
      </span>
    ),
    sortBy: ({ name }) => textOf(name),
  },
  ...(
    [
      ["requests", "Requests", ({ requests }) => countText(requests), ({ requests }) => requests],
      ["errors", "Errors", row => countText(errorsOf(row)), errorsOf],
      ["p50", "Median", ({ p50Ms }) => timeOf(p50Ms), ({ p50Ms }) => p50Ms ?? 0],
      ["p99", "99 % within", ({ p99Ms }) => timeOf(p99Ms), ({ p99Ms }) => p99Ms ?? 0],
      ["in", "In", row => sizeText(row.receivedBytes), ({ receivedBytes }) => receivedBytes],
      ["out", "Out", row => sizeText(row.sentBytes), ({ sentBytes }) => sentBytes],
    ] satisfies readonly (readonly [string, string, (row: NamedTraffic) => string, (row: NamedTraffic) => number])[]
  ).map(([key, head, cell, sortBy]) => ({ key, title: head, cell, sortBy, align: "end" as const, ...NARROW[key] })),
]

/** `14:05`, with the date in a week. */
const stepText = (window: Window) => (ms: number) => timeText(ms).slice(window === "week" ? 5 : 11, 16)

function Charts({ history, window }: Pick<Traffic, "history" | "window">) {
  const xText = stepText(window)
  const points = (of: (figures: Figures) => number) =>
    history.map(({ sinceMs, ...figures }) => [sinceMs, of(figures)] as const)
  return (
    <div class="charts">
      <div class="card">
        <LineChart
          label={`Requests each ${STEPS[window]}`}
          series={[
            { name: "requests", points: points(({ requests }) => requests) },
            { name: "errors", points: points(errorsOf) },
          ]}
          xText={xText}
          yText={countText}
        />
      </div>
      <div class="card">
        <LineChart
          label={`Bytes each ${STEPS[window]}`}
          isBytes
          series={[
            { name: "in", points: points(({ receivedBytes }) => receivedBytes) },
            { name: "out", points: points(({ sentBytes }) => sentBytes) },
          ]}
          xText={xText}
          yText={sizeText}
        />
      </div>
      <div class="card">
        <LineChart
          label="Duration of requests"
          series={[
            { name: "median", points: points(({ p50Ms = 0 }) => p50Ms) },
            { name: "99 % within", points: points(({ p99Ms = 0 }) => p99Ms) },
          ]}
          xText={xText}
          yText={latencyText}
        />
      </div>
    </div>
  )
}

function Totals({ traffic: { total, seconds } }: { readonly traffic: Traffic }) {
  const figures = [
    [`Requests, ${(total.requests / seconds).toFixed(1)}/s`, countText(total.requests)],
    ["Client errors (4xx)", countText(total.clientErrors)],
    ["Store errors (5xx)", countText(total.serverErrors)],
    ["Median", timeOf(total.p50Ms)],
    ["99 % within", timeOf(total.p99Ms)],
    [`In, ${sizeText(total.receivedBytes / seconds)}/s`, sizeText(total.receivedBytes)],
    [`Out, ${sizeText(total.sentBytes / seconds)}/s`, sizeText(total.sentBytes)],
  ] as const
  return (
    <dl class="figures">
      {figures.map(([name, text], at) => (
        <div key={at}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  )
}

function NamedTable(props: {
  readonly caption: string
  readonly title: string
  readonly rows: readonly NamedTraffic[]
  readonly textOf?: (name: string) => string
  readonly empty?: string
}) {
  const { caption, title, rows, textOf, empty = "No requests in this time" } = props
  return (
    <Section title={caption}>
      <DataTable
        caption={caption}
        columns={columnsOf(title, textOf)}
        rows={rows}
        rowKey={({ name }) => name}
        sort={{ key: "requests", isDown: true }}
        empty={<EmptyState title={empty} icon="traffic" />}
      />
    </Section>
  )
}

function tabsOf(
  { operations, buckets, accounts, codes, nodes }: Traffic,
  nameOf: (id: string) => string,
): readonly Tab[] {
  const tab = (key: string, title: string, table: Parameters<typeof NamedTable>[0]): Tab => ({
    key,
    title,
    content: () => <NamedTable {...table} />,
  })
  return [
    tab("operations", "Operations", { caption: "Traffic by operation", title: "Operation", rows: operations }),
    tab("buckets", "Buckets", { caption: "Traffic by bucket", title: "Bucket", rows: buckets }),
    tab("accounts", "Accounts", { caption: "Traffic by account", title: "Account", rows: accounts, textOf: nameOf }),
    tab("errors", "Errors", { caption: "Errors by code", title: "Code", rows: codes, empty: "No errors in this time" }),
    ...(nodes === undefined ? [] : [tab("nodes", "Nodes", { caption: "Traffic by node", title: "Node", rows: nodes })]),
    { key: "live", title: "Live requests", content: () => <LiveRequests /> },
    { key: "events", title: "Events", content: () => <RecentEvents /> },
  ]
}

function Shown({ traffic }: { readonly traffic: Traffic }) {
  const { nodes, unshown = [], history, seconds, window } = traffic
  const nameOf = useAccountNames()
  return (
    <>
      {unshown.map(({ node, reason }) => (
        <Notice key={node} kind="warning">
          Requests of node {node} are missing here: {reason}.
        </Notice>
      ))}
      <Totals traffic={traffic} />
      {seconds < WINDOW_SECONDS[window] / 2 && (
        <p class="hint">Since the server has started: {durationText(seconds)}.</p>
      )}
      {nodes && (
        <p class="hint">
          Of {countText(nodes.length)} of {countText(nodes.length + unshown.length)} nodes.
        </p>
      )}
      <Charts {...{ history, window }} />
      <Tabs label="Traffic" tabs={tabsOf(traffic, nameOf)} />
    </>
  )
}

export function TrafficPage() {
  const given = WINDOWS.find(([name]) => name === place.value.query.get("window"))?.[0] ?? "hour"
  const window = useSignal<Window>(given)
  useEffect(() => {
    if (window.value !== given) setQuery({ window: window.value })
  }, [window.value])
  const traffic = useLive<Traffic>(`/v1/traffic?window=${window.value}`, EVERY_MS)
  const range = (
    <div class="beside">
      <SelectField label="Figures of" value={window} options={WINDOWS} />
    </div>
  )
  return (
    <Page title="Traffic" live={traffic} actions={range}>
      <Loaded live={traffic}>{value => <Shown traffic={value} />}</Loaded>
      <HotObjects />
      <p class="hint">
        Each node keeps these figures in memory, for a week, and begins again when it is started. For longer, have
        Prometheus read its metrics: <a href="/docs/operate/watch-a-store.md">Watch a store</a>.
      </p>
    </Page>
  )
}
