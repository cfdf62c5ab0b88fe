/**
 * The objects of a bucket by folder, search or version, and one object. Whatever a bucket has, the page has one page of its
 * listing.
 */
import { useSignal } from "@preact/signals"
import { useEffect, useId } from "preact/hooks"
import type { Bucket } from "../api/shapes.js"
import { IconButton } from "../parts/button.js"
import { CheckboxField, TextField } from "../parts/fields.js"
import { FilterButton } from "../parts/filter-button.js"
import { Icon } from "../parts/icon.js"
import { Menu } from "../parts/menu.js"
import { NameText } from "../parts/name-text.js"
import { place, setQuery } from "../shell/router.js"
import { mayUse } from "../shell/session.js"
import type { Keeping } from "./objects-actions.js"
import { BulkDialog, BulkJob, type BulkScope } from "./objects-bulk.js"
import { ObjectPage } from "./objects-detail.js"
import { FoundKeys, Keys } from "./objects-list.js"
import { folderPath, foldersAbove, isSearchWithin, lastPart, prefixOf, shownOf, type Shown } from "./objects-place.js"
import { ReplaceDialog } from "./objects-replace.js"
import { DropTarget, FolderDialog, UploadMenu, Uploads } from "./objects-upload.js"

/** The folders down to the one that is shown. */
function Path({ shown }: { readonly shown: Shown }) {
  const { bucket, folder } = shown
  const above = foldersAbove(folder)
  return (
    <nav class="path" aria-label="Folders">
      <a href={folderPath(shown, "")} aria-current={folder === "" ? "page" : undefined}>
        {bucket}
      </a>
      {above.map(prefix => (
        <a key={prefix} href={folderPath(shown, prefix)} aria-current={prefix === folder ? "page" : undefined}>
          <NameText name={lastPart(prefix)} />
        </a>
      ))}
    </nav>
  )
}

function Search({ shown }: { readonly shown: Shown }) {
  const text = useSignal(shown.search)
  const id = useId()
  const apply = () => setQuery({ search: text.value || undefined })
  return (
    <form
      class="search-box"
      role="search"
      onSubmit={event => {
        event.preventDefault()
        apply()
      }}
    >
      <label class="sr-only" for={id}>
        Search names
      </label>
      <Icon name="search" />
      <input
        id={id}
        type="search"
        placeholder={shown.folder === "" ? "Search names" : `Search in ${lastPart(shown.folder)}`}
        value={text.value}
        spellcheck={false}
        autocomplete="off"
        onInput={event => {
          text.value = event.currentTarget.value
          if (text.value === "" && shown.search !== "") apply()
        }}
      />
    </form>
  )
}

const FILTERS = ["begins", "flat", "versions", "at"] as const

/** Applies each choice at once. */
function FilterPanel({ id, shown }: { readonly id: string; readonly shown: Shown }) {
  const [isPrefix, isFlat] = [useSignal(shown.isPrefix), useSignal(shown.isFlat)]
  const [hasVersions, at] = [useSignal(shown.hasVersions), useSignal(shown.at)]
  const yes = (value: boolean) => (value ? "yes" : undefined)
  const [begins, flat, versions, moment] = [isPrefix.value, isFlat.value, hasVersions.value, at.value]
  useEffect(() => {
    const next = { begins: yes(begins), flat: yes(flat), versions: yes(versions), at: moment || undefined }
    const { query } = place.value
    if (FILTERS.some(name => (query.get(name) ?? undefined) !== next[name])) setQuery(next)
  }, [begins, flat, versions, moment])
  return (
    <div id={id} class="filter-panel" role="group" aria-label="Filter">
      <CheckboxField label="Search only the beginnings of names" value={isPrefix} />
      <CheckboxField label="All levels, without folders" value={isFlat} />
      <CheckboxField label="Versions and deleted objects" value={hasVersions} isDisabled={moment !== ""} />
      <TextField label="As it was at" type="datetime-local" step={1} value={at} hint="Empty: now" />
    </div>
  )
}

function Toolbar(props: {
  readonly shown: Shown
  readonly keeping: Keeping
  readonly onRefresh: () => void
  readonly onDialog: (scope: "folder" | BulkScope) => void
}) {
  const { shown, keeping, onRefresh, onDialog } = props
  const { bucket, folder } = shown
  const active = [shown.isPrefix, shown.isFlat, shown.hasVersions, shown.at !== ""].filter(Boolean).length
  const isOpen = useSignal(active > 0)
  const id = useId()
  const byPrefix: BulkScope = { bucket, prefix: prefixOf(shown), hasVersions: false, kind: "delete-objects" }
  return (
    <>
      <div class="toolbar">
        <Path shown={shown} />
        <Search key={`${folder} ${shown.search}`} shown={shown} />
        <FilterButton {...{ id, active, isOpen }} />
        <IconButton label="Refresh" icon="refresh" onClick={onRefresh} />
        <UploadMenu at={{ bucket, folder, keeping }} onCreateFolder={() => onDialog("folder")} />
        {mayUse("startJob") && (
          <Menu label="More actions" items={[{ title: "Bulk action", onSelect: () => onDialog(byPrefix) }]} />
        )}
      </div>
      {isOpen.value && <FilterPanel id={id} shown={shown} />}
    </>
  )
}

/** `keeping` is undefined until it is known, or if it may not be seen. */
export function ObjectsTab({ bucket, keeping }: { readonly bucket: string; readonly keeping: Bucket | undefined }) {
  const shown = shownOf(bucket)
  const { folder } = shown
  const dialog = useSignal<"folder" | BulkScope | undefined>(undefined)
  const [job, started, revision] = [useSignal<string | undefined>(undefined), useSignal(0), useSignal(0)]
  const close = () => (dialog.value = undefined)
  const refresh = () => (revision.value += 1)
  const onStarted = (id: string) => {
    job.value = id
    started.value += 1
  }
  const listed = {
    shown,
    keeping,
    revision: revision.value,
    selection: started.value,
    onBulk: (scope: BulkScope) => (dialog.value = scope),
    onChanged: refresh,
  }
  return (
    <>
      <Uploads onDone={refresh} />
      <BulkJob job={job} onEnd={refresh} />
      <DropTarget at={{ bucket, folder, keeping }}>
        <section class="card" aria-label="Objects">
          <Toolbar shown={shown} keeping={keeping} onRefresh={refresh} onDialog={next => (dialog.value = next)} />
          {isSearchWithin(shown) ? <FoundKeys {...listed} /> : <Keys {...listed} />}
        </section>
      </DropTarget>
      <ReplaceDialog />
      {dialog.value === "folder" && <FolderDialog bucket={bucket} folder={folder} onClose={close} onDone={refresh} />}
      {typeof dialog.value === "object" && (
        <BulkDialog scope={dialog.value} keeping={keeping} onClose={close} onStarted={onStarted} />
      )}
    </>
  )
}

/** The object that the address names; undefined if it names none. */
export function NamedObject({ bucket }: { readonly bucket: string }) {
  const { query } = place.value
  const versionId = query.get("version") ?? undefined
  const name = { bucket, key: query.get("key") ?? "", versionId }
  return <ObjectPage key={JSON.stringify(name)} name={name} folder={query.get("folder") ?? ""} />
}
