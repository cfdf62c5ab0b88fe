/** One object: what it is, how it looks, its tags and locks, its versions, and what can be done with it. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { ApiError } from "../api/client.js"
import { useLiveValue, type Live } from "../api/live.js"
import { hasLock, head, remove, s3Path, tagsOf, type LockMode, type ObjectName, type Tags } from "../api/s3.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { ConfirmDialog } from "../parts/dialog.js"
import { CheckboxField } from "../parts/fields.js"
import { sizeText, timeText } from "../parts/format.js"
import { Facts, Page, Section } from "../parts/page.js"
import { Loaded, Notice } from "../parts/states.js"
import { toast } from "../parts/toast.js"
import { go, pathTo } from "../shell/router.js"
import { LockDialog, ShareDialog, TagsDialog, type Lock } from "./objects-edit.js"
import { Preview } from "./objects-preview.js"
import { Versions } from "./objects-versions.js"

interface Details {
  /** A delete marker has none. */
  readonly headers: Headers | undefined
  readonly tags: Tags
  /** The lock is undefined if the bucket locks nothing. */
  readonly lock: Lock | undefined
}

/** Returns undefined if the caller may not know the result, or there is none. */
const unlessRefused = async <T,>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    if (error instanceof ApiError && (error.status === 403 || error.status === 404)) return undefined
    throw error
  })

async function detailsOf(name: ObjectName, signal: AbortSignal): Promise<Details> {
  const headers = await head(name, signal)
  if (headers === undefined) return { headers, tags: [], lock: undefined }
  const [tags, locks] = await Promise.all([
    unlessRefused(tagsOf(name, signal)),
    unlessRefused(hasLock(name.bucket, signal)),
  ])
  return { headers, tags: tags ?? [], lock: locks === true ? lockOf(headers) : undefined }
}

function lockOf(headers: Headers): Lock {
  const mode = headers.get("x-amz-object-lock-mode")
  const until = headers.get("x-amz-object-lock-retain-until-date")
  return {
    mode: mode === "GOVERNANCE" || mode === "COMPLIANCE" ? (mode satisfies LockMode) : undefined,
    untilMs: until === null ? undefined : Date.parse(until),
    isHeld: headers.get("x-amz-object-lock-legal-hold") === "ON",
  }
}

const SHOWN = [
  ["content-type", "Type"],
  ["x-amz-storage-class", "Storage class"],
  ["cache-control", "Cache-Control"],
  ["content-encoding", "Content-Encoding"],
  ["content-disposition", "Content-Disposition"],
  ["x-amz-server-side-encryption", "Encryption"],
  ["x-amz-version-id", "Version"],
  ["x-amz-expiration", "Expires by lifecycle"],
  ["etag", "ETag"],
] as const

function ObjectFacts({ headers }: { readonly headers: Headers }) {
  const size = Number(headers.get("content-length") ?? 0)
  const modified = headers.get("last-modified")
  const named = SHOWN.flatMap(([name, title]) => {
    const value = headers.get(name)
    return value === null ? [] : [[title, <span class="object-key">{value}</span>] as const]
  })
  const meta = [...headers].flatMap(([name, value]) =>
    name.startsWith("x-amz-meta-")
      ? [[name.slice("x-amz-meta-".length), <span class="object-key">{value}</span>] as const]
      : [],
  )
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ["Size", sizeText(size)],
    ["Modified", modified === null ? "–" : timeText(Date.parse(modified))],
    ...named,
  ]
  return (
    <>
      <Facts facts={facts} />
      {meta.length > 0 && (
        <>
          <h3>Metadata of the user</h3>
          <Facts facts={meta} />
        </>
      )}
    </>
  )
}

const lockText = ({ mode, untilMs, isHeld }: Lock): string =>
  [
    mode === undefined ? "no retention" : `${mode.toLowerCase()} until ${timeText(untilMs ?? 0)}`,
    isHeld ? "legal hold" : "no legal hold",
  ].join(", ")

type OpenDialog = "tags" | "lock" | "share" | "delete" | undefined

function DeleteDialog(props: { readonly name: ObjectName; readonly onClose: () => void; readonly onDone: () => void }) {
  const { name, onClose, onDone } = props
  const bypass = useSignal(false)
  const action = useAction(async () => {
    await remove(name, bypass.value)
    toast(`${name.key} deleted`)
    onDone()
  })
  return (
    <ConfirmDialog
      title={name.versionId === undefined ? "Delete object" : "Delete version"}
      action="Delete"
      kind="danger"
      isBusy={action.isBusy}
      onConfirm={() => void action.run()}
      onClose={onClose}
    >
      <p class="object-key">{name.key}</p>
      <p>
        {name.versionId === undefined
          ? "With versioning it gets a delete marker, and can be restored; without it, it is gone unless undelete keeps it."
          : "This version is deleted permanently."}
      </p>
      {name.versionId !== undefined && <CheckboxField label="Bypass governance mode" value={bypass} />}
      {action.problem.value !== undefined && <Notice kind="danger">{action.problem.value}</Notice>}
    </ConfirmDialog>
  )
}

function Content(props: {
  readonly name: ObjectName
  readonly live: Live<Details>
  readonly onOpen: (dialog: OpenDialog) => void
}) {
  const { name, live, onOpen } = props
  return (
    <Loaded live={live}>
      {({ headers, tags, lock }) =>
        headers === undefined ? (
          <Notice>
            {name.versionId === undefined
              ? "The object is deleted: its newest version is a delete marker. Remove the marker below, and the version before it is current again."
              : "This version is a delete marker. It has no content; while it is the newest version, the object is deleted."}
          </Notice>
        ) : (
          <>
            <Section title="Preview">
              <Preview
                key={headers.get("etag")}
                name={name}
                etag={headers.get("etag") ?? ""}
                sizeBytes={Number(headers.get("content-length") ?? 0)}
                type={headers.get("content-type") ?? ""}
              />
            </Section>
            <Section title="Details">
              <ObjectFacts headers={headers} />
            </Section>
            <Section title="Tags" actions={<Button onClick={() => onOpen("tags")}>Edit tags</Button>}>
              {tags.length === 0 ? <p class="hint">None</p> : <Facts facts={tags} />}
            </Section>
            {lock && (
              <Section title="Lock" actions={<Button onClick={() => onOpen("lock")}>Edit lock</Button>}>
                <p>{lockText(lock)}</p>
              </Section>
            )}
          </>
        )
      }
    </Loaded>
  )
}

export function ObjectPage({ name, folder }: { readonly name: ObjectName; readonly folder: string }) {
  const { bucket, key, versionId } = name
  const live = useLiveValue(JSON.stringify(name), signal => detailsOf(name, signal))
  const dialog = useSignal<OpenDialog>(undefined)
  const close = () => (dialog.value = undefined)
  const above = pathTo(["objects", bucket], { folder: folder || undefined })
  const { tags = [], lock, headers } = live.value ?? {}
  const common = { name, onClose: close, onDone: live.refresh }
  return (
    <Page
      title={key.slice(folder.length) || key}
      live={live}
      trail={[
        { title: "Objects", to: pathTo(["objects"]) },
        { title: folder === "" ? bucket : `${bucket}/${folder}`, to: above },
      ]}
      actions={
        <>
          {headers && (
            <>
              <a class="button" href={s3Path({ bucket, key }, { versionId })} download={key.split("/").at(-1)}>
                Download
              </a>
              <Button onClick={() => (dialog.value = "share")}>Share</Button>
            </>
          )}
          <Button kind="danger" onClick={() => (dialog.value = "delete")}>
            Delete
          </Button>
        </>
      }
    >
      <Content name={name} live={live} onOpen={next => (dialog.value = next)} />
      <Versions name={name} folder={folder} onDone={live.refresh} />
      {dialog.value === "tags" && <TagsDialog {...common} tags={tags} />}
      {dialog.value === "lock" && lock && <LockDialog {...common} lock={lock} />}
      {dialog.value === "share" && <ShareDialog name={name} onClose={close} />}
      {dialog.value === "delete" && <DeleteDialog name={name} onClose={close} onDone={() => go(above)} />}
    </Page>
  )
}
