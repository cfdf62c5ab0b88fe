/** Copies of a bucket in another store: where they go, how far they are, what was not copied; pausing, filling again, and the setting. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { BucketCopies, BucketSetting } from "../api/shapes.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { Form, TextField } from "../parts/fields.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { Facts, Section } from "../parts/page.js"
import { EmptyState, Loaded, Notice } from "../parts/states.js"
import { mayUse } from "../shell/session.js"
import { bucketPath, saveSetting } from "./buckets-api.js"

const EVERY_MS = 5_000

function lagText({ objects, bytes, seconds, isCut }: BucketCopies["lag"]): string {
  if (objects === 0) return "nothing"
  return `${isCut ? "more than " : ""}${countText(objects)} changes, ${sizeText(bytes)}, ${countText(Math.ceil(seconds))} s`
}

const PHASES = {
  waiting: "nothing was copied yet",
  filling: "the objects that are there are sent",
  following: "each change is sent",
} as const

function Figures({ copies }: { readonly copies: BucketCopies }) {
  const { target, phase, sinceMs, place, lag, copiedTo, isPaused, fills } = copies
  return (
    <Facts
      facts={[
        ["Target", `${target.store}/${target.bucket}/${target.prefix}`],
        ["State", `${isPaused ? "paused, " : ""}${phase}: ${PHASES[phase]}`],
        ["Since", sinceMs === undefined ? "–" : timeText(sinceMs)],
        ["Lag", lagText(lag)],
        ["Copied to", copiedTo ?? "–"],
        ...(place === undefined ? [] : [["Filled up to", <code key="place">{place}</code>] as const]),
        ...(fills > 1 ? [["Filled", `${countText(fills)} times`] as const] : []),
        ["Removals", target.deletes ? "copied" : "not copied"],
      ]}
    />
  )
}

function Parked({ copies: { parked, hasMoreParked } }: { readonly copies: BucketCopies }) {
  if (parked.length === 0) return null
  return (
    <Section title="Not copied" hint="These objects hold up no others.">
      <Facts
        facts={parked.map(({ key, reason, nextMs }) => [
          key,
          `${reason} ${nextMs === undefined ? "Only a change of the object helps." : `Next attempt: ${timeText(nextMs)}`}`,
        ])}
      />
      {hasMoreParked && <p>Others follow: hayloft copies status.</p>}
    </Section>
  )
}

function Copies({ bucket, onSaved }: { readonly bucket: string; readonly onSaved: () => Promise<void> }) {
  const path = bucketPath(bucket, "copies")
  const live = useLive<BucketCopies>(path, EVERY_MS)
  const act = (word: string) => async (): Promise<void> => {
    await api.post(`${path}/${word}`, {})
    live.refresh()
  }
  const remove = async (): Promise<void> => {
    await saveSetting(bucket, "copies", undefined)
    await onSaved()
  }
  return (
    <Loaded live={live}>
      {copies => (
        <>
          {copies.error !== undefined && <Notice kind="warning">{copies.error}</Notice>}
          <Section title="How far it is">
            <Figures copies={copies} />
            {mayUse("pauseCopies") && (
              <div class="actions">
                <ActionButton
                  work={act(copies.isPaused ? "resume" : "pause")}
                  done={copies.isPaused ? "The copies go on" : "The copies are paused"}
                >
                  {copies.isPaused ? "Resume" : "Pause"}
                </ActionButton>
                <ActionButton work={act("fill")} done="All objects are compared with the target">
                  Compare all objects
                </ActionButton>
                <ConfirmButton
                  kind="danger"
                  title="End the copies"
                  question={`From then on changes of ${bucket} are not copied. What the target has stays there.`}
                  work={remove}
                  done="The bucket is not copied any more"
                >
                  End the copies
                </ConfirmButton>
              </div>
            )}
          </Section>
          <Parked copies={copies} />
        </>
      )}
    </Loaded>
  )
}

function Begin({ bucket, onSaved }: { readonly bucket: string; readonly onSaved: () => Promise<void> }) {
  const [store, target, prefix] = [useSignal(""), useSignal(""), useSignal("")]
  const begin = async (): Promise<void> => {
    await saveSetting(bucket, "copies", { store: store.value, bucket: target.value, prefix: prefix.value })
    await onSaved()
  }
  if (!mayUse("setBucketSetting")) return <EmptyState title="This bucket is not copied" />
  return (
    <Section
      title="Copy to another store"
      hint="Each change of the bucket is sent seconds later. What is there is sent first. The operator's file names the stores."
    >
      <Form label="Copy to another store" onSubmit={() => undefined}>
        <TextField label="Store" value={store} isCode isRequired hint="As the file of --remotes names it" />
        <TextField label="Bucket there" value={target} isCode isRequired />
        <TextField label="Prefix there" value={prefix} isCode hint="Empty: none" />
        <div class="actions">
          <ActionButton
            isDisabled={store.value === "" || target.value === ""}
            work={begin}
            done={`Changes of ${bucket} are copied`}
          >
            Begin
          </ActionButton>
        </div>
      </Form>
    </Section>
  )
}

export function CopiesTab(props: {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, found, onSaved } = props
  return found.isSet ? <Copies bucket={bucket} onSaved={onSaved} /> : <Begin bucket={bucket} onSaved={onSaved} />
}
