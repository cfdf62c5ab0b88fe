/** Shows what the store serves now: traffic by bucket and account, and live requests. */
import { useSignal } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { NamedTraffic, Traffic } from "../api/shapes.js"
import { LineChart } from "../parts/charts.js"
import { SelectField } from "../parts/fields.js"
import { countText, latencyText, sizeText, timeText } from "../parts/format.js"
import { Facts, Page, Section } from "../parts/page.js"
import { EmptyState, Loaded, Notice } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { HotObjects } from "./traffic-hot.js"
import { RecentEvents } from "./traffic-events.js"
import { LiveRequests } from "./traffic-requests.js"

const EVERY_MS = 5_000

type Figures = Traffic["total"]

const WINDOWS = [
  ["minute", "the last minute"],
  ["hour", "the last hour"],
] as const

const rateText = (count: number, seconds: number): string => `${(count / seconds).toFixed(1)}/s`
const errorsOf = ({ clientErrors, serverErrors }: Figures): number => clientErrors + serverErrors
const bytesOf = ({ receivedBytes, sentBytes }: Figures): number => receivedBytes + sentBytes
const timeOf = (durationMs: number | undefined): string => (durationMs === undefined ? "–" : latencyText(durationMs))

const columnsOf = (title: string, seconds: number): readonly Column<NamedTraffic>[] => [
  { key: "name", title, cell: ({ name }) => name, sortBy: ({ name }) => name },
  ...(
    [
      ["requests", "Requests", ({ requests }) => rateText(requests, seconds), ({ requests }) => requests],
      ["errors", "Errors", row => countText(errorsOf(row)), errorsOf],
      ["p50", "Median", ({ p50Ms }) => timeOf(p50Ms), ({ p50Ms }) => p50Ms ?? 0],
      ["p99", "99 % within", ({ p99Ms }) => timeOf(p99Ms), ({ p99Ms }) => p99Ms ?? 0],
      ["in", "In", row => `${sizeText(row.receivedBytes / seconds)}/s`, ({ receivedBytes }) => receivedBytes],
      ["out", "Out", row => `${sizeText(row.sentBytes / seconds)}/s`, ({ sentBytes }) => sentBytes],
    ] satisfies readonly (readonly [string, string, (row: NamedTraffic) => string, (row: NamedTraffic) => number])[]
  ).map(([key, head, cell, sortBy]) => ({ key, title: head, cell, sortBy, align: "end" as const })),
]

function Charts({ history }: Pick<Traffic, "history">) {
  const points = (of: (figures: Figures) => number) =>
    history.map(({ sinceMs, ...figures }) => [sinceMs, of(figures)] as const)
  return (
    <>
      <LineChart
        label="Requests a minute in the last hour"
        series={[
          { name: "requests", points: points(({ requests }) => requests) },
          { name: "errors", points: points(errorsOf) },
        ]}
        xText={timeText}
        yText={countText}
      />
      <LineChart
        label="Duration of requests in the last hour"
        series={[
          { name: "median", points: points(({ p50Ms = 0 }) => p50Ms) },
          { name: "99 % within", points: points(({ p99Ms = 0 }) => p99Ms) },
        ]}
        xText={timeText}
        yText={latencyText}
      />
    </>
  )
}

function Figures({ traffic }: { readonly traffic: Traffic }) {
  const { total, seconds, nodes, unshown = [], buckets, accounts, history } = traffic
  const sort = { key: "requests", isDown: true }
  const empty = <EmptyState title="No requests in this time" icon="traffic" />
  return (
    <>
      {unshown.map(({ node, reason }) => (
        <Notice key={node} kind="warning">
          Requests of node {node} are missing here: {reason}.
        </Notice>
      ))}
      <Section
        title="In total"
        hint={nodes && `Of ${countText(nodes.length)} of ${countText(nodes.length + unshown.length)} nodes.`}
      >
        <Facts
          facts={[
            ["Requests", rateText(total.requests, seconds)],
            ["Errors of clients (4xx)", countText(total.clientErrors)],
            ["Errors of the store (5xx)", countText(total.serverErrors)],
            ["Median duration", timeOf(total.p50Ms)],
            ["99 % within", timeOf(total.p99Ms)],
            ["Bytes", `${sizeText(bytesOf(total) / seconds)}/s`],
          ]}
        />
        <Charts history={history} />
      </Section>
      <Section title="By bucket">
        <DataTable
          {...{ caption: "Traffic by bucket", columns: columnsOf("Bucket", seconds), rows: buckets, sort, empty }}
          rowKey={({ name }) => name}
        />
      </Section>
      {nodes && (
        <Section title="By node">
          <DataTable
            {...{ caption: "Traffic by node", columns: columnsOf("Node", seconds), rows: nodes, sort, empty }}
            rowKey={({ name }) => name}
          />
        </Section>
      )}
      <Section title="By account">
        <DataTable
          {...{ caption: "Traffic by account", columns: columnsOf("Account", seconds), rows: accounts, sort, empty }}
          rowKey={({ name }) => name}
        />
      </Section>
    </>
  )
}

export function TrafficPage() {
  const window = useSignal<"minute" | "hour">("minute")
  const traffic = useLive<Traffic>(`/v1/traffic?window=${window.value}`, EVERY_MS)
  return (
    <Page title="Traffic" live={traffic}>
      <SelectField label="Figures of" value={window} options={WINDOWS} />
      <Loaded live={traffic}>{value => <Figures traffic={value} />}</Loaded>
      <HotObjects />
      <RecentEvents />
      <LiveRequests />
    </Page>
  )
}
