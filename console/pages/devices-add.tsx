/** The form for a new device. What is wrong with the folder (no parent, the system disk) the plan says. */
import { useSignal, type Signal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useId } from "preact/hooks"
import { useLive } from "../api/live.js"
import type { FreeDisks } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { Form, SelectField, TextField } from "../parts/fields.js"
import { sizeText } from "../parts/format.js"
import type { PlannedChange } from "../parts/plan-dialog.js"
import { mayUse } from "../shell/session.js"

/** A weight as the API takes it; undefined if the field is empty, and a problem if it is no weight. */
export function weightOf(text: string): { readonly weight?: number; readonly problem?: string } {
  if (text.trim() === "") return {}
  const weight = Number(text)
  return weight > 0 && weight <= 1e6 ? { weight } : { problem: "A number above 0, relative to the other devices." }
}

const OTHER = ""

/** Empty disks that are mounted on the server, to choose from. */
function FreeDiskList({ disks, path }: { readonly disks: FreeDisks["disks"]; readonly path: Signal<string> }) {
  const id = useId()
  if (disks.length === 0) {
    return (
      <p class="hint">No empty disk is mounted on the server beside those of the store. Mount one, or name a folder.</p>
    )
  }
  const isOther = !disks.some(disk => disk.path === path.value)
  const row = (value: string, title: ComponentChildren, isChosen: boolean) => (
    <li key={value}>
      <input id={`${id}-${value}`} type="radio" name={id} checked={isChosen} onChange={() => (path.value = value)} />
      <label for={`${id}-${value}`}>{title}</label>
    </li>
  )
  return (
    <fieldset class="picks">
      <legend>Empty disks of the server</legend>
      <ul class="pick-list">
        {disks.map(({ path: folder, mount, source, fileSystemKind, totalBytes, isOnSystem }) =>
          row(
            folder,
            <>
              {mount}, {sizeText(totalBytes)}
              <span class="hint">
                {source}, {fileSystemKind}
                {isOnSystem && ": on the disk of the system, which fails with it"}
              </span>
            </>,
            folder === path.value,
          ),
        )}
        {row(OTHER, "Another folder", isOther)}
      </ul>
    </fieldset>
  )
}

/** Returns where a folder is: a path, and a node if there are several. */
export function useFolder(nodes: readonly string[]) {
  const path = useSignal("")
  const node = useSignal("")
  const isValid = path.value.startsWith("/")
  const free = useLive<FreeDisks>(mayUse("listFreeDisks") ? "/v1/devices/free" : undefined)
  const fields = (
    <>
      {free.value && node.value === "" && <FreeDiskList disks={free.value.disks} path={path} />}
      <TextField
        label="Folder"
        value={path}
        isCode
        isRequired
        placeholder="/mnt/disk8/hayloft"
        hint="An absolute path of an empty or new folder on the server. The folder above it must exist."
        error={path.value === "" || isValid ? undefined : "The path begins with a slash."}
      />
      {nodes.length > 0 && (
        <SelectField
          label="Node"
          value={node}
          options={[["", "The node that answers this page"], ...nodes.map(name => [name, name] as const)]}
        />
      )}
    </>
  )
  const body = { path: path.value, ...(node.value === "" ? {} : { node: node.value }) }
  return { fields, body, isValid }
}

export function AddDevice(props: {
  readonly nodes: readonly string[]
  readonly onClose: () => void
  readonly onChange: (change: PlannedChange) => void
}) {
  const { nodes, onClose, onChange } = props
  const folder = useFolder(nodes)
  const weight = useSignal("")
  const { problem, ...chosen } = weightOf(weight.value)
  const plan = () => onChange({ title: "Add device", path: "/v1/devices", body: { ...folder.body, ...chosen } })
  return (
    <Dialog title="New device" onClose={onClose}>
      <Form label="New device" onSubmit={plan}>
        {folder.fields}
        <TextField
          label="Weight"
          value={weight}
          type="number"
          min={0}
          step="any"
          hint="Its share of the shards, relative to the others. Empty: by its size."
          error={problem}
        />
        <div class="form-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isDisabled={!folder.isValid || problem !== undefined}>
            Show the plan
          </Button>
        </div>
      </Form>
    </Dialog>
  )
}
