/**
 * The first page: what the store holds, how full it is, what it serves now, what needs attention with the next step, and how
 * to put the first object while it is empty. Who may not see a figure gets the others.
 */
import { addressOf, api } from "../api/client.js"
import { useLive, useLiveValue } from "../api/live.js"
import { inParallel } from "../api/parallel.js"
import type { Buckets, Status, Traffic, UsageHistory } from "../api/shapes.js"
import { LineChart } from "../parts/charts.js"
import { countText, plural, sizeText, timeText } from "../parts/format.js"
import { Page, Section } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable } from "../parts/table.js"
import { pathTo } from "../shell/router.js"
import { mayUse, ownAccount } from "../shell/session.js"
import { bucketPath } from "./buckets-api.js"
import { CURVE_MS_MIN, heldOver } from "./buckets-usage.js"
import { Attention } from "./overview-attention.js"
import { FirstObject } from "./overview-first.js"
import { Tiles } from "./overview-tiles.js"

const EVERY_MS = 10_000
const CURVE_EVERY_MS = 300_000
const BUCKETS_MAX = 1_000
/** The curve of bytes adds up so many of the largest buckets. */
const CURVE_BUCKETS = 10
const CONCURRENT_HISTORIES = 5
const LARGEST = 5
const WEEK_MS = 7 * 86_400_000

type Bucket = Buckets["buckets"][number]

const largestOf = (buckets: readonly Bucket[], count: number): readonly Bucket[] =>
  buckets.toSorted((a, b) => b.usage.bytes - a.usage.bytes).slice(0, count)

function BytesCurve({ buckets }: { readonly buckets: readonly Bucket[] }) {
  const largest = largestOf(buckets, CURVE_BUCKETS)
  const createdMs = largest.reduce((first, bucket) => Math.min(first, bucket.createdMs), Infinity)
  const key = largest.map(({ name }) => name).join(" ")
  const live = useLiveValue(
    key,
    stop =>
      inParallel(largest, CONCURRENT_HISTORIES, stop, ({ name }, signal) =>
        api.get<UsageHistory>(bucketPath(name, "usage"), { signal }),
      ),
    CURVE_EVERY_MS,
  )
  const title = buckets.length > CURVE_BUCKETS ? `Bytes of the ${CURVE_BUCKETS} largest buckets` : "Bytes stored"
  return (
    <Section title={title}>
      <Loaded live={live}>
        {histories => {
          const nowMs = histories.reduce((latest, history) => Math.max(latest, history.nowMs), 0)
          if (nowMs - createdMs < CURVE_MS_MIN) {
            return <p class="faint">The curve begins two hours after the first of these buckets was created.</p>
          }
          const fromMs = Math.max(nowMs - WEEK_MS, createdMs)
          const held = histories.map(history => heldOver(history, fromMs))
          const points = (held[0] ?? []).map(
            ({ atMs }, at) => [atMs, held.reduce((sum, each) => sum + (each[at]?.bytes ?? 0), 0)] as const,
          )
          return (
            <LineChart
              label="The last 7 days"
              series={[{ name: "bytes", points }]}
              xText={timeText}
              yText={sizeText}
              isBytes
            />
          )
        }}
      </Loaded>
    </Section>
  )
}

function RequestsCurve({ traffic }: { readonly traffic: Traffic | undefined }) {
  const history = traffic?.history ?? []
  const isQuiet = history.every(({ requests }) => requests === 0)
  return (
    <Section title="Requests" actions={<a href={pathTo(["traffic"])}>Traffic</a>}>
      {isQuiet ? (
        <p class="faint">{traffic === undefined ? "Loading…" : "No requests in the last hour."}</p>
      ) : (
        <LineChart
          label="Each minute of the last hour"
          series={[
            { name: "requests", points: history.map(({ sinceMs, requests }) => [sinceMs, requests] as const) },
            {
              name: "errors",
              points: history.map(each => [each.sinceMs, each.clientErrors + each.serverErrors] as const),
            },
          ]}
          xText={timeText}
          yText={countText}
        />
      )}
    </Section>
  )
}

function Largest({ buckets }: { readonly buckets: readonly Bucket[] }) {
  return (
    <Section title="Buckets" actions={<a href={pathTo(["buckets"])}>All {plural(buckets.length, "bucket")}</a>}>
      <DataTable
        caption="The largest buckets"
        rows={largestOf(buckets, LARGEST)}
        rowKey={({ name }) => name}
        empty={<EmptyState title="There is no bucket yet" icon="bucket" />}
        columns={[
          {
            key: "name",
            title: "Bucket",
            cell: ({ name }) => (
              <a class="named" href={pathTo(["buckets", name])}>
                <span>{name}</span>
              </a>
            ),
          },
          { key: "objects", title: "Objects", align: "end", cell: ({ usage }) => countText(usage.objects) },
          { key: "bytes", narrow: "plain", title: "Size", align: "end", cell: ({ usage }) => sizeText(usage.bytes) },
        ]}
      />
    </Section>
  )
}

/** The parts of the page that are about buckets. */
function OfBuckets({
  buckets,
  traffic,
}: {
  readonly buckets: readonly Bucket[]
  readonly traffic: Traffic | undefined
}) {
  if (buckets.every(({ usage }) => usage.objects === 0 && usage.versions === 0)) {
    return <FirstObject bucket={buckets[0]?.name} />
  }
  return (
    <>
      <div class="halves">
        <BytesCurve buckets={buckets} />
        {mayUse("getTraffic") && <RequestsCurve traffic={traffic} />}
      </div>
      <Largest buckets={buckets} />
    </>
  )
}

export function OverviewPage() {
  const live = useLive<Buckets>(addressOf("/v1/buckets", { owner: ownAccount(), max: BUCKETS_MAX }), EVERY_MS)
  const status = useLive<Status>(mayUse("getStatus") ? "/v1/status" : undefined, EVERY_MS).value
  const traffic = useLive<Traffic>(mayUse("getTraffic") ? "/v1/traffic?window=minute" : undefined, EVERY_MS).value
  return (
    <Page title="Overview" live={live}>
      <Tiles {...{ status, traffic }} list={live.value} />
      {status && <Attention status={status} />}
      <Loaded live={live}>{({ buckets }) => <OfBuckets {...{ buckets, traffic }} />}</Loaded>
    </Page>
  )
}
