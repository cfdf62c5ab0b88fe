/**
 * Live requests: those that the filters let through, as they end, until they are paused.
 *
 * Limits    the latest `SHOWN_MAX`; drawn at most every `DRAW_MS`, however many there are.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { ApiError, asApiError, jsonLines } from "../api/client.js"
import type { LiveRequest, TraceLine } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { CheckboxField, Form, SelectField, TextField } from "../parts/fields.js"
import { countText, latencyText } from "../parts/format.js"
import { Section } from "../parts/page.js"
import { EmptyState, ErrorState } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"

const SHOWN_MAX = 200
const DRAW_MS = 250

const STATUSES = [
  ["", "all"],
  ["2xx", "2xx, done"],
  ["4xx", "4xx, refused"],
  ["5xx", "5xx, failed"],
] as const

const placeOf = ({ bucket, key, path }: LiveRequest): string =>
  bucket === undefined ? path : key === undefined ? bucket : `${bucket}/${key}`

const COLUMNS: readonly Column<LiveRequest>[] = [
  { key: "at", narrow: "plain", title: "At", cell: ({ atMs }) => new Date(atMs).toISOString().slice(11, 23) },
  {
    key: "status",
    narrow: "end",
    title: "Status",
    cell: ({ status, code }) => (code === undefined ? status : `${status} ${code}`),
  },
  {
    key: "operation",
    narrow: "plain",
    title: "Operation",
    cell: ({ operation, method }) => (operation === "none" ? method : operation),
  },
  { key: "place", narrow: "name", title: "On", cell: placeOf },
  { key: "time", narrow: "plain", title: "Took", align: "end", cell: ({ totalMs }) => latencyText(totalMs) },
  { key: "who", title: "Key or account", cell: ({ accessKeyId, account }) => accessKeyId ?? account ?? "–" },
  { key: "address", narrow: "minor", title: "Address", cell: ({ remoteAddress }) => remoteAddress },
]

/** The column is absent on one machine. */
const NODE_COLUMN: Column<LiveRequest> = { key: "node", title: "Node", cell: ({ node }) => node }

interface Watched {
  readonly requests: readonly LiveRequest[]
  readonly dropped: number
}

interface Filter {
  readonly isAdminShown: boolean
  readonly bucket?: string
  readonly operation?: string
  readonly address?: string
  readonly status?: string
}

/** The port of this console and of scripts: most of what comes there is the console's own. */
const ADMIN = "admin"

/** Adds to what is shown until the signal fires. Throws `ApiError` when the stream ends otherwise. */
async function watch(
  { isAdminShown, ...filter }: Filter,
  show: (more: Watched) => void,
  signal: AbortSignal,
): Promise<void> {
  let waiting: LiveRequest[] = []
  let dropped = 0
  const draw = (): void => {
    if (waiting.length > 0 || dropped > 0) show({ requests: waiting, dropped })
    waiting = []
    dropped = 0
  }
  const timer = setInterval(draw, DRAW_MS)
  try {
    for await (const line of jsonLines<TraceLine>("/v1/trace", { signal, query: filter })) {
      if (line.type === "end") throw new ApiError(0, "ended", line.reason)
      if (line.type === "dropped") dropped += line.lines
      if (line.type === "request" && (isAdminShown || line.server !== ADMIN)) {
        waiting.unshift(line)
        dropped += waiting.splice(SHOWN_MAX).length
      }
    }
    throw new ApiError(0, "ended", "the server has ended the stream")
  } finally {
    clearInterval(timer)
  }
}

export function LiveRequests() {
  const [bucket, operation, address] = [useSignal(""), useSignal(""), useSignal("")]
  const status = useSignal<(typeof STATUSES)[number][0]>("")
  const isAdminShown = useSignal(false)
  /** The filter is undefined while the view is paused. */
  const filter = useSignal<Filter | undefined>({ isAdminShown: false })
  const shown = useSignal<Watched>({ requests: [], dropped: 0 })
  const error = useSignal<ApiError | undefined>(undefined)
  const start = (): void => {
    const given = { bucket: bucket.value, operation: operation.value, address: address.value, status: status.value }
    const set = Object.entries(given).map(([name, value]) => [name, value.trim()] as const)
    error.value = undefined
    const filled = Object.fromEntries(set.filter(([, value]) => value !== ""))
    filter.value = { ...filled, isAdminShown: isAdminShown.value }
  }
  useEffect(() => {
    const query = filter.value
    if (query === undefined) return undefined
    const controller = new AbortController()
    const show = ({ requests, dropped }: Watched): void => {
      const before = shown.value
      shown.value = {
        requests: [...requests, ...before.requests].slice(0, SHOWN_MAX),
        dropped: before.dropped + dropped,
      }
    }
    watch(query, show, controller.signal).catch((failure: unknown) => {
      if (controller.signal.aborted) return
      error.value = asApiError(failure)
      filter.value = undefined
    })
    return () => controller.abort()
  }, [filter.value])
  const isRunning = filter.value !== undefined
  const { requests, dropped } = shown.value
  return (
    <Section title="Live requests" hint="Requests as they end.">
      <Form label="Live requests" onSubmit={start}>
        <div class="fields">
          <TextField label="Bucket" value={bucket} />
          <TextField label="Operation" value={operation} placeholder="GetObject" />
          <TextField label="Client address" value={address} />
          <SelectField label="Status" value={status} options={STATUSES} />
        </div>
        <CheckboxField label="Also those of this console and the admin API" value={isAdminShown} />
        <div class="actions">
          <Button type="submit" kind="primary" icon="play">
            {isRunning ? "Apply the filters" : "Resume"}
          </Button>
          <Button icon="pause" isDisabled={!isRunning} onClick={() => (filter.value = undefined)}>
            Pause
          </Button>
          <Button onClick={() => (shown.value = { requests: [], dropped: 0 })}>Clear</Button>
        </div>
      </Form>
      <p role="status">
        {isRunning ? "Running." : "Paused."} {countText(requests.length)} shown
        {dropped > 0 ? `, ${countText(dropped)} left out because there were too many.` : "."}
      </p>
      {error.value && <ErrorState error={error.value} onRetry={start} />}
      <DataTable
        caption="Live requests"
        columns={requests.some(({ node }) => node !== undefined) ? [...COLUMNS, NODE_COLUMN] : COLUMNS}
        rows={requests}
        rowKey={({ requestId }) => requestId}
        empty={<EmptyState title={isRunning ? "No request has ended yet" : "Paused"} icon="traffic" />}
      />
    </Section>
  )
}
