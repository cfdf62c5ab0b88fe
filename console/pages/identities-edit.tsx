/** The terms of a user or role: tags, and of a role its description and the longest session. Only what differs is sent. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import type { Role, User } from "../api/shapes.js"
import { FormDialog } from "../parts/dialog.js"
import { TextAreaField, TextField } from "../parts/fields.js"
import { tagsOfText, textOfTags } from "../parts/tags.js"
import { toast } from "../parts/toast.js"
import { accountPath } from "./identities-api.js"

/** The hours that the store accepts as the longest session of a role. */
const [HOURS_MIN, HOURS_MAX] = [1, 12]
const HOUR_SECONDS = 3_600

type Terms = Pick<User, "tags"> & Partial<Pick<Role, "description" | "sessionSecondsMax">>

/** Tags to set and keys to remove, if any. */
function tagChanges(before: User["tags"], after: User["tags"]): object {
  const set = Object.entries(after).filter(([key, value]) => before[key] !== value)
  const removed = Object.keys(before).filter(key => after[key] === undefined)
  return {
    ...(set.length === 0 ? {} : { tags: Object.fromEntries(set) }),
    ...(removed.length === 0 ? {} : { removedTags: removed }),
  }
}

export function TermsDialog(props: {
  readonly account: string
  readonly kind: "user" | "role"
  readonly name: string
  readonly terms: Terms
  readonly onClose: () => void
  readonly onDone: () => void
}) {
  const { account, kind, name, terms, onClose, onDone } = props
  const tags = useSignal(textOfTags(Object.entries(terms.tags)))
  const description = useSignal(terms.description ?? "")
  const hours = useSignal(String((terms.sessionSecondsMax ?? 0) / HOUR_SECONDS))
  const count = Number(hours.value)
  const isValid = kind === "user" || (count >= HOURS_MIN && count <= HOURS_MAX)
  const save = async (): Promise<void> => {
    const sessionSecondsMax = Math.round(count * HOUR_SECONDS)
    const ofRole = {
      ...(description.value === terms.description ? {} : { description: description.value }),
      ...(sessionSecondsMax === terms.sessionSecondsMax ? {} : { sessionSecondsMax }),
    }
    const changes = tagChanges(terms.tags, Object.fromEntries(tagsOfText(tags.value)))
    await api.post(accountPath(account, `${kind}s`, name), kind === "role" ? { ...ofRole, ...changes } : changes)
    toast(`Saved ${name}`)
    onDone()
  }
  return (
    <FormDialog title={`Edit ${kind} ${name}`} action="Save" isValid={isValid} work={save} onClose={onClose}>
      {kind === "role" && (
        <>
          <TextField label="Description" value={description} />
          <TextField
            label="Longest session, in hours"
            type="number"
            min={HOURS_MIN}
            max={HOURS_MAX}
            step="any"
            value={hours}
            error={isValid ? undefined : `From ${HOURS_MIN} to ${HOURS_MAX} hours.`}
            hint="Sessions that exist keep theirs"
          />
        </>
      )}
      <TextAreaField label="Tags" value={tags} rows={5} isCode hint="One key=value on a line; policies can name them" />
    </FormDialog>
  )
}
