/** Rows of a listing: names with the icons of their types, sizes of folders that are counted on request, and menus. */
import type { Signal } from "@preact/signals"
import { asApiError } from "../api/client.js"
import { amountBelow, s3Path, type Amount, type ObjectName } from "../api/s3.js"
import { countText, plural, sizeText } from "../parts/format.js"
import { Icon, type IconName } from "../parts/icon.js"
import { Menu, type MenuItem } from "../parts/menu.js"
import { momentOf } from "../parts/moment.js"
import { NameText } from "../parts/name-text.js"
import type { Column } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { go } from "../shell/router.js"
import type { ObjectAction } from "./objects-actions.js"
import { fileName, filterOf, folderPath, lastPart, objectPath, type Shown } from "./objects-place.js"
import { previewKindOf } from "./objects-preview.js"
import type { Item } from "./objects-selection.js"
import { VersionState } from "./objects-versions.js"

const KIND_ICONS = { image: "picture", video: "film", audio: "sound", pdf: "file", text: "file" } as const
const ARCHIVE = /\.(?:zip|tar|t?gz|bz2|xz|zst|7z|rar|jar|iso)$/i
const CODE = /\.(?:json|ndjson|ya?ml|toml|xml|html?|css|[cm]?[jt]sx?|py|go|rs|java|c|h|sh|sql)$/i

function iconOf(key: string): IconName {
  if (ARCHIVE.test(key)) return "archive"
  if (CODE.test(key)) return "code"
  const kind = previewKindOf(key, "")
  return kind === undefined ? "file" : KIND_ICONS[kind]
}

/** The actions that the menus of rows have. */
export interface RowActions {
  readonly open: (kind: ObjectAction, name: ObjectName) => void
  readonly zip: (items: readonly Item[]) => void
  /** Starts a job; undefined for those who may not. */
  readonly bulk: ((kind: "copy-objects" | "delete-objects", item: Item, title: string) => void) | undefined
  /** Amounts of folders, by their prefixes; undefined while one is counted. */
  readonly amounts: Signal<ReadonlyMap<string, Amount | undefined>>
}

function NameCell({ item, shown }: { readonly item: Item; readonly shown: Shown }) {
  if (item.kind === "folder") {
    return (
      <a class="object-key named" href={folderPath(shown, item.prefix)}>
        <Icon name="folder" />
        <span>
          <NameText name={`${lastPart(item.prefix)}/`} />
        </span>
      </a>
    )
  }
  const { bucket, folder } = shown
  const { key, isAddressable, versionId } = item.row
  const text = shown.isFlat ? key : key.slice(folder.length) || "(the folder itself)"
  const name = (
    <>
      <Icon name={iconOf(key)} />
      <span>
        <NameText name={text} />
      </span>
    </>
  )
  if (!isAddressable) {
    return <span class="object-key named">{name} (use an S3 client: browsers cannot address this key)</span>
  }
  if (shown.at !== "") {
    const former = s3Path({ bucket, key }, { readTimestamp: momentOf(shown.at) })
    return (
      <a class="object-key named" href={former} download={fileName(key)}>
        {name}
      </a>
    )
  }
  const version = shown.hasVersions ? versionId : undefined
  return (
    <a class="object-key named" href={objectPath({ bucket, key, versionId: version }, { ...filterOf(shown), folder })}>
      {name}
    </a>
  )
}

async function countFolder({ amounts }: RowActions, bucket: string, prefix: string): Promise<void> {
  const put = (amount: Amount | undefined) => (amounts.value = new Map([...amounts.value, [prefix, amount]]))
  put(undefined)
  try {
    put(await amountBelow(bucket, prefix))
  } catch (error) {
    amounts.value = new Map([...amounts.value].filter(([known]) => known !== prefix))
    toast(asApiError(error).message, "failed")
  }
}

/** `12 objects, 3.4 MiB`; of more than was counted, the least. */
export const amountText = ({ objects, bytes, isAll }: Amount): string =>
  isAll ? `${plural(objects, "object")}, ${sizeText(bytes)}` : `over ${countText(objects)} objects, ${sizeText(bytes)}`

function SizeCell({ item, actions }: { readonly item: Item; readonly actions: RowActions }) {
  if (item.kind === "row") return <>{item.row.isMarker ? "–" : sizeText(item.row.sizeBytes)}</>
  const { value } = actions.amounts
  if (!value.has(item.prefix)) return null
  const amount = value.get(item.prefix)
  return <>{amount === undefined ? "counting…" : amountText(amount)}</>
}

const folderItems = (item: Item & { kind: "folder" }, shown: Shown, actions: RowActions): readonly MenuItem[] => {
  const { bulk } = actions
  const change =
    bulk === undefined
      ? []
      : [
          { title: "Copy", onSelect: () => bulk("copy-objects", item, "Copy the folder") },
          { title: "Delete", isDanger: true, onSelect: () => bulk("delete-objects", item, "Delete the folder") },
        ]
  return [
    { title: "Open", onSelect: () => go(folderPath(shown, item.prefix)) },
    { title: "Count its size", onSelect: () => void countFolder(actions, shown.bucket, item.prefix) },
    { title: "Download as ZIP", onSelect: () => actions.zip([item]) },
    ...change,
  ]
}

function rowItems({ row }: Item & { kind: "row" }, shown: Shown, actions: RowActions): readonly MenuItem[] {
  const { bucket } = shown
  const { key, isMarker } = row
  const versionId = shown.hasVersions ? row.versionId : undefined
  const name = { bucket, key, versionId }
  const act = (title: string, kind: ObjectAction, isDanger = false): MenuItem => ({
    title,
    isDanger,
    onSelect: () => actions.open(kind, name),
  })
  const download = { title: "Download", to: s3Path({ bucket, key }, { versionId }), download: fileName(key) }
  const open = { title: "Versions", to: objectPath(name, { folder: shown.folder }) }
  if (isMarker) return [open, act("Delete", "delete", true)]
  const share = act("Share link", "share")
  if (versionId !== undefined) return [download, share, act("Copy", "copy"), open, act("Delete", "delete", true)]
  return [
    download,
    share,
    act("Rename", "rename"),
    act("Copy", "copy"),
    act("Move", "move"),
    act("Metadata", "metadata"),
    act("Tags", "tags"),
    open,
    act("Delete", "delete", true),
  ]
}

function RowMenu(props: { readonly item: Item; readonly shown: Shown; readonly actions: RowActions }) {
  const { item, shown, actions } = props
  if (shown.at !== "" || (item.kind === "row" && !item.row.isAddressable)) return null
  const items = item.kind === "folder" ? folderItems(item, shown, actions) : rowItems(item, shown, actions)
  const label =
    item.kind === "folder" ? item.prefix : `${item.row.key} ${shown.hasVersions ? (item.row.versionId ?? "") : ""}`
  return <Menu label={`Actions for ${label.trim()}`} items={items} />
}

const VERSION_COLUMNS: readonly Column<Item>[] = [
  { key: "state", title: "State", cell: item => (item.kind === "row" ? <VersionState row={item.row} /> : "–") },
  {
    key: "version",
    title: "Version",
    cell: item => (item.kind === "row" ? <code>{item.row.versionId ?? "–"}</code> : "–"),
  },
]

const keyOf = (item: Item): string => (item.kind === "folder" ? item.prefix : item.row.key)
const CLASS_UNTOLD = "STANDARD"

/** Folders stay above objects where they are compared by what they do not have. */
export function columnsOf(shown: Shown, actions: RowActions, items: readonly Item[]): readonly Column<Item>[] {
  const hasClasses = items.some(item => item.kind === "row" && isTold(item.row.storageClass))
  return [
    { key: "name", title: "Name", cell: item => <NameCell item={item} shown={shown} />, sortBy: keyOf },
    ...(shown.hasVersions ? VERSION_COLUMNS : []),
    {
      key: "size",
      narrow: "plain",
      title: "Size",
      align: "end",
      cell: item => <SizeCell item={item} actions={actions} />,
      sortBy: item =>
        item.kind === "row" ? item.row.sizeBytes || 0 : (actions.amounts.value.get(item.prefix)?.bytes ?? -1),
    },
    {
      key: "modified",
      narrow: "plain",
      title: "Modified",
      cell: item => (item.kind === "row" ? <Ago timeMs={item.row.modifiedMs} /> : null),
      sortBy: item => (item.kind === "row" ? item.row.modifiedMs : 0),
    },
    ...(hasClasses
      ? [
          {
            key: "class",
            title: "Class",
            cell: (item: Item) => (item.kind === "row" ? item.row.storageClass || "–" : null),
          },
        ]
      : []),
    {
      key: "menu",
      title: "",
      align: "end",
      cell: item => <RowMenu item={item} shown={shown} actions={actions} />,
    },
  ]
}

const isTold = (storageClass: string): boolean => storageClass !== "" && storageClass !== CLASS_UNTOLD
