/** Dialogs of one object, which its page and the rows of lists open: copy, move, rename, metadata, delete. */
import { useSignal, type Signal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { api, ApiError } from "../api/client.js"
import { useLiveValue } from "../api/live.js"
import { copyHeaders, copyObject, copyWhole, head, remove, renameObject, tagsOf, type ObjectName } from "../api/s3.js"
import type { Bucket, Buckets } from "../api/shapes.js"
import { Dialog, FormDialog } from "../parts/dialog.js"
import { CheckboxField, SelectField, TextAreaField, TextField } from "../parts/fields.js"
import { plural } from "../parts/format.js"
import { NameText } from "../parts/name-text.js"
import { Loaded } from "../parts/states.js"
import { tagsOfText, textOfTags } from "../parts/tags.js"
import { toast } from "../parts/toast.js"
import { ownAccount } from "../shell/session.js"
import { ShareDialog, TagsDialog } from "./objects-edit.js"
import { fileName } from "./objects-place.js"

export type ObjectAction = "share" | "rename" | "copy" | "move" | "metadata" | "tags" | "delete"

/** The facts on which it depends what a deletion leaves; undefined if they may not be seen. */
export type Keeping = Pick<Bucket, "versioning" | "undeleteDays"> | undefined

interface ActionProps {
  readonly name: ObjectName
  readonly onClose: () => void
  /** Called with the name that the object has then; undefined: it is gone. */
  readonly onDone: (name: ObjectName | undefined) => void
}

/** Says what is left of an object that is deleted by its name. */
export function deletedText(keeping: Keeping): string {
  if (keeping === undefined)
    return "With versioning it gets a delete marker, and can be restored; without it, it is gone unless undelete keeps it."
  const { versioning, undeleteDays } = keeping
  if (versioning === "enabled") return "It gets a delete marker: all its versions stay, and it can be restored."
  if (versioning === "suspended")
    return "Versions that have an id stay, and can be restored. One that was written while versioning is suspended is gone."
  if (undeleteDays === undefined) return "It is gone then: the bucket has neither versions nor undelete."
  return `Undelete keeps it for ${plural(undeleteDays, "day")}; then it is gone.`
}

function DeleteDialog({ name, keeping, onClose, onDone }: ActionProps & { readonly keeping: Keeping }) {
  const bypass = useSignal(false)
  const isVersion = name.versionId !== undefined
  const work = async (): Promise<void> => {
    await remove(name, bypass.value)
    toast(`${name.key} deleted`)
    onDone(undefined)
  }
  return (
    <FormDialog
      title={isVersion ? "Delete version" : "Delete object"}
      action="Delete"
      kind="danger"
      isValid
      work={work}
      onClose={onClose}
    >
      <p class="object-key">
        <strong>
          <NameText name={name.key} />
        </strong>
      </p>
      <p>{isVersion ? "This version is deleted permanently." : deletedText(keeping)}</p>
      {isVersion && <CheckboxField label="Bypass governance mode" value={bypass} />}
    </FormDialog>
  )
}

/** Throws an `ApiError` if there is an object that nobody wants replaced. */
async function checkFree(target: Omit<ObjectName, "versionId">, mayReplace: boolean): Promise<void> {
  if (mayReplace) return
  const found = await head({ ...target, versionId: undefined }).catch((error: unknown) => {
    if (error instanceof ApiError && (error.status === 404 || error.status === 403)) return undefined
    throw error
  })
  if (found === undefined) return
  const message = `${target.bucket} has ${target.key} already: choose another name, or allow to replace it.`
  throw new ApiError(0, "exists", message)
}

function BucketField({ value }: { readonly value: Signal<string> }) {
  const query = { max: 1_000, owner: ownAccount() }
  const live = useLiveValue("targets", signal => api.get<Buckets>("/v1/buckets", { signal, query }))
  const names = [...new Set([value.value, ...(live.value?.buckets ?? []).map(({ name }) => name)])].toSorted()
  return <SelectField label="To the bucket" value={value} options={names.map(name => [name, name])} />
}

const DONE = { rename: "renamed", copy: "copied", move: "moved" } as const

function PlaceDialog({ name, kind, onClose, onDone }: ActionProps & { readonly kind: keyof typeof DONE }) {
  const isRename = kind === "rename"
  const folder = name.key.slice(0, name.key.length - fileName(name.key).length)
  const bucket = useSignal(name.bucket)
  const key = useSignal(isRename ? fileName(name.key) : name.key)
  const mayReplace = useSignal(false)
  const target = { bucket: bucket.value, key: isRename ? folder + key.value : key.value }
  const isSame = target.bucket === name.bucket && target.key === name.key && name.versionId === undefined
  const work = async (): Promise<void> => {
    await checkFree(target, mayReplace.value)
    const free = mayReplace.value ? {} : { "if-none-match": "*" }
    await (kind === "copy" ? copyWhole : renameObject)(name, target, free)
    toast(`${name.key} ${DONE[kind]}: ${target.bucket}/${target.key}`)
    onDone(kind === "copy" ? name : { ...target, versionId: undefined })
  }
  const title = { rename: "Rename", copy: "Copy", move: "Move" }[kind]
  return (
    <FormDialog
      {...{ title, work, onClose }}
      action={title}
      isValid={!isSame && key.value !== "" && !key.value.startsWith("/")}
    >
      <p class="object-key">
        <strong>
          <NameText name={name.key} />
        </strong>
      </p>
      {!isRename && <BucketField value={bucket} />}
      <TextField label={isRename ? "New name" : "As"} value={key} isCode isRequired />
      <CheckboxField label="Replace an object of that name" value={mayReplace} />
      {kind !== "copy" && <p class="hint">In one step: tags and headers stay. Older versions keep the former name.</p>}
    </FormDialog>
  )
}

const HEADERS = [
  ["content-type", "Type"],
  ["cache-control", "Cache-Control"],
  ["content-disposition", "Content-Disposition"],
  ["content-encoding", "Content-Encoding"],
  ["content-language", "Content-Language"],
  ["expires", "Expires"],
] as const

const META = "x-amz-meta-"
/** A browser sends nothing else in a header. */
const SENDABLE = /^[\x20-\x7e\n]*$/
const problemOf = (text: string): string | undefined =>
  SENDABLE.test(text) ? undefined : "Only ASCII characters: headers have no others."

function MetadataForm({ name, headers, onClose, onDone }: ActionProps & { readonly headers: Headers }) {
  const fields = HEADERS.map(([header, label]) => ({ header, label, value: useSignal(headers.get(header) ?? "") }))
  const own = [...headers].flatMap(([header, value]) =>
    header.startsWith(META) ? [[header.slice(META.length), value] as const] : [],
  )
  const text = useSignal(textOfTags(own))
  const isValid = [text, ...fields.map(({ value }) => value)].every(({ value }) => problemOf(value) === undefined)
  const work = async (): Promise<void> => {
    const given = fields.flatMap(({ header, value }) => (value.value === "" ? [] : [[header, value.value] as const]))
    const meta = tagsOfText(text.value).map(([key, value]) => [META + key, value] as const)
    const all = Object.fromEntries([...given, ...meta])
    const current = { ...name, versionId: undefined }
    await copyObject(current, current, { "x-amz-metadata-directive": "REPLACE", ...copyHeaders(headers), ...all })
    toast(`Metadata of ${name.key} saved`)
    onDone(current)
  }
  return (
    <FormDialog title="Metadata" action="Save metadata" isValid={isValid} work={work} onClose={onClose}>
      {fields.map(({ header, label, value }) => (
        <TextField key={header} label={label} value={value} isCode error={problemOf(value.value)} />
      ))}
      <TextAreaField
        label="User metadata"
        value={text}
        rows={4}
        isCode
        hint="One key=value on a line"
        error={problemOf(text.value)}
      />
      <p class="hint">The object is written again with these: with versioning as a new version.</p>
    </FormDialog>
  )
}

/** A dialog that shows something of the object first. */
function AfterLoading<T>(props: {
  readonly title: string
  readonly load: (signal: AbortSignal) => Promise<T>
  readonly onClose: () => void
  readonly children: (value: T) => ComponentChildren
}) {
  const { title, load, onClose, children } = props
  const live = useLiveValue(title, load)
  if (live.value !== undefined) return <>{children(live.value)}</>
  return (
    <Dialog title={title} onClose={onClose}>
      <Loaded live={live}>{() => null}</Loaded>
    </Dialog>
  )
}

/** The dialog of an action with an object. */
export function ObjectDialog(props: ActionProps & { readonly kind: ObjectAction; readonly keeping: Keeping }) {
  const { kind, keeping, ...common } = props
  const { name, onClose, onDone } = common
  switch (kind) {
    case "share":
      return <ShareDialog name={name} onClose={onClose} />
    case "delete":
      return <DeleteDialog {...common} keeping={keeping} />
    case "tags":
      return (
        <AfterLoading title="Tags" load={signal => tagsOf(name, signal)} onClose={onClose}>
          {tags => <TagsDialog name={name} tags={tags} onClose={onClose} onDone={() => onDone(name)} />}
        </AfterLoading>
      )
    case "metadata":
      return (
        <AfterLoading
          title="Metadata"
          load={async signal => (await head(name, signal)) ?? new Headers()}
          onClose={onClose}
        >
          {headers => <MetadataForm {...common} headers={headers} />}
        </AfterLoading>
      )
    default:
      return <PlaceDialog {...common} kind={kind} />
  }
}
