/**
 * The selection in a listing: objects, versions and folders, also of other pages of it. A job does with them what the
 * same action by prefix does.
 */
import type { Signal } from "@preact/signals"
import { SELECTED_MAX } from "@hayloft/base/limits.js"
import type { Row } from "../api/s3.js"
import { Button } from "../parts/button.js"
import { countText, plural, sizeText } from "../parts/format.js"

export type Item = { readonly kind: "folder"; readonly prefix: string } | { readonly kind: "row"; readonly row: Row }

/** By the keys of rows of the table. */
export type Selected = ReadonlyMap<string, Item>

export const itemKey = (item: Item): string =>
  item.kind === "folder" ? item.prefix : `${item.row.key} ${item.row.versionId ?? ""}`

export const itemName = (item: Item): string =>
  item.kind === "folder" ? `folder ${item.prefix}` : `${item.row.key} ${item.row.versionId ?? ""}`.trim()

export function withSelected(selected: Selected, items: readonly Item[], isSelected: boolean): Selected {
  const next = new Map(selected)
  for (const item of items) {
    if (isSelected) next.set(itemKey(item), item)
    else next.delete(itemKey(item))
  }
  return next
}

/** `3 objects and 1 folder, 12 KiB`: how much folders contain is not known. */
export function selectedText(selected: Selected, what: string): string {
  const items = [...selected.values()]
  const rows = items.flatMap(item => (item.kind === "row" ? [item.row] : []))
  const folders = items.length - rows.length
  const bytes = sizeText(rows.reduce((sum, { sizeBytes }) => sum + (Number.isFinite(sizeBytes) ? sizeBytes : 0), 0))
  if (folders === 0) return `${plural(rows.length, what)}, ${bytes}`
  const ofFolders = `${plural(folders, "folder")} with all that is below`
  return rows.length === 0 ? ofFolders : `${plural(rows.length, what)}, ${bytes}, and ${ofFolders}`
}

/** Returns the selection in the form that jobs take. `hasVersions`: each row is one version. */
export function selectedJson(selected: Selected, hasVersions: boolean): readonly object[] {
  const keys = new Set<string>()
  return [...selected.values()].flatMap((item): readonly object[] => {
    if (item.kind === "folder") return [{ prefix: item.prefix }]
    const { key, versionId } = item.row
    if (hasVersions) return [{ key, versionId: versionId ?? "null" }]
    if (keys.has(key)) return []
    keys.add(key)
    return [{ key }]
  })
}

/** How much is selected, and what may be done with it. */
export function SelectionBar(props: {
  readonly selected: Signal<Selected>
  readonly hasVersions: boolean
  /** Starts a job, as `onOther`; both are undefined for those who may not. */
  readonly onDelete: (() => void) | undefined
  readonly onOther: (() => void) | undefined
  /** Makes one file of the selection; undefined if that is not possible. */
  readonly onZip: (() => void) | undefined
}) {
  const { selected, hasVersions, onDelete, onOther, onZip } = props
  const { size } = selected.value
  const isTooMuch = size > SELECTED_MAX
  const text = selectedText(selected.value, hasVersions ? "version" : "object")
  return (
    <div class={size === 0 ? "selection-bar none" : "selection-bar"} role="group" aria-label="Selection">
      <span role="status">{size === 0 ? "" : `Selected: ${text}`}</span>
      {size > 0 && (
        <div class="actions">
          {onZip && <Button onClick={onZip}>Download as ZIP</Button>}
          {onOther && (
            <Button isDisabled={isTooMuch} onClick={onOther}>
              Other action
            </Button>
          )}
          {onDelete && (
            <Button isDisabled={isTooMuch} onClick={onDelete}>
              Delete selected
            </Button>
          )}
          <Button kind="quiet" onClick={() => (selected.value = new Map())}>
            Clear selection
          </Button>
        </div>
      )}
      {isTooMuch && (
        <p class="field-error">
          A job takes {countText(SELECTED_MAX)} at most: select less, or use the bulk action by prefix.
        </p>
      )}
    </div>
  )
}
