/**
 * One switch for a bucket whose objects anybody may read: it sets the block on public access and the statement of the policy
 * together, and shows the address that anybody can use then.
 *
 * Promises  Statements that are not its own stay as they are. Nothing but reading single objects is opened: no listing.
 */
import { useSignal } from "@preact/signals"
import type { BucketSettings } from "../api/shapes.js"
import { useAction } from "../parts/action.js"
import { Copyable } from "../parts/copy.js"
import { ConfirmDialog } from "../parts/dialog.js"
import { Section } from "../parts/page.js"
import { Switch } from "../parts/setting-line.js"
import { Notice } from "../parts/states.js"
import { toast } from "../parts/toast.js"
import { s3Endpoint } from "../shell/session.js"
import { memberOf, saveSetting, settingIn } from "./buckets-api.js"

const SID = "PublicRead"
const BLOCKS = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] as const
/** These refuse a public policy, or have it do nothing. */
const OF_POLICIES: readonly string[] = ["BlockPublicPolicy", "RestrictPublicBuckets"]

const statementsOf = (policy: unknown): readonly unknown[] => {
  const found: unknown = Object.entries(policy ?? {}).find(([name]) => name === "Statement")?.[1]
  return Array.isArray(found) ? found : found === undefined ? [] : [found]
}
const isOwn = (statement: unknown): boolean => memberOf(statement, "Sid") === SID

async function makePublic(bucket: string, settings: BucketSettings): Promise<void> {
  const [policy, block] = [settingIn(settings, "policy")?.value, settingIn(settings, "public-access-block")?.value]
  const blocks = BLOCKS.map(name => [name, !OF_POLICIES.includes(name) && memberOf(block, name) === true] as const)
  await saveSetting(bucket, "public-access-block", Object.fromEntries(blocks))
  const own = {
    Sid: SID,
    Effect: "Allow",
    Principal: "*",
    Action: "s3:GetObject",
    Resource: `arn:aws:s3:::${bucket}/*`,
  }
  const others = statementsOf(policy).filter(statement => !isOwn(statement))
  await saveSetting(bucket, "policy", { ...(policy ?? { Version: "2012-10-17" }), Statement: [...others, own] })
}

async function makePrivate(bucket: string, settings: BucketSettings): Promise<void> {
  const policy = settingIn(settings, "policy")?.value
  const others = statementsOf(policy).filter(statement => !isOwn(statement))
  await saveSetting(bucket, "policy", others.length === 0 ? undefined : { ...policy, Statement: others })
  await saveSetting(bucket, "public-access-block", Object.fromEntries(BLOCKS.map(name => [name, true])))
}

export function PublicSection(props: {
  readonly bucket: string
  readonly settings: BucketSettings
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, settings, onSaved } = props
  const isAsking = useSignal(false)
  const policy = settingIn(settings, "policy")
  const isPublic = statementsOf(policy?.value).some(isOwn)
  const change = useAction(async () => {
    await (isPublic ? makePrivate : makePublic)(bucket, settings)
    isAsking.value = false
    toast(isPublic ? `${bucket} is private` : `Anybody may read the objects of ${bucket}`)
    await onSaved()
  })
  if (policy?.refused !== undefined) return null
  const address = `${s3Endpoint()}/${bucket}/`
  return (
    <Section title="Public">
      <div class="switch-line">
        <Switch
          label="Anybody may read its objects"
          isOn={isPublic}
          isDisabled={change.isBusy}
          onChange={isOn => (isOn ? (isAsking.value = true) : void change.run())}
        />
        <div>
          <p>Anybody may read its objects</p>
          {isPublic ? (
            <Copyable label="public address" text={address} />
          ) : (
            <p class="hint">Off: only those whom policies allow. Nobody can list it either way.</p>
          )}
        </div>
      </div>
      {change.problem.value !== undefined && !isAsking.value && <Notice kind="danger">{change.problem.value}</Notice>}
      {isAsking.value && (
        <ConfirmDialog
          title="Make the bucket public"
          action="Make public"
          isBusy={change.isBusy}
          onConfirm={() => void change.run()}
          onClose={() => (isAsking.value = false)}
        >
          <p>
            Anybody who knows the name of an object reads it at <code>{address}</code>, without a key. Listing, writing
            and deleting stay as they are.
          </p>
          {change.problem.value !== undefined && <Notice kind="danger">{change.problem.value}</Notice>}
        </ConfirmDialog>
      )}
    </Section>
  )
}
