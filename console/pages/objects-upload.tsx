/** Uploads into a folder of a bucket: files and folders that are dropped or chosen, with their progress; and new folders. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren, TargetedEvent } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { asApiError } from "../api/client.js"
import { createFolder } from "../api/s3.js"
import { cancelUpload, forgetEnded, pauseUpload, resumeUpload, uploads, type Upload } from "../api/uploads.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { Form, TextField } from "../parts/fields.js"
import { countText, percentText, plural, shareOf, sizeText } from "../parts/format.js"
import { Menu } from "../parts/menu.js"
import { NameText } from "../parts/name-text.js"
import { Section } from "../parts/page.js"
import { ProgressBar } from "../parts/progress.js"
import { DataTable, type Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import type { Keeping } from "./objects-actions.js"
import { uploadAll } from "./objects-replace.js"
import { filesOfDrop, filesOfField, type NamedFile } from "./objects-dropped.js"

interface UploadPlace {
  readonly bucket: string
  readonly folder: string
  readonly keeping: Keeping
}

/** Adds what was chosen or dropped to the uploads of a folder; a message says why it cannot. */
async function addAll({ bucket, folder, keeping }: UploadPlace, found: Promise<readonly NamedFile[]>): Promise<void> {
  try {
    const files = await found
    const named = files.map(({ path, file }) => ({ key: folder + path, file }))
    await uploadAll(bucket, named, keeping)
  } catch (error) {
    toast(asApiError(error).message, "failed")
  }
}

/** A menu that chooses files, or a folder, or makes a new one. */
export function UploadMenu(props: { readonly at: UploadPlace; readonly onCreateFolder: () => void }) {
  const { at, onCreateFolder } = props
  const [files, folders] = [useRef<HTMLInputElement>(null), useRef<HTMLInputElement>(null)]
  // The types of JSX do not know the attribute.
  useEffect(() => folders.current?.setAttribute("webkitdirectory", ""), [])
  const field = {
    class: "sr-only",
    type: "file",
    multiple: true,
    tabIndex: -1,
    onChange: (event: TargetedEvent<HTMLInputElement>) => {
      const { currentTarget } = event
      // The list is empty again once the field is.
      const chosen = Promise.resolve().then(() => filesOfField(currentTarget.files))
      void addAll(at, chosen).then(() => (currentTarget.value = ""))
    },
  } as const
  return (
    <>
      <Menu
        label="Upload"
        text="Upload"
        kind="primary"
        items={[
          { title: "Upload files", onSelect: () => files.current?.click() },
          { title: "Upload a folder", onSelect: () => folders.current?.click() },
          { title: "Create a folder", onSelect: onCreateFolder },
        ]}
      />
      <input ref={files} aria-label="Files to upload" {...field} />
      <input ref={folders} aria-label="Folder to upload" {...field} />
    </>
  )
}

/** Its content, onto which files and folders may be dropped. */
export function DropTarget({ at, children }: { readonly at: UploadPlace; readonly children: ComponentChildren }) {
  const isOver = useSignal(false)
  return (
    <div
      class={isOver.value ? "drop-target over" : "drop-target"}
      onDragOver={event => {
        event.preventDefault()
        isOver.value = true
      }}
      onDragLeave={() => (isOver.value = false)}
      onDrop={event => {
        event.preventDefault()
        isOver.value = false
        if (event.dataTransfer) void addAll(at, filesOfDrop(event.dataTransfer))
      }}
    >
      {children}
    </div>
  )
}

function UploadActions({ upload: { id, key, state } }: { readonly upload: Upload }) {
  const hasEnded = state === "done" || state === "cancelled"
  if (hasEnded) return null
  const isStopped = state === "paused" || state === "failed"
  const cancel = () => void cancelUpload(id).catch((error: unknown) => toast(String(error), "failed"))
  return (
    <div class="actions">
      {isStopped ? (
        <Button label={`Resume ${key}`} onClick={() => resumeUpload(id)}>
          Resume
        </Button>
      ) : (
        <Button label={`Pause ${key}`} onClick={() => pauseUpload(id)}>
          Pause
        </Button>
      )}
      <Button label={`Cancel ${key}`} onClick={cancel}>
        Cancel
      </Button>
    </div>
  )
}

const shareSent = ({ sentBytes, file, state }: Upload): number => (state === "done" ? 1 : shareOf(sentBytes, file.size))

const UPLOAD_COLUMNS: readonly Column<Upload>[] = [
  {
    key: "name",
    title: "Object",
    cell: ({ bucket, key }) => (
      <span class="object-key">
        <NameText name={`${bucket}/${key}`} />
      </span>
    ),
  },
  { key: "size", narrow: "plain", title: "Size", align: "end", cell: ({ file }) => sizeText(file.size) },
  {
    key: "progress",
    narrow: "plain",
    title: "Progress",
    cell: upload => (
      <div class="work">
        <ProgressBar label={`Upload of ${upload.key}`} share={shareSent(upload)} />
        <p>
          {upload.state}, {percentText(shareSent(upload))}
          {upload.problem !== undefined && `: ${upload.problem}`}
        </p>
      </div>
    ),
  },
  { key: "actions", title: "Actions", cell: upload => <UploadActions upload={upload} /> },
]

/** Rows of the table, whatever is uploaded. */
const SHOWN_UPLOADS_MAX = 20
const ORDER: Readonly<Record<Upload["state"], number>> = {
  failed: 0,
  running: 1,
  paused: 1,
  waiting: 2,
  done: 3,
  cancelled: 3,
}

/** All uploads of this browser. `onDone`: one has ended. */
export function Uploads({ onDone }: { readonly onDone?: () => void }) {
  const all = uploads.value
  const done = all.filter(({ state }) => state === "done").length
  const before = useRef(done)
  useEffect(() => {
    if (done > before.current) onDone?.()
    before.current = done
  }, [done])
  if (all.length === 0) return null
  const isMany = all.length > SHOWN_UPLOADS_MAX
  const shown = isMany
    ? all.toSorted((a, b) => ORDER[a.state] - ORDER[b.state] || a.id - b.id).slice(0, SHOWN_UPLOADS_MAX)
    : all
  return (
    <Section
      title="Uploads"
      hint="They go on while you look at other pages of the console, and end with this tab."
      actions={<Button onClick={forgetEnded}>Clear ended</Button>}
    >
      {isMany && (
        <p>
          {countText(done)} of {plural(all.length, "file")} done; shown are {countText(SHOWN_UPLOADS_MAX)}.
        </p>
      )}
      <DataTable caption="Uploads" columns={UPLOAD_COLUMNS} rows={shown} rowKey={({ id }) => String(id)} />
    </Section>
  )
}

export function FolderDialog(props: {
  readonly bucket: string
  readonly folder: string
  readonly onClose: () => void
  readonly onDone: () => void
}) {
  const { bucket, folder, onClose, onDone } = props
  const name = useSignal("")
  const parts = name.value.split("/")
  const isValid = parts.every(part => part !== "" && part !== "." && part !== "..")
  const create = useAction(async () => {
    await createFolder(bucket, `${folder}${name.value}/`)
    toast(`Folder ${folder}${name.value}/ created`)
    onDone()
    onClose()
  })
  return (
    <Dialog title="Create folder" onClose={onClose}>
      <Form label="Create folder" onSubmit={() => void create.run()} problem={create.problem}>
        <TextField
          label="Name"
          value={name}
          isCode
          hint={`An empty object whose key ends with "/", below ${folder === "" ? bucket : folder}`}
        />
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isDisabled={!isValid} isBusy={create.isBusy}>
            Create
          </Button>
        </div>
      </Form>
    </Dialog>
  )
}
