/** The latest events of all nodes. */
import { useSignal } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { Events, StoreEvent } from "../api/shapes.js"
import { SelectField } from "../parts/fields.js"
import { countText, timeText } from "../parts/format.js"
import { Section } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"

const EVERY_MS = 10_000
const SHOWN_MAX = 50

const LEVELS = [
  ["info", "all"],
  ["warn", "warnings and errors"],
  ["error", "errors"],
] as const

const fieldsText = ({ fields }: StoreEvent): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ")

const COLUMNS: readonly Column<StoreEvent>[] = [
  { key: "at", narrow: "plain", title: "At", cell: ({ atMs }) => timeText(atMs), sortBy: ({ atMs }) => atMs },
  { key: "level", narrow: "end", title: "Level", cell: ({ level }) => level },
  {
    key: "code",
    narrow: "name",
    title: "Code",
    cell: ({ code }) => <span class="whole">{code}</span>,
    sortBy: ({ code }) => code,
  },
  { key: "count", title: "Times", align: "end", cell: ({ count }) => countText(count), sortBy: ({ count }) => count },
  { key: "fields", narrow: "plain", title: "Details", cell: fieldsText },
]

const NODE: Column<StoreEvent> = { key: "node", title: "Node", cell: ({ node }) => node ?? "–" }

export function RecentEvents() {
  const level = useSignal<"info" | "warn" | "error">("info")
  const live = useLive<Events>(`/v1/events?max=${SHOWN_MAX}&level=${level.value}`, EVERY_MS)
  const empty = <EmptyState title="No events" icon="traffic" />
  return (
    <Section
      title="Recent events"
      hint="Of all nodes, kept for 30 days. hayloft explain CODE says what one means and what to do."
    >
      <SelectField label="Events" value={level} options={LEVELS} />
      <Loaded live={live}>
        {({ events, incomplete }) => (
          <>
            {incomplete !== undefined && <p>Only events that this node has not stored yet: {incomplete}</p>}
            <DataTable
              {...{
                caption: "Recent events",
                columns: events.some(({ node }) => node !== undefined) ? [...COLUMNS, NODE] : COLUMNS,
                rows: events,
                empty,
              }}
              sort={{ key: "at", isDown: true }}
              rowKey={({ id }) => id}
            />
          </>
        )}
      </Loaded>
    </Section>
  )
}
