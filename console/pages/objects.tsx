/**
 * Objects: the buckets, the keys of a bucket by folder, prefix or version, and one object. Whatever a bucket has, the page
 * has one page of its listing.
 */
import { signal, useSignal } from "@preact/signals"
import { useMemo } from "preact/hooks"
import { api } from "../api/client.js"
import { useLiveValue } from "../api/live.js"
import { list, s3Path, type Listing, type ListRequest } from "../api/s3.js"
import type { Buckets } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { CheckboxField, Form, TextField } from "../parts/fields.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { Icon } from "../parts/icon.js"
import { momentOf } from "../parts/moment.js"
import { Page, Section, type PageProps } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { pathTo, place, setQuery } from "../shell/router.js"
import { mayUse, session } from "../shell/session.js"
import { BulkDialog, BulkJob, type BulkScope } from "./objects-bulk.js"
import { ObjectPage } from "./objects-detail.js"
import { itemKey, itemName, SelectionBar, withSelected, type Item, type Selected } from "./objects-selection.js"
import { VersionState } from "./objects-versions.js"
import { FolderDialog, Uploads, UploadTarget } from "./objects-upload.js"

interface BucketRow {
  readonly name: string
  readonly objects: number
  readonly bytes: number
}

/** The first thousand: a key holder sees its own account's buckets, everybody else those of the store. */
async function bucketsOf(
  signal: AbortSignal,
): Promise<{ readonly rows: readonly BucketRow[]; readonly hasMore: boolean }> {
  const state = session.value
  const who = state.kind === "signedIn" ? state.session.who : undefined
  const owner = who?.kind === "principal" ? who.accountId : undefined
  const { buckets, next } = await api.get<Buckets>("/v1/buckets", { signal, query: { max: 1_000, owner } })
  const rows = buckets.map(({ name, usage: { objects, bytes } }) => ({ name, objects, bytes }))
  return { rows, hasMore: next !== undefined }
}

const BUCKET_COLUMNS: readonly Column<BucketRow>[] = [
  {
    key: "name",
    title: "Bucket",
    cell: ({ name }) => <a href={pathTo(["objects", name])}>{name}</a>,
    sortBy: ({ name }) => name,
  },
  {
    key: "objects",
    title: "Objects",
    align: "end",
    cell: ({ objects }) => countText(objects),
    sortBy: ({ objects }) => objects,
  },
  {
    key: "bytes",
    title: "Size",
    align: "end",
    cell: ({ bytes }) => sizeText(bytes),
    sortBy: ({ bytes }) => bytes,
  },
]

function BucketList() {
  const live = useLiveValue("buckets", bucketsOf)
  return (
    <Page title="Objects" live={live}>
      <Loaded live={live}>
        {({ rows, hasMore }) => (
          <Section title="Buckets" hint={hasMore ? "The first 1,000; open another one by its address." : undefined}>
            <DataTable
              caption="Buckets"
              columns={BUCKET_COLUMNS}
              rows={rows}
              rowKey={({ name }) => name}
              empty={<EmptyState title="There is no bucket yet" icon="bucket" />}
            />
          </Section>
        )}
      </Loaded>
      <Uploads />
    </Page>
  )
}

/** The content of the page's address. */
interface Shown {
  readonly bucket: string
  readonly folder: string
  readonly search: string
  readonly isFlat: boolean
  readonly hasVersions: boolean
  /** A local time; "": now. */
  readonly at: string
}

function shownOf(bucket: string): Shown {
  const { query } = place.value
  const at = query.get("at") ?? ""
  const [isFlat, hasVersions] = [query.get("flat") !== null, query.get("versions") !== null && at === ""]
  return { bucket, folder: query.get("folder") ?? "", search: query.get("search") ?? "", isFlat, hasVersions, at }
}

const queryOf = ({ isFlat, hasVersions, at }: Shown) => ({
  ...(at === "" ? {} : { at }),
  ...(isFlat ? { flat: "yes" } : {}),
  ...(hasVersions ? { versions: "yes" } : {}),
})

/** The folders above one, the outermost first, as whole prefixes. */
const foldersAbove = (folder: string): readonly string[] => {
  const parts = folder.split("/").slice(0, -1)
  return parts.map((_, at) => `${parts.slice(0, at + 1).join("/")}/`)
}

const lastPart = (folder: string): string => folder.split("/").at(-2) ?? folder

function Trail({ shown }: { readonly shown: Shown }) {
  const { bucket, folder } = shown
  const above = foldersAbove(folder)
  return (
    <nav class="trail" aria-label="Folders">
      <a href={pathTo(["objects", bucket], queryOf(shown))}>{bucket}</a>
      {above.map(prefix => (
        <a key={prefix} href={pathTo(["objects", bucket], { ...queryOf(shown), folder: prefix })}>
          {lastPart(prefix)}/
        </a>
      ))}
    </nav>
  )
}

function NameCell({ item, shown }: { readonly item: Item; readonly shown: Shown }) {
  const { bucket, folder, isFlat } = shown
  if (item.kind === "folder") {
    const to = pathTo(["objects", bucket], { ...queryOf(shown), folder: item.prefix })
    return (
      <a class="object-key" href={to}>
        <Icon name="objects" /> {lastPart(item.prefix)}/
      </a>
    )
  }
  const { key, isAddressable, versionId } = item.row
  const name = isFlat ? key : key.slice(folder.length) || "(the folder itself)"
  if (!isAddressable) return <span class="object-key">{name} (use an S3 client: browsers cannot address this key)</span>
  if (shown.at !== "") {
    return (
      <a
        class="object-key"
        href={s3Path({ bucket, key }, { readTimestamp: momentOf(shown.at) })}
        download={key.split("/").at(-1)}
      >
        {name}
      </a>
    )
  }
  const version = shown.hasVersions ? versionId : undefined
  return (
    <a class="object-key" href={pathTo(["objects", bucket], { ...queryOf(shown), folder, key, version })}>
      {name}
    </a>
  )
}

const columnsOf = (shown: Shown): readonly Column<Item>[] => [
  { key: "name", title: "Name", cell: item => <NameCell item={item} shown={shown} /> },
  ...(shown.hasVersions ? VERSION_COLUMNS : []),
  {
    key: "size",
    title: "Size",
    align: "end",
    cell: item => (item.kind === "row" && !item.row.isMarker ? sizeText(item.row.sizeBytes) : "–"),
  },
  { key: "modified", title: "Modified", cell: item => (item.kind === "row" ? timeText(item.row.modifiedMs) : "–") },
  { key: "class", title: "Class", cell: item => (item.kind === "row" ? item.row.storageClass || "–" : "–") },
]

const VERSION_COLUMNS: readonly Column<Item>[] = [
  { key: "state", title: "State", cell: item => (item.kind === "row" ? <VersionState row={item.row} /> : "–") },
  {
    key: "version",
    title: "Version",
    cell: item => (item.kind === "row" ? <code>{item.row.versionId ?? "–"}</code> : "–"),
  },
]

function Search({ shown }: { readonly shown: Shown }) {
  const search = useSignal(shown.search)
  const [isFlat, hasVersions, at] = [useSignal(shown.isFlat), useSignal(shown.hasVersions), useSignal(shown.at)]
  const apply = () =>
    setQuery({
      search: search.value || undefined,
      flat: isFlat.value ? "yes" : undefined,
      versions: hasVersions.value ? "yes" : undefined,
      at: at.value || undefined,
    })
  return (
    <Form label="Search" onSubmit={apply}>
      <div class="object-search">
        <TextField label="Names that begin with" type="search" value={search} isCode />
        <CheckboxField label="All levels, without folders" value={isFlat} />
        <CheckboxField label="Versions and deleted objects" value={hasVersions} />
        <TextField label="As it was at" type="datetime-local" step={1} value={at} hint="Empty: now" />
        <Button type="submit">Search</Button>
      </div>
    </Form>
  )
}

function Pages(props: {
  readonly listing: Listing
  readonly trail: readonly ListRequest["from"][]
  readonly onTurn: (trail: readonly ListRequest["from"][]) => void
}) {
  const { listing, trail, onTurn } = props
  const { next } = listing
  if (next === undefined && trail.length === 0) return null
  return (
    <div class="more">
      <span>Page {countText(trail.length + 1)}</span>
      <Button isDisabled={trail.length === 0} onClick={() => onTurn(trail.slice(0, -1))}>
        Previous page
      </Button>
      <Button isDisabled={next === undefined} onClick={() => onTurn([...trail, next])}>
        Next page
      </Button>
    </div>
  )
}

/** Keys by one request for each page; where the pages before began is kept, and what was selected on them. */
function Keys(props: {
  readonly shown: Shown
  readonly revision: number
  /** Another one: nothing is selected any more. */
  readonly selection: number
  readonly onBulk: (scope: BulkScope) => void
}) {
  const { shown, revision, selection, onBulk } = props
  const { bucket, folder, search, isFlat, hasVersions } = shown
  const at = momentOf(shown.at)
  // Former objects cannot be changed.
  const maySelect = mayUse("startJob") && at === undefined
  const selected = useMemo(() => signal<Selected>(new Map()), [JSON.stringify([shown, selection])])
  const where = JSON.stringify([shown, revision])
  const trail = useMemo<{ pages: readonly ListRequest["from"][] }>(() => ({ pages: [] }), [where])
  const turns = useSignal(0)
  const from = trail.pages.at(-1)
  const listed = { bucket, prefix: folder + search, isByFolder: !isFlat, hasVersions, at, from }
  const live = useLiveValue(`${where} ${JSON.stringify(from)} ${turns.value}`, signal => list(listed, signal))
  const onTurn = (pages: readonly ListRequest["from"][]) => {
    trail.pages = pages
    turns.value += 1
  }
  return (
    <Loaded live={live}>
      {listing => {
        const items: readonly Item[] = [
          ...listing.folders.map(prefix => ({ kind: "folder", prefix }) as const),
          ...listing.rows.map(row => ({ kind: "row", row }) as const),
        ]
        const onSelect = (rows: readonly Item[], isSelected: boolean) =>
          (selected.value = withSelected(selected.value, rows, isSelected))
        const act = (kind: BulkScope["kind"]) =>
          onBulk({ bucket, prefix: folder + search, selected: selected.value, hasVersions, kind })
        const empty = search === "" ? "There is nothing here yet" : "No name begins like this"
        return (
          <>
            {maySelect && items.length > 0 && (
              <SelectionBar
                items={items}
                selected={selected}
                hasVersions={hasVersions}
                onDelete={() => act(hasVersions ? "delete-versions" : "delete-objects")}
                onOther={() => act(hasVersions ? "restore-objects" : "tag-objects")}
              />
            )}
            <DataTable
              caption={`Objects in ${bucket}/${folder}`}
              columns={columnsOf(shown)}
              rows={items}
              rowKey={itemKey}
              selection={maySelect ? { selected: selected.value, nameOf: itemName, onSelect } : undefined}
              empty={<EmptyState title={empty} icon="objects" />}
            />
            <Pages listing={listing} trail={trail.pages} onTurn={onTurn} />
          </>
        )
      }}
    </Loaded>
  )
}

function BucketPage({ bucket }: { readonly bucket: string }) {
  const shown = shownOf(bucket)
  const { folder, search } = shown
  const dialog = useSignal<"folder" | BulkScope | undefined>(undefined)
  const [job, started] = [useSignal<string | undefined>(undefined), useSignal(0)]
  const revision = useSignal(0)
  const close = () => (dialog.value = undefined)
  const refresh = () => (revision.value += 1)
  const onStarted = (id: string) => {
    job.value = id
    started.value += 1
  }
  const byPrefix: BulkScope = { bucket, prefix: folder + search, hasVersions: false, kind: "delete-objects" }
  return (
    <Page
      title={bucket}
      trail={[{ title: "Objects", to: pathTo(["objects"]) }]}
      actions={
        <>
          <Button icon="refresh" onClick={refresh}>
            Refresh
          </Button>
          <Button onClick={() => (dialog.value = "folder")}>Create folder</Button>
          {mayUse("startJob") && <Button onClick={() => (dialog.value = byPrefix)}>Bulk action</Button>}
        </>
      }
    >
      <Uploads onDone={refresh} />
      <BulkJob job={job} onEnd={refresh} />
      <UploadTarget bucket={bucket} folder={folder}>
        <Section title={folder === "" ? "All objects" : folder}>
          <Trail shown={shown} />
          <Search key={`${folder} ${search}`} shown={shown} />
          <Keys
            shown={shown}
            revision={revision.value}
            selection={started.value}
            onBulk={scope => (dialog.value = scope)}
          />
        </Section>
      </UploadTarget>
      {dialog.value === "folder" && <FolderDialog bucket={bucket} folder={folder} onClose={close} onDone={refresh} />}
      {typeof dialog.value === "object" && <BulkDialog scope={dialog.value} onClose={close} onStarted={onStarted} />}
    </Page>
  )
}

export function ObjectsPage({ segments: [bucket] }: PageProps) {
  const { query } = place.value
  const key = query.get("key")
  if (bucket === undefined) return <BucketList />
  if (key === null) return <BucketPage bucket={bucket} />
  const versionId = query.get("version") ?? undefined
  const name = { bucket, key, versionId }
  return <ObjectPage key={JSON.stringify(name)} name={name} folder={query.get("folder") ?? ""} />
}
