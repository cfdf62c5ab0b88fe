/** The question before uploads that would replace objects: once for all that were chosen together. */
import { signal } from "@preact/signals"
import { asApiError } from "../api/client.js"
import { presentKeys } from "../api/present.js"
import { addUploads } from "../api/uploads.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { countText, plural } from "../parts/format.js"
import { NameText } from "../parts/name-text.js"
import { toast } from "../parts/toast.js"
import type { Keeping } from "./objects-actions.js"

interface Named {
  readonly key: string
  readonly file: File
}

interface Question {
  readonly bucket: string
  readonly keeping: Keeping
  readonly files: readonly Named[]
  readonly present: ReadonlySet<string>
  /** The reason why it is not known whether there are others. */
  readonly doubt: string | undefined
}

/** The question that the dialog shows; undefined if nothing is asked. */
const question = signal<Question | undefined>(undefined)

const SHOWN = 5

async function questionOf(bucket: string, files: readonly Named[], keeping: Keeping): Promise<Question> {
  const keys = files.map(({ key }) => key)
  try {
    const { keys: present, isAll } = await presentKeys(bucket, keys)
    return {
      bucket,
      keeping,
      files,
      present,
      doubt: isAll ? undefined : "the bucket has too many names to look at all",
    }
  } catch (error) {
    return { bucket, keeping, files, present: new Set(), doubt: asApiError(error).message }
  }
}

/** Adds uploads; first asks if they would replace objects of which nothing is kept. */
export async function uploadAll(bucket: string, files: readonly Named[], keeping: Keeping): Promise<void> {
  const asked = await questionOf(bucket, files, keeping)
  const { present, doubt } = asked
  if (keeping?.versioning === "enabled" || (present.size === 0 && doubt === undefined)) {
    addUploads(bucket, files)
    if (present.size > 0)
      toast(
        `${plural(present.size, "object")} had ${present.size === 1 ? "that name: its" : "those names: their"} versions are kept`,
      )
  } else question.value = asked
}

/** Says what is left of an object that is replaced. */
function replacedText(keeping: Keeping): string {
  if (keeping === undefined) return "With versioning their versions stay; without it, what they hold now is gone."
  const { versioning, undeleteDays } = keeping
  if (versioning === "suspended")
    return "Versions that have an id stay. What was written while versioning is suspended is gone."
  if (undeleteDays === undefined)
    return "What they hold now is gone then: the bucket has neither versions nor undelete."
  return `Undelete keeps what they hold now for ${plural(undeleteDays, "day")}.`
}

export function ReplaceDialog() {
  if (question.value === undefined) return null
  const { bucket, keeping, files, present, doubt } = question.value
  const close = () => (question.value = undefined)
  const upload = (those: readonly Named[]) => {
    close()
    addUploads(bucket, those)
  }
  const added = files.filter(({ key }) => !present.has(key))
  const footer = (
    <>
      <Button onClick={close}>Cancel</Button>
      {present.size > 0 && added.length > 0 && (
        <Button onClick={() => upload(added)}>Upload the other {countText(added.length)}</Button>
      )}
      <Button kind="primary" onClick={() => upload(files)}>
        {present.size === 0 ? "Upload" : `Replace ${countText(present.size)}`}
      </Button>
    </>
  )
  return (
    <Dialog
      title={present.size === 0 ? "Upload" : `Replace ${plural(present.size, "object")}?`}
      onClose={close}
      footer={footer}
    >
      {present.size > 0 && (
        <p>
          {countText(present.size)} of {plural(files.length, "file")}{" "}
          {present.size === 1 ? "has the name" : "have names"} of objects in {bucket}. {replacedText(keeping)}
        </p>
      )}
      {doubt !== undefined && <p>Other files may replace objects, too: {doubt}.</p>}
      <ul class="object-key">
        {[...present].slice(0, SHOWN).map(key => (
          <li key={key}>
            <NameText name={key} />
          </li>
        ))}
        {present.size > SHOWN && <li>and {countText(present.size - SHOWN)} more</li>}
      </ul>
    </Dialog>
  )
}
