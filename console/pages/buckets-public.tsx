/**
 * One switch for a bucket whose objects anybody may read: it sets the block on public access and the statement of the policy
 * together, and shows the address that anybody can use then.
 *
 * Promises  Statements that are not its own stay as they are. Nothing but reading single objects is opened: no listing.
 */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLiveValue } from "../api/live.js"
import type { BucketSettings, ValidatedPolicy } from "../api/shapes.js"
import { useAction } from "../parts/action.js"
import { Copyable } from "../parts/copy.js"
import { ConfirmDialog } from "../parts/dialog.js"
import { Section } from "../parts/page.js"
import { Switch } from "../parts/setting-line.js"
import { Notice } from "../parts/states.js"
import { toast } from "../parts/toast.js"
import { mayUse, s3Endpoint } from "../shell/session.js"
import { bucketPath, memberOf, saveSetting, settingIn } from "./buckets-api.js"

const SID = "PublicRead"
const BLOCKS = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] as const
/** These refuse a public policy, or have it do nothing. */
const OF_POLICIES: readonly string[] = ["BlockPublicPolicy", "RestrictPublicBuckets"]

const statementsOf = (policy: unknown): readonly unknown[] => {
  const found: unknown = Object.entries(policy ?? {}).find(([name]) => name === "Statement")?.[1]
  return Array.isArray(found) ? found : found === undefined ? [] : [found]
}

const ownOf = (bucket: string) => ({
  Effect: "Allow",
  Principal: "*",
  Action: "s3:GetObject",
  Resource: `arn:aws:s3:::${bucket}/*`,
})

/** Returns true for the statement of this switch, whatever its name, and not for another one of the same name. */
function isOwn(statement: unknown, bucket: string): boolean {
  const members = Object.entries(statement ?? {}).filter(([name]) => name !== "Sid")
  const own = Object.entries(ownOf(bucket))
  return members.length === own.length && own.every(([name, value]) => memberOf(statement, name) === value)
}

/** Returns a name that no statement has. */
function freeSid(statements: readonly unknown[]): string {
  const taken = statements.map(statement => memberOf(statement, "Sid"))
  let sid = SID
  for (let number = 2; taken.includes(sid); number += 1) sid = `${SID}${number}`
  return sid
}

/** The policy and the block as the store has them now: another tab may have changed them. */
async function storedOf(bucket: string) {
  const settings = await api.get<BucketSettings>(bucketPath(bucket, "settings"))
  const policy = settingIn(settings, "policy")?.value
  const others = statementsOf(policy).filter(statement => !isOwn(statement, bucket))
  return { policy, others, block: settingIn(settings, "public-access-block")?.value }
}

async function makePublic(bucket: string): Promise<void> {
  const { policy, others, block } = await storedOf(bucket)
  const blocks = BLOCKS.map(name => [name, !OF_POLICIES.includes(name) && memberOf(block, name) === true] as const)
  await saveSetting(bucket, "public-access-block", Object.fromEntries(blocks))
  try {
    const statements = [...others, { Sid: freeSid(others), ...ownOf(bucket) }]
    await saveSetting(bucket, "policy", { ...(policy ?? { Version: "2012-10-17" }), Statement: statements })
  } catch (error) {
    await saveSetting(bucket, "public-access-block", block)
    throw error
  }
}

async function makePrivate(bucket: string): Promise<void> {
  const { policy, others } = await storedOf(bucket)
  await saveSetting(bucket, "policy", others.length === 0 ? undefined : { ...policy, Statement: others })
  await saveSetting(bucket, "public-access-block", Object.fromEntries(BLOCKS.map(name => [name, true])))
}

/** Returns true if the policy admits the public in any way, by the rule of the server; undefined until it is known. */
function useAdmitsPublic(bucket: string, policy: unknown): boolean | undefined {
  const text = policy === undefined || !mayUse("validatePolicy") ? undefined : JSON.stringify(policy)
  const asked = { text, kind: "resource", bucket }
  const live = useLiveValue(text, signal => api.post<ValidatedPolicy>("/v1/policy/validate", asked, { signal }))
  return live.value?.isPublic
}

/** Says what the switch alone does not: the policy admits the public in another way, or has no effect. */
function noteOf(found: { readonly isSet: boolean; readonly isHeld: boolean; readonly admits: boolean | undefined }) {
  const { isSet, isHeld, admits } = found
  if (isHeld)
    return isSet || admits === true ? "The policy admits the public, but public access is blocked." : undefined
  return !isSet && admits === true
    ? "Not by this switch, but a statement of the policy admits the public: see Policy."
    : undefined
}

export function PublicSection(props: {
  readonly bucket: string
  readonly settings: BucketSettings
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, settings, onSaved } = props
  const isAsking = useSignal(false)
  const policy = settingIn(settings, "policy")
  const block = settingIn(settings, "public-access-block")?.value
  const isSet = statementsOf(policy?.value).some(statement => isOwn(statement, bucket))
  const isHeld = memberOf(block, "RestrictPublicBuckets") === true
  const isPublic = isSet && !isHeld
  const note = noteOf({ isSet, isHeld, admits: useAdmitsPublic(bucket, policy?.value) })
  const hasDenials = statementsOf(policy?.value).some(statement => memberOf(statement, "Effect") === "Deny")
  const change = useAction(async () => {
    await (isPublic ? makePrivate : makePublic)(bucket)
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
          {isPublic && <Copyable label="public address" text={address} />}
          {isPublic && hasDenials && <p class="hint">Other statements of the policy refuse some requests.</p>}
          {!isPublic && note === undefined && <p class="hint">Off: only those whom policies and lists allow.</p>}
        </div>
      </div>
      {note !== undefined && <Notice kind={isHeld ? "info" : "warning"}>{note}</Notice>}
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
