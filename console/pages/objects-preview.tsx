/**
 * The preview of an object: text, pictures, films, sound and PDF. Pictures and films come from the server piece by
 * piece; nothing of an object is ever a page of the console: no HTML is rendered.
 *
 * Limits  the first `TEXT_BYTES_MAX` of a text; a PDF of `PDF_BYTES_MAX` at most.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { useLiveValue } from "../api/live.js"
import { beginningOf, s3Path, type ObjectName } from "../api/s3.js"
import { sizeText } from "../parts/format.js"
import { EmptyState, Loaded } from "../parts/states.js"

const TEXT_BYTES_MAX = 128 * 1024
const PDF_BYTES_MAX = 32 * 1024 * 1024

/** Types that are text though their names do not begin so, also with a suffix as in `image/svg+xml`. */
const TEXT = /^text\/|[/+](?:json|xml|yaml|javascript|toml|sql|x-ndjson|x-sh)\b/
/** By the ends of keys whose objects say nothing of their type. */
const ENDS: readonly (readonly [ends: RegExp, type: string])[] = [
  [
    /\.(?:txt|md|csv|log|json|ndjson|ya?ml|toml|ini|conf|xml|html?|css|[cm]?[jt]sx?|py|go|rs|java|c|h|sh|sql)$/i,
    "text/plain",
  ],
  [/\.(?:png|jpe?g|gif|webp|avif|bmp|ico|svg)$/i, "image/*"],
  [/\.(?:mp4|m4v|webm|mov|ogv)$/i, "video/*"],
  [/\.(?:mp3|ogg|wav|flac|m4a)$/i, "audio/*"],
  [/\.pdf$/i, "application/pdf"],
]

type Kind = "text" | "image" | "video" | "audio" | "pdf" | undefined

/** How an object is previewed. Pure. */
export function previewKindOf(key: string, type: string): Kind {
  const says = type !== "" && type !== "application/octet-stream" && type !== "binary/octet-stream"
  const told = says ? type.toLowerCase() : (ENDS.find(([ends]) => ends.test(key))?.[1] ?? "")
  for (const kind of ["image", "video", "audio"] as const) if (told.startsWith(`${kind}/`)) return kind
  if (told.startsWith("application/pdf")) return "pdf"
  return TEXT.test(told) ? "text" : undefined
}

interface PreviewProps {
  readonly name: ObjectName
  readonly sizeBytes: number
}

function TextPreview({ name, sizeBytes }: PreviewProps) {
  const live = useLiveValue(JSON.stringify(name), async signal =>
    (await beginningOf(name, TEXT_BYTES_MAX, signal)).text(),
  )
  return (
    <Loaded live={live}>
      {text => (
        <>
          <pre class="preview-text" tabIndex={0} role="region" aria-label="Preview">
            {text}
          </pre>
          {sizeBytes > TEXT_BYTES_MAX && <p class="hint">The first {sizeText(TEXT_BYTES_MAX)} of it.</p>}
        </>
      )}
    </Loaded>
  )
}

function PdfPreview({ name, sizeBytes }: PreviewProps) {
  // The type is set here, so that it is a PDF for the browser whatever the object is.
  const live = useLiveValue(JSON.stringify(name), async signal => {
    const bytes = await beginningOf(name, PDF_BYTES_MAX, signal)
    return URL.createObjectURL(new Blob([bytes], { type: "application/pdf" }))
  })
  const { value } = live
  useEffect(() => () => (value === undefined ? undefined : URL.revokeObjectURL(value)), [value])
  if (sizeBytes > PDF_BYTES_MAX) return <EmptyState title="Too large to be shown here: download it" icon="info" />
  return <Loaded live={live}>{url => <iframe class="preview-frame" title="Preview" src={url} />}</Loaded>
}

/** A file that only has the name of a picture is none. */
function PicturePreview({ address, name }: { readonly address: string; readonly name: ObjectName }) {
  const hasFailed = useSignal(false)
  if (hasFailed.value) return <EmptyState title="The browser cannot show this picture: download it" icon="info" />
  return (
    <img
      class="preview-picture"
      src={address}
      alt={`Preview of ${name.key}`}
      onError={() => (hasFailed.value = true)}
    />
  )
}

export function Preview(props: PreviewProps & { readonly type: string; readonly etag: string }) {
  const { name, sizeBytes, type, etag } = props
  const { versionId, ...target } = name
  // Browsers keep pictures by address: another content gets another one.
  const address = `${s3Path(target, { versionId })}#${encodeURIComponent(etag)}`
  if (sizeBytes === 0) return <EmptyState title="The object is empty" icon="info" />
  switch (previewKindOf(name.key, type)) {
    case "text":
      return <TextPreview name={name} sizeBytes={sizeBytes} />
    case "image":
      return <PicturePreview key={address} address={address} name={name} />
    case "video":
      return <video class="preview-picture" src={address} controls preload="metadata" aria-label="Preview" />
    case "audio":
      return <audio src={address} controls preload="metadata" aria-label="Preview" />
    case "pdf":
      return <PdfPreview name={name} sizeBytes={sizeBytes} />
    case undefined:
      return <EmptyState title="This type has no preview: download it" icon="info" />
  }
}
