/** Settings of a bucket for web pages, and its tags: forms for CORS, the website and tags, with their JSON folded away. */
import { signal, useSignal, type Signal } from "@preact/signals"
import { useMemo } from "preact/hooks"
import type { BucketSetting } from "../api/shapes.js"
import { ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { CheckboxField, TextAreaField, TextField } from "../parts/fields.js"
import { listText, plural } from "../parts/format.js"
import { SettingLine } from "../parts/setting-line.js"
import { tagsOfText, textOfTags } from "../parts/tags.js"
import { toast } from "../parts/toast.js"
import { replaceSetting, saveSetting, textIn, type SettingValue } from "./buckets-api.js"
import { EditDialog } from "./buckets-json.js"

interface LineProps {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}

/** The members of a list in a value; of a single text, that one. */
export function listIn(value: unknown, name: string): readonly unknown[] {
  const found: unknown = Object.entries(value ?? {}).find(([key]) => key === name)?.[1]
  return Array.isArray(found) ? found : found === undefined ? [] : [found]
}

const textsIn = (value: unknown, name: string): readonly string[] => listIn(value, name).map(String)

const linesOf = (text: string): readonly string[] =>
  text
    .split(/[\n,]/)
    .map(line => line.trim())
    .filter(line => line !== "")

/** The JSON of a setting, folded away, with a button that edits it. */
export function JsonFold({ bucket, found, onSaved }: LineProps) {
  const isEditing = useSignal(false)
  return (
    <details class="fold">
      <summary>JSON</summary>
      <pre class="code block" tabIndex={0} aria-label={`${found.setting} as JSON`}>
        {found.value === undefined ? "not set" : JSON.stringify(found.value, undefined, 2)}
      </pre>
      <div class="actions">
        <Button label={`Edit ${found.setting} as JSON`} onClick={() => (isEditing.value = true)}>
          Edit as JSON
        </Button>
      </div>
      {isEditing.value && (
        <EditDialog {...{ bucket, onSaved }} edited={found} onClose={() => (isEditing.value = false)} />
      )}
    </details>
  )
}

/** A button that opens a form, and one that removes the setting. */
function EditLine(
  props: LineProps & {
    readonly title: string
    readonly hint: string
    readonly summary: string
    readonly dialog: (close: () => void) => preact.ComponentChildren
  },
) {
  const { bucket, found, onSaved, title, hint, summary, dialog } = props
  const isEditing = useSignal(false)
  if (found.refused !== undefined) return <SettingLine title={title} hint={`You may not see this: ${found.refused}`} />
  return (
    <SettingLine
      title={title}
      hint={
        <>
          {hint} <strong>{found.isSet ? summary : "Not set."}</strong>
        </>
      }
      more={found.isSet && <JsonFold {...{ bucket, found, onSaved }} />}
    >
      <Button label={`${found.isSet ? "Edit" : "Set"} ${title.toLowerCase()}`} onClick={() => (isEditing.value = true)}>
        {found.isSet ? "Edit" : "Set"}
      </Button>
      {found.isSet && (
        <ConfirmButton
          kind="quiet"
          label={`Remove ${title.toLowerCase()}`}
          title={`Remove ${title.toLowerCase()}`}
          question={`Then the bucket ${bucket} has none.`}
          work={async () => {
            await saveSetting(bucket, found.setting, undefined)
            await onSaved()
          }}
          done={`Removed: ${title.toLowerCase()} of ${bucket}`}
        >
          Remove
        </ConfirmButton>
      )}
      {isEditing.value && dialog(() => (isEditing.value = false))}
    </SettingLine>
  )
}

/** The dialog of a form; `toValue`: what is saved. */
function ValueDialog(
  props: LineProps & {
    readonly title: string
    readonly isValid: boolean
    readonly toValue: () => SettingValue
    readonly onClose: () => void
    readonly children: preact.ComponentChildren
  },
) {
  const { bucket, found, onSaved, title, isValid, toValue, onClose, children } = props
  const save = async (): Promise<void> => {
    await replaceSetting(bucket, found, toValue())
    toast(`Saved: ${title.toLowerCase()} of ${bucket}`)
    await onSaved()
  }
  return (
    <FormDialog title={`${title} of ${bucket}`} action="Save" {...{ isValid, onClose }} work={save}>
      {children}
    </FormDialog>
  )
}

const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]

/** A form for one rule; a bucket with several keeps the others. */
function CorsDialog(props: LineProps & { readonly onClose: () => void }) {
  const { found } = props
  const [rule, ...others] = listIn(found.value, "CORSRules")
  const origins = useSignal(textsIn(rule, "AllowedOrigins").join("\n"))
  const headers = useSignal(rule === undefined ? "*" : textsIn(rule, "AllowedHeaders").join("\n"))
  const exposed = useSignal(rule === undefined ? "ETag" : textsIn(rule, "ExposeHeaders").join("\n"))
  const seconds = useSignal(textIn(rule, "MaxAgeSeconds"))
  const before = rule === undefined ? ["GET", "HEAD"] : textsIn(rule, "AllowedMethods")
  const methods = useMemo<readonly (readonly [string, Signal<boolean>])[]>(
    () => METHODS.map(name => [name, signal(before.includes(name))] as const),
    [],
  )
  const chosen = methods.filter(([, isChosen]) => isChosen.value).map(([name]) => name)
  const isAge = seconds.value.trim() === "" || Number.isSafeInteger(Number(seconds.value))
  const toValue = (): SettingValue => {
    const [allowedHeaders, exposeHeaders] = [linesOf(headers.value), linesOf(exposed.value)]
    const id = textIn(rule, "ID")
    const own = {
      ...(id !== "" && { ID: id }),
      AllowedOrigins: linesOf(origins.value),
      AllowedMethods: chosen,
      ...(allowedHeaders.length > 0 && { AllowedHeaders: allowedHeaders }),
      ...(exposeHeaders.length > 0 && { ExposeHeaders: exposeHeaders }),
      ...(seconds.value.trim() !== "" && { MaxAgeSeconds: Number(seconds.value) }),
    }
    return { CORSRules: [own, ...others] }
  }
  const isValid = linesOf(origins.value).length > 0 && chosen.length > 0 && isAge
  return (
    <ValueDialog {...props} {...{ title: "CORS", isValid, toValue }}>
      <TextAreaField
        label="Web pages from"
        value={origins}
        rows={3}
        isCode
        hint="One in each line: https://example.org, https://*.example.org, or * for all"
      />
      <fieldset>
        <legend>May send</legend>
        <div class="row">
          {methods.map(([name, isChosen]) => (
            <CheckboxField key={name} label={name} value={isChosen} />
          ))}
        </div>
      </fieldset>
      <TextAreaField label="With the headers" value={headers} rows={2} isCode hint="* for all" />
      <TextAreaField label="And read the headers" value={exposed} rows={2} isCode />
      <TextField
        label="Browsers cache this for seconds"
        type="number"
        min={0}
        value={seconds}
        error={isAge ? undefined : "A whole number."}
      />
      {others.length > 0 && <p class="hint">Kept as in the JSON: {plural(others.length, "other rule")}.</p>}
    </ValueDialog>
  )
}

export function CorsLine(props: LineProps) {
  const rules = listIn(props.found.value, "CORSRules")
  const origins = rules.flatMap(rule => textsIn(rule, "AllowedOrigins"))
  return (
    <EditLine
      {...props}
      title="CORS"
      hint="Which web pages of other sites may use this bucket from a browser."
      summary={`${listText(origins)}.`}
      dialog={close => <CorsDialog {...props} onClose={close} />}
    />
  )
}

function WebsiteDialog(props: LineProps & { readonly onClose: () => void }) {
  const { value } = props.found
  const index = useSignal(textIn(value, "IndexDocument", "Suffix") || "index.html")
  const error = useSignal(textIn(value, "ErrorDocument", "Key"))
  const host = useSignal(textIn(value, "RedirectAllRequestsTo", "HostName"))
  const isRedirect = host.value.trim() !== ""
  const toValue = (): SettingValue => {
    if (isRedirect) {
      const protocol = textIn(value, "RedirectAllRequestsTo", "Protocol")
      return { RedirectAllRequestsTo: { HostName: host.value.trim(), ...(protocol !== "" && { Protocol: protocol }) } }
    }
    const routing = listIn(value, "RoutingRules")
    return {
      IndexDocument: { Suffix: index.value.trim() },
      ...(error.value.trim() !== "" && { ErrorDocument: { Key: error.value.trim() } }),
      ...(routing.length > 0 && { RoutingRules: routing }),
    }
  }
  return (
    <ValueDialog {...props} {...{ title: "Website", toValue }} isValid={isRedirect || index.value.trim() !== ""}>
      <TextField label="Page of a folder" value={index} isCode isDisabled={isRedirect} hint="index.html" />
      <TextField
        label="Page for errors"
        value={error}
        isCode
        isDisabled={isRedirect}
        hint="A key, such as 404.html. Empty: a plain text"
      />
      <TextField label="Or send all visitors to the host" value={host} isCode placeholder="www.example.org" />
    </ValueDialog>
  )
}

export function WebsiteLine(props: LineProps) {
  const { value } = props.found
  const host = textIn(value, "RedirectAllRequestsTo", "HostName")
  const summary = host === "" ? `Folders show ${textIn(value, "IndexDocument", "Suffix")}.` : `All go to ${host}.`
  return (
    <EditLine
      {...props}
      title="Website"
      hint="The bucket as a website, on the port of websites."
      summary={summary}
      dialog={close => <WebsiteDialog {...props} onClose={close} />}
    />
  )
}

const tagsIn = (value: SettingValue | undefined): readonly (readonly [string, string])[] =>
  listIn(value, "TagSet").map(tag => [textIn(tag, "Key"), textIn(tag, "Value")] as const)

function TagsDialog(props: LineProps & { readonly onClose: () => void }) {
  const text = useSignal(textOfTags(tagsIn(props.found.value)))
  const toValue = (): SettingValue => ({
    TagSet: tagsOfText(text.value).map(([name, tag]) => ({ Key: name, Value: tag })),
  })
  return (
    <ValueDialog {...props} {...{ title: "Tags", toValue }} isValid={tagsOfText(text.value).length > 0}>
      <TextAreaField label="Tags" value={text} rows={5} isCode hint="One key=value on a line; policies can name them" />
    </ValueDialog>
  )
}

export function TagsLine(props: LineProps) {
  const tags = tagsIn(props.found.value)
  return (
    <EditLine
      {...props}
      title="Tags"
      hint="Labels of the bucket, for sorting and billing."
      summary={`${listText(tags.map(([name, tag]) => `${name}=${tag}`))}.`}
      dialog={close => <TagsDialog {...props} onClose={close} />}
    />
  )
}
