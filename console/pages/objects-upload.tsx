/** Uploads into a folder of a bucket: by dropping files or choosing them, with their progress; and new folders. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useEffect, useId, useRef } from "preact/hooks"
import { createFolder } from "../api/s3.js"
import {
  addUploads,
  cancelUpload,
  forgetEnded,
  pauseUpload,
  resumeUpload,
  uploads,
  type Upload,
} from "../api/uploads.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { Form, TextField } from "../parts/fields.js"
import { percentText, shareOf, sizeText } from "../parts/format.js"
import { Section } from "../parts/page.js"
import { ProgressBar } from "../parts/progress.js"
import { DataTable, type Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"

/** A dropped folder would look like an unreadable file. */
function filesOf(dropped: DataTransfer): readonly File[] {
  const items = [...dropped.items]
  const folders = items.filter(item => item.webkitGetAsEntry()?.isDirectory === true).length
  if (folders > 0) toast("Folders cannot be dropped: open them and drop the files", "failed")
  return items.flatMap(item => (item.webkitGetAsEntry()?.isDirectory === true ? [] : (item.getAsFile() ?? [])))
}

/** Its content, onto which files may be dropped, below a button that chooses them. */
export function UploadTarget(props: {
  readonly bucket: string
  readonly folder: string
  readonly children: ComponentChildren
}) {
  const { bucket, folder, children } = props
  const id = useId()
  const chooser = useRef<HTMLInputElement>(null)
  const isOver = useSignal(false)
  const add = (files: readonly File[]) =>
    addUploads(
      bucket,
      files.map(file => ({ key: folder + file.name, file })),
    )
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
        if (event.dataTransfer) add(filesOf(event.dataTransfer))
      }}
    >
      <div class="drop-hint">
        <Button kind="primary" onClick={() => chooser.current?.click()}>
          Upload files
        </Button>
        <label for={id}>or drop them here: into {folder === "" ? "the bucket" : folder}</label>
        <input
          ref={chooser}
          id={id}
          class="sr-only"
          type="file"
          multiple
          tabIndex={-1}
          onChange={event => {
            add([...(event.currentTarget.files ?? [])])
            event.currentTarget.value = ""
          }}
        />
      </div>
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
  { key: "name", title: "Object", cell: ({ bucket, key }) => <span class="object-key">{`${bucket}/${key}`}</span> },
  { key: "size", title: "Size", align: "end", cell: ({ file }) => sizeText(file.size) },
  {
    key: "progress",
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
  return (
    <Section
      title="Uploads"
      hint="They go on while you look at other pages of the console, and end with this tab."
      actions={<Button onClick={forgetEnded}>Clear ended</Button>}
    >
      <DataTable caption="Uploads" columns={UPLOAD_COLUMNS} rows={all} rowKey={({ id }) => String(id)} />
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
