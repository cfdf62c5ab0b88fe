/** One object: what it is, how it looks, its tags and locks, its versions, and what can be done with it. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { ApiError } from "../api/client.js"
import { useLive, useLiveValue, type Live } from "../api/live.js"
import { hasLock, head, s3Path, tagsOf, type LockMode, type ObjectName, type Tags } from "../api/s3.js"
import type { Bucket } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { sizeText, timeText } from "../parts/format.js"
import { Facts, Page, Section } from "../parts/page.js"
import { Loaded, Notice } from "../parts/states.js"
import { Menu } from "../parts/menu.js"
import { Ago } from "../parts/time.js"
import { go, pathTo } from "../shell/router.js"
import { bucketPath } from "./buckets-api.js"
import { ObjectDialog, type ObjectAction } from "./objects-actions.js"
import { LockDialog, type Lock } from "./objects-edit.js"
import { bucketPage, fileName, foldersAbove, lastPart, objectPath } from "./objects-place.js"
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
  ["cache-control", "Cache-Control"],
  ["content-encoding", "Content-Encoding"],
  ["content-disposition", "Content-Disposition"],
  ["x-amz-server-side-encryption", "Encryption"],
  ["x-amz-version-id", "Version"],
  ["x-amz-expiration", "Expires by lifecycle"],
  ["etag", "ETag"],
] as const

const CHECKSUM = "x-amz-checksum-"

/** Checksums by their algorithms; one of an upload in parts is of the checksums of its parts. */
const checksumsOf = (headers: Headers) =>
  [...headers].flatMap(([name, value]) => {
    const algorithm = name.slice(CHECKSUM.length)
    if (!name.startsWith(CHECKSUM) || algorithm === "type") return []
    return [[`Checksum ${algorithm.toUpperCase()}`, <code class="object-key">{value}</code>] as const]
  })

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
    ["Modified", modified === null ? "–" : <Ago timeMs={Date.parse(modified)} />],
    ["Storage class", headers.get("x-amz-storage-class") ?? "STANDARD"],
    ...named,
    ...checksumsOf(headers),
  ]
  return (
    <>
      <Facts facts={facts} />
      {meta.length > 0 && (
        <>
          <h3>User metadata</h3>
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

type OpenDialog = ObjectAction | "lock" | undefined

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
            <Section
              title="Details"
              actions={
                name.versionId === undefined && <Button onClick={() => onOpen("metadata")}>Edit metadata</Button>
              }
            >
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

function Actions(props: {
  readonly name: ObjectName
  readonly isThere: boolean
  readonly onOpen: (dialog: OpenDialog) => void
}) {
  const { name, isThere, onOpen } = props
  const { versionId, ...target } = name
  const act = (title: string, kind: ObjectAction) => ({
    title,
    isDanger: kind === "delete",
    onSelect: () => onOpen(kind),
  })
  const ofCurrent = [act("Rename", "rename"), act("Move", "move"), act("Metadata", "metadata")]
  const items = [
    ...(isThere ? [act("Copy", "copy"), ...(versionId === undefined ? ofCurrent : [])] : []),
    act("Delete", "delete"),
  ]
  return (
    <>
      {isThere && (
        <>
          <a class="button primary" href={s3Path(target, { versionId })} download={fileName(name.key)}>
            Download
          </a>
          <Button onClick={() => onOpen("share")}>Share</Button>
        </>
      )}
      <Menu label="More actions" text="More" kind="plain" items={items} />
    </>
  )
}

export function ObjectPage({ name, folder }: { readonly name: ObjectName; readonly folder: string }) {
  const { bucket, key } = name
  const live = useLiveValue(JSON.stringify(name), signal => detailsOf(name, signal))
  const keeping = useLive<Bucket>(bucketPath(bucket)).value
  const dialog = useSignal<OpenDialog>(undefined)
  const close = () => (dialog.value = undefined)
  const above = bucketPage(bucket, folder)
  const { lock, headers } = live.value ?? {}
  const onDone = (next: ObjectName | undefined) => {
    if (next === undefined) return go(above)
    if (JSON.stringify(next) !== JSON.stringify(name))
      go(objectPath(next, { folder: next.bucket === bucket ? folder : "" }))
    return live.refresh()
  }
  return (
    <Page
      title={key.slice(key.startsWith(folder) ? folder.length : 0) || key}
      live={live}
      trail={[
        { title: "Buckets", to: pathTo(["buckets"]) },
        { title: bucket, to: bucketPage(bucket) },
        ...foldersAbove(folder).map(prefix => ({ title: lastPart(prefix), to: bucketPage(bucket, prefix) })),
      ]}
      actions={<Actions name={name} isThere={headers !== undefined} onOpen={next => (dialog.value = next)} />}
    >
      <Content name={name} live={live} onOpen={next => (dialog.value = next)} />
      <Versions name={name} folder={folder} onDone={live.refresh} />
      {dialog.value === "lock"
        ? lock && <LockDialog name={name} onClose={close} onDone={live.refresh} lock={lock} />
        : dialog.value && (
            <ObjectDialog kind={dialog.value} keeping={keeping} name={name} onClose={close} onDone={onDone} />
          )}
    </Page>
  )
}
