/** Commands over the admin API for the contents of a store: accounts, keys, buckets. */
import type { z } from "zod"
import { ACCOUNT, ACCOUNTS, BUCKET, BUCKETS, KEY_WITH_SECRET, KEYS, USAGE_HISTORY, type KEY } from "../admin/index.js"
import { LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { readDocument } from "./document-file.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { growthRows } from "./growth-text.js"
import { explanationText, previewText } from "./lifecycle-text.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { parseRemote } from "./place.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { labelled, plural, printable, sizeText, tableText, timeText } from "./text.js"

export type AdminCommandOptions = StoreOptions & OutputOptions

/** The request omits undefined members. */
export interface NewKeyRequest {
  readonly accountId: string | undefined
  readonly userName: string | undefined
  readonly description: string | undefined
  readonly expiresMs: number | undefined
  readonly policy: string | undefined
}

export class AdminCommands {
  constructor(
    private readonly io: CliIo,
    private readonly options: AdminCommandOptions,
    private readonly signal: AbortSignal,
  ) {}

  async createAccount(request: { id?: string; displayName: string; email?: string }): Promise<void> {
    const account = checked(ACCOUNT, await this.#with(client => client.post("/v1/accounts", request)))
    await this.#answer(account, `created account ${account.id}\n`)
  }

  async accounts(): Promise<void> {
    const { accounts } = checked(ACCOUNTS, await this.#with(client => client.get("/v1/accounts")))
    const rows = accounts.map(({ id, number, displayName, email, createdMs }) => [
      timeText(createdMs),
      id,
      number,
      printable(displayName),
      printable(email),
    ])
    await this.#answerList(accounts, tableText(["CREATED", "ACCOUNT", "NUMBER", "NAME", "E-MAIL"], rows))
  }

  async createKey(request: NewKeyRequest): Promise<void> {
    await this.#answerKey(await this.#with(client => client.post("/v1/keys", request)))
  }

  async rotateKey(id: string): Promise<void> {
    await this.#answerKey(await this.#with(client => client.post(`/v1/keys/${encodeURIComponent(id)}/rotate`, {})))
  }

  async #answerKey(created: unknown): Promise<void> {
    const key = checked(KEY_WITH_SECRET, created)
    const lines = [labelled("access key", key.accessKeyId), labelled("secret key", key.secretAccessKey ?? "")]
    const text = `${lines.join("\n")}\n(shown this once)\n`
    await this.#answer(key, text)
  }

  async importKey(request: NewKeyRequest & { accessKeyId: string; secretAccessKey: string }): Promise<void> {
    const key = checked(KEY_WITH_SECRET, await this.#with(client => client.post("/v1/keys", request)))
    await this.#answer(key, `imported key ${key.accessKeyId}\n`)
  }

  async keys(accountId: string | undefined): Promise<void> {
    const { keys } = checked(KEYS, await this.#with(client => client.get("/v1/keys", { accountId })))
    const rows = keys.map(key => [
      timeText(key.createdMs),
      key.accessKeyId,
      this.#stateOf(key),
      key.lastUse === undefined ? "never" : timeText(key.lastUse.usedMs),
      key.userName ?? "(root)",
      key.accountId,
      printable(key.description ?? ""),
    ])
    const head = ["CREATED", "ACCESS KEY", "STATE", "LAST USED", "USER", "ACCOUNT", "DESCRIPTION"]
    await this.#answerList(keys, tableText(head, rows))
  }

  #stateOf({ isActive, expiresMs }: z.output<typeof KEY>): string {
    if (!isActive) return "disabled"
    if (expiresMs === undefined) return "active"
    return expiresMs <= this.io.clock.wallMs() ? "expired" : `until ${timeText(expiresMs)}`
  }

  async setKeyActive(id: string, isActive: boolean): Promise<void> {
    const verb = isActive ? "enable" : "disable"
    await this.#with(client => client.post(`/v1/keys/${encodeURIComponent(id)}/${verb}`, {}))
    await this.#answer({ accessKeyId: id, isActive }, `${verb}d key ${id}\n`)
  }

  async removeKey(id: string): Promise<void> {
    await this.#with(client => client.remove(`/v1/keys/${encodeURIComponent(id)}`))
    await this.#answer({ accessKeyId: id, deleted: 1 }, `deleted key ${id}\n`)
  }

  async createBucket(request: {
    name: string
    owner: string | undefined
    location: string | undefined
  }): Promise<void> {
    const bucket = checked(BUCKET, await this.#with(client => client.post("/v1/buckets", request)))
    await this.#answer(bucket, `created bucket ${bucket.name}\n`)
  }

  async buckets(owner: string | undefined): Promise<void> {
    const buckets = await this.#with(client => allBuckets(client, owner))
    const rows = buckets.map(({ name, createdMs, usage, ...bucket }) => [
      timeText(createdMs),
      name,
      String(usage.objects),
      sizeText(usage.bytes),
      bucket.owner,
    ])
    await this.#answerList(buckets, tableText(["CREATED", "BUCKET", "OBJECTS", "BYTES", "OWNER"], rows))
  }

  async bucket(name: string): Promise<void> {
    const path = `/v1/buckets/${encodeURIComponent(name)}`
    const { bucket, history } = await this.#with(async client => ({
      bucket: checked(BUCKET, await client.get(path)),
      history: checked(USAGE_HISTORY, await client.get(`${path}/usage`)),
    }))
    const { usage } = bucket
    const rows = [
      ["owner", bucket.owner],
      ["created", timeText(bucket.createdMs)],
      ["location", bucket.location || "none"],
      ["versioning", bucket.versioning],
      ["objects", String(usage.objects)],
      ["versions", String(usage.versions)],
      ["bytes", `${usage.bytes} (${sizeText(usage.bytes)})`],
      ["uploads", `${usage.uploads} in progress`],
      ["undelete", undeleteText(bucket)],
      ...growthRows(bucket, history),
    ]
    await this.#answer({ ...bucket, samples: history.samples }, tableText(["bucket", bucket.name], rows))
  }

  /** `place`: BUCKET/KEY, also as `s3://BUCKET/KEY`. */
  async explainLifecycle(place: string): Promise<void> {
    const { bucket, key } = parseRemote(place.startsWith("s3://") ? place : `s3://${place}`)
    if (key === "") throw new CliError("usage", "name the object as BUCKET/KEY")
    const path = `/v1/buckets/${encodeURIComponent(bucket)}/lifecycle/explain`
    const explained = checked(LIFECYCLE_EXPLANATION, await this.#with(client => client.get(path, { key })))
    await this.#answer(explained, explanationText(explained))
  }

  /** `file`: rules that are not set, in place of those of the bucket. */
  async previewLifecycle(bucket: string, file: string | undefined): Promise<void> {
    const path = `/v1/buckets/${encodeURIComponent(bucket)}/lifecycle/preview`
    const value = file === undefined ? undefined : await readDocument(this.io, file)
    const preview = checked(
      LIFECYCLE_PREVIEW,
      await this.#with(client => (value === undefined ? client.get(path) : client.post(path, { value }))),
    )
    await this.#answer(preview, previewText(preview))
  }

  async removeBucket(name: string): Promise<void> {
    await this.#with(client => client.remove(`/v1/buckets/${encodeURIComponent(name)}`))
    await this.#answer({ name, deleted: 1 }, `deleted bucket ${name}\n`)
  }

  #with<T>(use: (client: AdminClient) => Promise<T>): Promise<T> {
    return withAdmin(this.io, this.options, this.signal, use)
  }

  #answer(value: unknown, text: string): Promise<void> {
    return answer(this.io, this.options, value, text)
  }

  #answerList(values: readonly unknown[], text: string): Promise<void> {
    return answerList(this.io, this.options, values, text)
  }
}

function undeleteText({ undeleteDays, usage: { kept } }: z.output<typeof BUCKET>): string {
  const on = undeleteDays === undefined ? "off" : plural(undeleteDays, "day")
  if (kept === undefined) return `${on}; how much is kept is lost`
  return kept.objects === 0 ? on : `${on}; keeps ${plural(kept.objects, "deleted object")}, ${sizeText(kept.bytes)}`
}

async function allBuckets(client: AdminClient, owner: string | undefined): Promise<z.output<typeof BUCKET>[]> {
  const buckets: z.output<typeof BUCKET>[] = []
  let after: string | undefined
  do {
    const page = checked(BUCKETS, await client.get("/v1/buckets", { owner, after, max: "1000" }))
    buckets.push(...page.buckets)
    after = page.next
  } while (after !== undefined)
  return buckets
}
