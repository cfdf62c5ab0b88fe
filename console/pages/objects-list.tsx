/** The objects of a folder page by page, or those whose names contain a text, as one table with what can be done with them. */
import { signal, useSignal, type Signal } from "@preact/signals"
import { useMemo } from "preact/hooks"
import { asApiError } from "../api/client.js"
import { useLiveValue } from "../api/live.js"
import {
  list,
  searchNames,
  type Amount,
  type Found,
  type Listing,
  type ListRequest,
  type ObjectName,
} from "../api/s3.js"
import { Button } from "../parts/button.js"
import { countText, plural } from "../parts/format.js"
import { momentOf } from "../parts/moment.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import { mayUse } from "../shell/session.js"
import { ObjectDialog, type Keeping, type ObjectAction } from "./objects-actions.js"
import type { BulkScope } from "./objects-bulk.js"
import { lastPart, prefixOf, type Shown } from "./objects-place.js"
import { columnsOf, type RowActions } from "./objects-rows.js"
import { itemKey, itemName, SelectionBar, withSelected, type Item, type Selected } from "./objects-selection.js"
import { downloadZip } from "./objects-zip.js"

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
      <Button isDisabled={trail.length === 0} onClick={() => onTurn(trail.slice(0, -1))}>
        Previous page
      </Button>
      <Button isDisabled={next === undefined} onClick={() => onTurn([...trail, next])}>
        Next page
      </Button>
      <span>Page {countText(trail.length + 1)}; names are in order, other columns sort what the page has</span>
    </div>
  )
}

export interface ListProps {
  readonly shown: Shown
  readonly keeping: Keeping
  readonly revision: number
  /** Another one: nothing is selected any more. */
  readonly selection: number
  readonly onBulk: (scope: BulkScope) => void
  readonly onChanged: () => void
}

/** The ZIP file that is made now. */
function Archiving({ progress }: { readonly progress: Signal<Progress | undefined> }) {
  const { value } = progress
  if (value === undefined) return null
  return (
    <div class="notice info" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>
        Reading for the ZIP file: {countText(value.done)} of {plural(value.all, "object")}
      </p>
      <Button kind="quiet" onClick={() => value.controller.abort()}>
        Cancel
      </Button>
    </div>
  )
}

interface Progress {
  readonly done: number
  readonly all: number
  readonly controller: AbortController
}

function useZip({ bucket, folder }: Shown) {
  const progress = useSignal<Progress | undefined>(undefined)
  const zip = async (items: readonly Item[]): Promise<void> => {
    if (progress.value !== undefined) return toast("A ZIP file is being made: wait for it", "failed")
    const controller = new AbortController()
    const [only] = items
    const name = items.length === 1 && only?.kind === "folder" ? lastPart(only.prefix) : lastPart(folder) || bucket
    progress.value = { done: 0, all: 0, controller }
    try {
      await downloadZip(
        { bucket, folder, items, name },
        (done, all) => (progress.value = { done, all, controller }),
        controller.signal,
      )
    } catch (error) {
      if (!controller.signal.aborted) toast(asApiError(error).message, "failed")
    }
    progress.value = undefined
  }
  return { progress, zip }
}

/** The selection lasts while pages are turned. */
const useSelection = ({ shown, selection }: ListProps): Signal<Selected> =>
  useMemo(() => signal<Selected>(new Map()), [JSON.stringify([shown, selection])])

/** The rows, and what may be done with one or with those that are selected. */
function Items(props: {
  readonly items: readonly Item[]
  readonly list: ListProps
  readonly selected: Signal<Selected>
}) {
  const { items, selected } = props
  const { shown, keeping, onBulk, onChanged } = props.list
  const { bucket, folder, search, hasVersions } = shown
  const dialog = useSignal<{ readonly kind: ObjectAction; readonly name: ObjectName } | undefined>(undefined)
  const amounts = useSignal<ReadonlyMap<string, Amount | undefined>>(new Map())
  const { progress, zip } = useZip(shown)
  const isPresent = shown.at === ""
  // Former objects cannot be changed.
  const maySelect = isPresent && items.length > 0
  const mayStart = mayUse("startJob")
  const bulkOf = (of: Selected, kind: BulkScope["kind"], title?: string) =>
    onBulk({
      bucket,
      prefix: prefixOf(shown),
      selected: of,
      hasVersions,
      kind,
      ...(title === undefined ? {} : { title }),
    })
  const actions: RowActions = {
    open: (kind, name) => (dialog.value = { kind, name }),
    zip: of => void zip(of),
    bulk: mayStart ? (kind, item, title) => bulkOf(new Map([[itemKey(item), item]]), kind, title) : undefined,
    amounts,
  }
  const empty = search === "" ? "There is nothing here yet" : "No name fits"
  return (
    <>
      {maySelect && (
        <SelectionBar
          selected={selected}
          hasVersions={hasVersions}
          onDelete={
            mayStart ? () => bulkOf(selected.value, hasVersions ? "delete-versions" : "delete-objects") : undefined
          }
          onOther={mayStart ? () => bulkOf(selected.value, hasVersions ? "restore-objects" : "tag-objects") : undefined}
          onZip={hasVersions ? undefined : () => void zip([...selected.value.values()])}
        />
      )}
      <Archiving progress={progress} />
      <DataTable
        caption={`Objects in ${bucket}/${folder}`}
        columns={columnsOf(shown, actions, items)}
        rows={items}
        rowKey={itemKey}
        selection={
          maySelect
            ? {
                selected: selected.value,
                nameOf: itemName,
                allLabel: "Select this page",
                onSelect: (rows, isSelected) => (selected.value = withSelected(selected.value, rows, isSelected)),
              }
            : undefined
        }
        empty={
          <EmptyState title={empty} icon="folder">
            {search === "" && isPresent && <p>Drop files or folders here, or choose them by Upload.</p>}
          </EmptyState>
        }
      />
      {dialog.value && (
        <ObjectDialog
          {...dialog.value}
          keeping={keeping}
          onClose={() => (dialog.value = undefined)}
          onDone={onChanged}
        />
      )}
    </>
  )
}

/** Keys by one request for each page; where the pages before began is kept, and what was selected on them. */
export function Keys(props: ListProps) {
  const { shown, revision } = props
  const { bucket, folder, search, isFlat, hasVersions } = shown
  const selected = useSelection(props)
  const where = JSON.stringify([shown, revision])
  const trail = useMemo<{ pages: readonly ListRequest["from"][] }>(() => ({ pages: [] }), [where])
  const turns = useSignal(0)
  const from = trail.pages.at(-1)
  const listed = { bucket, prefix: folder + search, isByFolder: !isFlat, hasVersions, at: momentOf(shown.at), from }
  const live = useLiveValue(`${where} ${JSON.stringify(from)} ${turns.value}`, signal => list(listed, signal))
  const onTurn = (pages: readonly ListRequest["from"][]) => {
    trail.pages = pages
    turns.value += 1
  }
  return (
    <Loaded live={live}>
      {listing => (
        <>
          <Items
            {...{ selected }}
            list={props}
            items={[
              ...listing.folders.map(prefix => ({ kind: "folder", prefix }) as const),
              ...listing.rows.map(row => ({ kind: "row", row }) as const),
            ]}
          />
          <Pages listing={listing} trail={trail.pages} onTurn={onTurn} />
        </>
      )}
    </Loaded>
  )
}

/** Objects below a folder whose names contain a text: as many as one search reads, and more on request. */
export function FoundKeys(props: ListProps) {
  const { shown, revision } = props
  const { bucket, folder, search } = shown
  const selected = useSelection(props)
  const where = JSON.stringify([shown, revision])
  const before = useMemo<{ found: Found }>(() => ({ found: { rows: [], searched: 0, next: undefined } }), [where])
  const turns = useSignal(0)
  const live = useLiveValue(`${where} ${turns.value}`, async (signal): Promise<Found> => {
    const known = before.found
    const more = await searchNames({ bucket, prefix: folder, text: search, from: known.next }, signal)
    return { rows: [...known.rows, ...more.rows], searched: known.searched + more.searched, next: more.next }
  })
  const goOn = (found: Found) => {
    before.found = found
    turns.value += 1
  }
  return (
    <Loaded live={live} what="Searching">
      {found => (
        <>
          <div class="search-told" role="status">
            <p>
              Searched {plural(found.searched, "name")}: {countText(found.rows.length)}{" "}
              {found.rows.length === 1 ? "contains" : "contain"} <strong>{search}</strong>
              {found.next !== undefined && "; there are more names"}.
            </p>
            {found.next !== undefined && <Button onClick={() => goOn(found)}>Search on</Button>}
          </div>
          <Items {...{ selected }} list={props} items={found.rows.map(row => ({ kind: "row", row }) as const)} />
        </>
      )}
    </Loaded>
  )
}
