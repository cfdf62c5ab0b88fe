/** The versions of a key: which one is current, and how another one becomes it. */
import { useLiveValue } from "../api/live.js"
import { remove, restoreVersion, versionsOf, type ObjectName, type Row } from "../api/s3.js"
import { ActionButton } from "../parts/action-button.js"
import { sizeText } from "../parts/format.js"
import { Badge, Section } from "../parts/page.js"
import { Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { objectPath } from "./objects-place.js"

export function VersionState({ row: { isMarker, isLatest } }: { readonly row: Row }) {
  if (isMarker) return <Badge kind="warning">{isLatest ? "deleted" : "delete marker"}</Badge>
  return isLatest ? <Badge kind="good">current</Badge> : <Badge kind="neutral">older</Badge>
}

const versionColumns = (name: ObjectName, folder: string, onDone: () => void): readonly Column<Row>[] => [
  {
    key: "version",
    title: "Version",
    cell: ({ versionId, isMarker, key }) =>
      isMarker || versionId === undefined ? (
        <code class="object-key">{versionId ?? "–"}</code>
      ) : (
        <a class="object-key" href={objectPath({ ...name, key, versionId }, { folder })}>
          <code>{versionId}</code>
        </a>
      ),
  },
  { key: "state", narrow: "end", title: "State", cell: row => <VersionState row={row} /> },
  { key: "modified", narrow: "plain", title: "Modified", cell: ({ modifiedMs }) => <Ago timeMs={modifiedMs} /> },
  {
    key: "size",
    narrow: "plain",
    title: "Size",
    align: "end",
    cell: row => (row.isMarker ? "–" : sizeText(row.sizeBytes)),
  },
  {
    key: "actions",
    title: "Actions",
    cell: row => {
      const version = { ...name, versionId: row.versionId }
      const [text, work] = row.isMarker
        ? (["Remove delete marker", () => remove(version)] as const)
        : (["Restore", () => restoreVersion(version)] as const)
      if (!row.isMarker && row.isLatest) return "–"
      const act = async (): Promise<void> => {
        await work()
        onDone()
      }
      const label = `${text} ${row.versionId ?? ""}`
      return (
        <ActionButton
          label={label}
          work={act}
          done={row.isMarker ? "The delete marker is gone" : "The version is current"}
        >
          {text}
        </ActionButton>
      )
    },
  },
]

export function Versions(props: { readonly name: ObjectName; readonly folder: string; readonly onDone: () => void }) {
  const { name, folder, onDone } = props
  const live = useLiveValue(`versions ${JSON.stringify(name)}`, signal => versionsOf(name, signal))
  const refresh = () => {
    live.refresh()
    onDone()
  }
  return (
    <Section title="Versions">
      <Loaded live={live}>
        {({ versions, hasMore }) => (
          <>
            <DataTable
              caption={`Versions of ${name.key}`}
              columns={versionColumns(name, folder, refresh)}
              rows={versions}
              rowKey={({ versionId = "", isMarker }) => `${versionId} ${String(isMarker)}`}
            />
            {hasMore && <p class="hint">There are more; these are the newest.</p>}
          </>
        )}
      </Loaded>
    </Section>
  )
}
