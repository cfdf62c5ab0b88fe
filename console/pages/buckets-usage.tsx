/** How much a bucket holds and has held, as charts over a week, a month or more than a year. */
import { useSignal } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { Bucket, UsageHistory } from "../api/shapes.js"
import { AccountName, useAccountNames } from "../parts/account-name.js"
import { LineChart } from "../parts/charts.js"
import { SelectField } from "../parts/fields.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { Facts, Section } from "../parts/page.js"
import { Loaded } from "../parts/states.js"
import { Ago } from "../parts/time.js"
import { Addresses } from "./buckets-addresses.js"
import { bucketPath } from "./buckets-api.js"

const DAY_MS = 86_400_000
const POINTS = 100
const EVERY_MS = 60_000

const RANGES = [
  ["7", "7 days"],
  ["30", "30 days"],
  ["400", "400 days"],
] as const
type Range = (typeof RANGES)[number][0]

/** Returns what the bucket held at even steps of time, up to now: a sample holds until the next one. */
export function heldOver({ samples, usage, nowMs }: UsageHistory, fromMs: number) {
  return Array.from({ length: POINTS + 1 }, (_, step) => {
    const atMs = fromMs + ((nowMs - fromMs) * step) / POINTS
    const held = step === POINTS ? usage : samples.findLast(sample => sample.atMs <= atMs)
    return { atMs, objects: held?.objects ?? 0, bytes: held?.bytes ?? 0 }
  })
}

function Charts({ history, createdMs }: { readonly history: UsageHistory; readonly createdMs: number }) {
  const range = useSignal<Range>("7")
  const fromMs = Math.min(Math.max(history.nowMs - Number(range.value) * DAY_MS, createdMs), history.nowMs - 1)
  const held = heldOver(history, fromMs)
  return (
    <>
      <SelectField label="Show the last" value={range} options={RANGES} />
      <LineChart
        label="Bytes of all versions"
        isBytes
        series={[{ name: "Bytes", points: held.map(({ atMs, bytes }) => [atMs, bytes] as const) }]}
        xText={timeText}
        yText={sizeText}
      />
      <LineChart
        label="Objects"
        series={[{ name: "Objects", points: held.map(({ atMs, objects }) => [atMs, objects] as const) }]}
        xText={timeText}
        yText={countText}
      />
    </>
  )
}

/** A curve over less time says nothing. */
export const CURVE_MS_MIN = 2 * 3_600_000

function Now({ usage, bucket }: { readonly usage: UsageHistory["usage"]; readonly bucket: Bucket | undefined }) {
  const { objects, versions, bytes, uploads, kept } = usage
  const nameOf = useAccountNames()
  return (
    <Facts
      facts={[
        ["Objects", countText(objects)],
        ["Bytes of all versions", sizeText(bytes)],
        ["Versions and delete markers", countText(versions)],
        ["Unfinished uploads", countText(uploads)],
        ["Kept by undelete", kept === undefined ? "–" : `${countText(kept.objects)}, ${sizeText(kept.bytes)}`],
        ...(bucket === undefined
          ? []
          : ([
              ["Created", <Ago key="created" timeMs={bucket.createdMs} />],
              ...(bucket.location === "" ? [] : ([["Location", bucket.location]] as const)),
              ["Owner", <AccountName key="owner" id={bucket.owner} nameOf={nameOf} />],
            ] as const)),
      ]}
    />
  )
}

export function UsageTab({ name, bucket }: { readonly name: string; readonly bucket: Bucket | undefined }) {
  const live = useLive<UsageHistory>(bucketPath(name, "usage"), EVERY_MS)
  return (
    <>
      <Section title="How clients reach it">
        <Addresses bucket={name} />
      </Section>
      <Loaded live={live}>
        {history => {
          const createdMs = bucket?.createdMs ?? history.samples[0]?.atMs ?? history.nowMs
          return (
            <>
              <Section title="Now">
                <Now usage={history.usage} bucket={bucket} />
              </Section>
              {history.nowMs - createdMs >= CURVE_MS_MIN && (
                <Section title="Over time" hint="Noted once an hour, for the 2,000 largest buckets.">
                  <Charts history={history} createdMs={createdMs} />
                </Section>
              )}
            </>
          )
        }}
      </Loaded>
    </>
  )
}
