/** Hot copies: the objects that are read most, of which a node keeps copies in memory. Nothing if they are switched off. */
import { useLive } from "../api/live.js"
import type { HotCopies } from "../api/shapes.js"
import { countText, sizeText } from "../parts/format.js"
import { Facts, Section } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"

const EVERY_MS = 10_000

type Hot = HotCopies["hottest"][number]

const nameOf = ({ bucket, key, uploadId, part }: Hot): string =>
  (bucket === undefined || key === undefined ? `upload ${uploadId}` : `${bucket}/${key}`) +
  (part === 0 ? "" : ` (part ${part})`)

const COLUMNS: readonly Column<Hot>[] = [
  { key: "name", title: "Object", cell: nameOf, sortBy: nameOf },
  ...(
    [
      [
        "rate",
        "Reads a minute",
        ({ readsPerMinute }) => countText(Math.round(readsPerMinute)),
        hot => hot.readsPerMinute,
      ],
      ["hits", "Reads from copies", ({ hits }) => countText(hits), ({ hits }) => hits],
      ["bytes", "Size of copies", ({ bytes }) => sizeText(bytes), ({ bytes }) => bytes],
    ] satisfies readonly (readonly [string, string, (row: Hot) => string, (row: Hot) => number])[]
  ).map(([key, title, cell, sortBy]) => ({ key, title, cell, sortBy, align: "end" as const })),
]

function Copies({ usedBytes, budgetBytes, hits, misses, evicted, cooled, hottest }: HotCopies) {
  const reads = hits + misses
  return (
    <Section title="Hot objects" hint="Of this node, which keeps copies of what is read most in memory.">
      <Facts
        facts={[
          ["Memory", `${sizeText(usedBytes)} of ${sizeText(budgetBytes)}`],
          ["Reads from copies", reads === 0 ? "–" : `${Math.floor((100 * hits) / reads)} %`],
          ["Dropped because cold", countText(cooled)],
          ["Dropped for hotter ones", countText(evicted)],
        ]}
      />
      <DataTable
        {...{ caption: "Hot objects", columns: COLUMNS, rows: hottest, sort: { key: "rate", isDown: true } }}
        empty={<EmptyState title="Nothing is read often enough" icon="traffic" />}
        rowKey={({ uploadId, part }) => `${uploadId} ${part}`}
      />
    </Section>
  )
}

export function HotObjects() {
  const copies = useLive<HotCopies>("/v1/hot-copies?max=20", EVERY_MS)
  return <Loaded live={copies}>{value => value.isOn && <Copies {...value} />}</Loaded>
}
