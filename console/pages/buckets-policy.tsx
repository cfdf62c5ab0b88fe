/** The access policy of a bucket, with a check while it is typed and a simulator. */
import { useSignal } from "@preact/signals"
import type { BucketSetting } from "../api/shapes.js"
import { useAction } from "../parts/action.js"
import { ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { Form } from "../parts/fields.js"
import { Section } from "../parts/page.js"
import { isSendable, PolicyEditor, usePolicyCheck } from "../parts/policy-editor.js"
import { PolicySimulator } from "../parts/policy-simulator.js"
import { toast } from "../parts/toast.js"
import { parseValue, replaceSetting, saveSetting } from "./buckets-api.js"

export function PolicyTab(props: {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, found, onSaved } = props
  const subject = { kind: "resource", bucket } as const
  const text = useSignal(found.value === undefined ? "" : JSON.stringify(found.value, undefined, 2))
  const check = usePolicyCheck(subject, text)
  const isReady = isSendable(check)
  const save = useAction(async () => {
    await replaceSetting(bucket, found, parseValue(text.value))
    toast(`Saved: policy of ${bucket}`)
    await onSaved()
  })
  return (
    <>
      <Section
        title="Policy"
        hint={found.isSet ? undefined : "The bucket has no policy: its account decides who may use it."}
      >
        <Form label="Policy" onSubmit={() => isReady && void save.run()} problem={save.problem} isBusy={save.isBusy}>
          {/* The saved policy takes the place of what is shown: a change before that would be lost. */}
          <div inert={save.isBusy}>
            <PolicyEditor {...{ subject, check }} value={text} label="Policy of the bucket" />
          </div>
          <div class="actions">
            <Button type="submit" kind="primary" isDisabled={!isReady} isBusy={save.isBusy}>
              Save policy
            </Button>
            {found.isSet && (
              <ConfirmButton
                title="Remove the policy"
                question={`Only the account that owns ${bucket} decides then who may use it.`}
                work={async () => {
                  await saveSetting(bucket, "policy", undefined)
                  await onSaved()
                }}
                done={`Removed: policy of ${bucket}`}
              >
                Remove the policy
              </ConfirmButton>
            )}
          </div>
        </Form>
      </Section>
      <Section title="Try the policy" hint="What a request would be answered. Nothing is saved.">
        <PolicySimulator subject={subject} policy={text} />
      </Section>
    </>
  )
}
