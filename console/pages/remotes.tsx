/** Remotes: the other S3 stores that have objects of buckets, how they respond, their cache, and what they do not have yet. */
import { useSignal } from "@preact/signals"
import { addressOf } from "../api/client.js"
import { useLive, type Live } from "../api/live.js"
import type { PendingRemoteWrite, PendingRemoteWrites, RemoteBucket, Remotes, RemoteStore } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { countText, percentText, shareOf, sizeText, timeText } from "../parts/format.js"
import { Badge, Facts, Page, Section } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { pathTo } from "../shell/router.js"
import { bucketPath } from "./buckets-api.js"

const EVERY_MS = 5_000
/** The server counts, and lists in one response, at most so many pending writes. */
const PENDING_MAX = 1_000

const isOff = ({ value, error }: Live<unknown>): boolean => value === undefined && error?.code === "notImplemented"

function SwitchedOff() {
  return (
    <EmptyState title="Remote buckets are switched off" icon="remote">
      <p>
        Start the store with <code>--remotes FILE</code>, on every node: the file names other S3 stores and their keys.
        A bucket can then have its objects in one of them; what is read is cached here.
      </p>
    </EmptyState>
  )
}

/** Shows the last error of a store, even if requests have succeeded since. */
function LastError({ store: { lastError, lastErrorMs } }: { readonly store: RemoteStore }) {
  if (lastError === undefined) return <>–</>
  return (
    <>
      {lastErrorMs !== undefined && `${timeText(lastErrorMs)}: `}
      {lastError}
    </>
  )
}

function StoreState({ store: { requests, failures } }: { readonly store: RemoteStore }) {
  if (requests === 0) return <Badge kind="neutral">not used yet</Badge>
  return failures === 0 ? <Badge kind="good">no failures</Badge> : <Badge kind="warning">has failed</Badge>
}

const STORE_COLUMNS: readonly Column<RemoteStore>[] = [
  { key: "name", title: "Store", cell: ({ name }) => <code>{name}</code>, sortBy: ({ name }) => name },
  { key: "endpoint", title: "Endpoint", cell: ({ endpoint, region }) => `${endpoint}, ${region}` },
  { key: "accounts", title: "Accounts", cell: ({ accounts }) => accounts.join(", ") },
  { key: "state", narrow: "end", title: "State", cell: store => <StoreState store={store} /> },
  {
    key: "requests",
    title: "Requests",
    align: "end",
    cell: ({ requests }) => countText(requests),
    sortBy: ({ requests }) => requests,
  },
  {
    key: "failures",
    title: "Failures",
    align: "end",
    cell: ({ failures }) => countText(failures),
    sortBy: ({ failures }) => failures,
  },
  { key: "error", title: "Last error", cell: store => <LastError store={store} /> },
]

/** A share that is not critical however large it is: a full cache is one that does its work. */
function Share({ label, share, text }: { readonly label: string; readonly share: number; readonly text: string }) {
  return (
    <span class="meter">
      <meter class="normal" aria-label={label} value={share} max={1} />
      <span>{text}</span>
    </span>
  )
}

function Cache({ cache }: { readonly cache: Remotes["cache"] }) {
  const { sizeBytes, sizeBytesMax, hitBytes, missBytes, evictedBytes } = cache
  const [full, readBytes] = [shareOf(sizeBytes, sizeBytesMax), hitBytes + missBytes]
  const hits = shareOf(hitBytes, readBytes)
  const sizes = `${sizeText(sizeBytes)} of ${sizeText(sizeBytesMax)}, ${percentText(full)}`
  const hitText = `${percentText(hits)} of ${sizeText(readBytes)}`
  return (
    <Section
      title="Cache"
      hint="What was read from remote buckets. When it is full, what was not read for the longest time is evicted. Reads are those of the node that answers this page, since it has started."
    >
      <Facts
        facts={[
          ["Size", <Share label="Size of the cache" share={full} text={sizes} />],
          [
            "Read from the cache",
            readBytes === 0 ? "nothing read yet" : <Share label="Read from the cache" share={hits} text={hitText} />,
          ],
          ["Dropped", sizeText(evictedBytes)],
        ]}
      />
    </Section>
  )
}

const WRITES: Readonly<Record<RemoteBucket["writes"], string>> = {
  Through: "before the answer",
  Back: "later",
  None: "refused",
}

function freshnessText({ check, maxAgeSeconds = 0 }: RemoteBucket["freshness"]): string {
  if (check === "Age") return `once ${countText(maxAgeSeconds)} s old`
  return check === "Always" ? "before each read" : "never"
}

function PendingCell(props: { readonly row: RemoteBucket; readonly onShow: (bucket: string) => void }) {
  const { bucket, pending } = props.row
  if (pending === 0) return <>0</>
  const text = pending >= PENDING_MAX ? `${countText(pending)} or more` : countText(pending)
  return (
    <Button kind="quiet" label={`Show ${text} pending writes of ${bucket}`} onClick={() => props.onShow(bucket)}>
      {text}
    </Button>
  )
}

const bucketColumns = (onShow: (bucket: string) => void): readonly Column<RemoteBucket>[] => [
  {
    key: "bucket",
    title: "Bucket",
    sortBy: ({ bucket }) => bucket,
    cell: ({ bucket }) => <a href={pathTo(["buckets", bucket], { tab: "json" })}>{bucket}</a>,
  },
  { key: "store", title: "Store", cell: ({ store }) => <code>{store}</code>, sortBy: ({ store }) => store },
  {
    key: "place",
    title: "Objects in",
    cell: ({ remoteBucket, prefix }) => <code>{`${remoteBucket}/${prefix}`}</code>,
  },
  { key: "writes", title: "Writes reach it", cell: ({ writes }) => WRITES[writes] },
  { key: "freshness", title: "Cached objects are compared", cell: ({ freshness }) => freshnessText(freshness) },
  {
    key: "pending",
    title: "Pending writes",
    align: "end",
    sortBy: ({ pending }) => pending,
    cell: row => <PendingCell {...{ row, onShow }} />,
  },
]

const PENDING_COLUMNS: readonly Column<PendingRemoteWrite>[] = [
  { key: "key", title: "Key", cell: ({ key }) => <code>{key}</code>, sortBy: ({ key }) => key },
  { key: "kind", title: "Write", cell: ({ kind }) => (kind === "put" ? "new object" : "deletion") },
  {
    key: "size",
    title: "Size",
    align: "end",
    sortBy: ({ sizeBytes }) => sizeBytes,
    cell: ({ kind, sizeBytes }) => (kind === "put" ? sizeText(sizeBytes) : "–"),
  },
  { key: "since", title: "Since", cell: ({ sinceMs }) => timeText(sinceMs), sortBy: ({ sinceMs }) => sinceMs },
  { key: "error", title: "Last error", cell: ({ lastError }) => lastError ?? "–" },
]

function Pending({ bucket, onClose }: { readonly bucket: string; readonly onClose: () => void }) {
  const live = useLive<PendingRemoteWrites>(addressOf(bucketPath(bucket, "remote", "pending"), { max: 100 }), EVERY_MS)
  return (
    <Section
      title={`Pending writes of ${bucket}`}
      hint="What the remote store does not have yet. It is kept here, and sent until the remote store has it."
      actions={
        <Button kind="quiet" onClick={onClose}>
          Hide
        </Button>
      }
    >
      <Loaded live={live}>
        {({ pending, hasMore }) => (
          <>
            <DataTable
              caption={`Pending writes of ${bucket}`}
              columns={PENDING_COLUMNS}
              rows={pending}
              rowKey={({ key }) => key}
              empty={<EmptyState title="The remote store has everything" icon="check" />}
            />
            {hasMore && <p class="hint">These are the first {countText(pending.length)}; others follow.</p>}
          </>
        )}
      </Loaded>
    </Section>
  )
}

function RemoteBuckets({ buckets }: Pick<Remotes, "buckets">) {
  const shown = useSignal<string | undefined>(undefined)
  return (
    <>
      <Section title="Remote buckets" hint="The setting remote of a bucket says where its objects are.">
        <DataTable
          caption="Remote buckets"
          columns={bucketColumns(bucket => (shown.value = bucket))}
          rows={buckets}
          rowKey={({ bucket }) => bucket}
          empty={<EmptyState title="No bucket is remote" icon="bucket" />}
        />
      </Section>
      {shown.value !== undefined && (
        <Pending key={shown.value} bucket={shown.value} onClose={() => (shown.value = undefined)} />
      )}
    </>
  )
}

export function RemotesPage() {
  const live = useLive<Remotes>("/v1/remotes", EVERY_MS)
  if (isOff(live))
    return (
      <Page title="Remotes" live={live}>
        <SwitchedOff />
      </Page>
    )
  return (
    <Page title="Remotes" live={live}>
      <Loaded live={live}>
        {({ stores, cache, buckets }) => (
          <>
            <Section
              title="Remote stores"
              hint="Those that the operator's file names. Requests are those of the node that answers this page, since it has started."
            >
              <DataTable
                caption="Remote stores"
                columns={STORE_COLUMNS}
                rows={stores}
                rowKey={({ name }) => name}
                empty={<EmptyState title="The file names no store" icon="remote" />}
              />
            </Section>
            <Cache cache={cache} />
            <RemoteBuckets buckets={buckets} />
          </>
        )}
      </Loaded>
    </Page>
  )
}
