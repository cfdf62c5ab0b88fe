/**
 * MinIO's users, groups, policies and access keys into the root account of a store, with their secrets: clients go on with
 * their keys.
 *
 * Promises  What is there already stays as it is: a second run changes nothing, but disables keys that MinIO has disabled, which
 *           a run that was interrupted may have left active. Each one that could not be made is named, with why, and does not
 *           stop the others.
 */
import type { z } from "zod"
import { IDENTITY_SCHEMAS, KEY } from "@hayloft/admin/index.js"
import { RemoteFailure, type AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { CliError, messageOf } from "../exit-codes.js"
import type { IdentityFile, MinioGroup, MinioServiceKey } from "../minio-disks/index.js"
import { printable } from "../text.js"
import type { TransferRun } from "../transfer/transfer-run.js"

type OfKind<Kind extends IdentityFile["kind"]> = Extract<IdentityFile, { readonly kind: Kind }>

const { GROUP, MANAGED_POLICY, USER } = IDENTITY_SCHEMAS
const ACCOUNT = "/v1/accounts/~"
const segment = encodeURIComponent

interface IdentityOptions {
  /** Keys of MinIO's root user become keys of the root account; undefined: it is not known. */
  readonly rootUser: string | undefined
}

export async function importIdentities(
  files: readonly IdentityFile[],
  client: AdminClient,
  run: TransferRun,
  options: IdentityOptions,
): Promise<void> {
  const importing = new IdentityImport(client, run, options)
  const of = <Kind extends IdentityFile["kind"]>(kind: Kind): readonly OfKind<Kind>[] =>
    files.filter((file): file is OfKind<Kind> => file.kind === kind)
  for (const policy of of("policy")) await importing.each(`policy ${policy.name}`, () => importing.policy(policy))
  const users = new Map<string, boolean>()
  for (const { key } of of("user")) {
    users.set(key.accessKeyId, key.isActive)
    await importing.each(`user ${key.accessKeyId}`, () => importing.user(key))
  }
  const inactive = new Set<string>()
  for (const { group } of of("group")) {
    if (!group.isActive) inactive.add(group.name)
    await importing.each(`group ${group.name}`, () => importing.group(group))
  }
  for (const { to, name, policies } of of("attached")) {
    for (const policy of policies)
      await importing.each(`policy ${policy} of ${to} ${name}`, () => {
        if (to === "group" && inactive.has(name))
          throw new CliError("failed", "not attached, since the group is disabled in MinIO")
        return importing.attach(to, name, policy)
      })
  }
  for (const { key } of of("serviceKey"))
    await importing.each(`key ${key.accessKeyId}`, () => importing.serviceKey(key, users))
  await importing.tell()
}

class IdentityImport {
  #made = 0
  #unchanged = 0

  constructor(
    private readonly client: AdminClient,
    private readonly run: TransferRun,
    private readonly options: IdentityOptions,
  ) {}

  /** `work` returns false if everything was there. */
  async each(name: string, work: () => Promise<boolean>): Promise<void> {
    try {
      if (await work()) this.#made += 1
      else this.#unchanged += 1
    } catch (error) {
      if (error instanceof Error && error.name === "AbortError") throw error
      this.run.problem(`${printable(name)}: ${messageOf(error)}`)
    }
  }

  async policy({ name, document }: OfKind<"policy">): Promise<boolean> {
    const found = await this.#find(MANAGED_POLICY, `${ACCOUNT}/policies/${segment(name)}`)
    if (found === undefined || found.isBuiltIn) {
      await this.client.post(`${ACCOUNT}/policies`, { name, document, path: "/", description: "", tags: {} })
      return true
    }
    if (JSON.stringify(found.document) !== JSON.stringify(document))
      throw new CliError("failed", "not touched, since the store has another policy of this name")
    return false
  }

  async user({ accessKeyId: name, secretAccessKey, isActive }: OfKind<"user">["key"]): Promise<boolean> {
    const found = await this.#find(USER, `${ACCOUNT}/users/${segment(name)}`)
    if (found === undefined) await this.client.post(`${ACCOUNT}/users`, { name, path: "/", tags: {} })
    if (found?.keys.includes(name) === true) return !isActive && this.#disabled(name)
    await this.#key({ accessKeyId: name, secretAccessKey, userName: name }, isActive)
    return true
  }

  async group({ name, members }: MinioGroup): Promise<boolean> {
    const found = await this.#find(GROUP, `${ACCOUNT}/groups/${segment(name)}`)
    if (found === undefined) await this.client.post(`${ACCOUNT}/groups`, { name, path: "/" })
    for (const member of members) await this.client.put(`${ACCOUNT}/groups/${segment(name)}/members/${segment(member)}`)
    return found === undefined
  }

  async attach(to: "user" | "group", name: string, policy: string): Promise<boolean> {
    const path = `${ACCOUNT}/${to}s/${segment(name)}`
    const { attached } = checked(to === "user" ? USER : GROUP, await this.client.get(path))
    if (attached.some(arn => arn.slice(arn.lastIndexOf("/") + 1) === policy)) return false
    await this.client.post(`${path}/attach`, { policy })
    return true
  }

  /** `users`: with whether they are active. Keys of one that is not may do nothing in MinIO. */
  async serviceKey(key: MinioServiceKey, users: ReadonlyMap<string, boolean>): Promise<boolean> {
    const { accessKeyId, secretAccessKey, parent, description, expiresMs, policy } = key
    const isOfUser = users.has(parent)
    const isActive = key.isActive && users.get(parent) !== false
    if (!isOfUser && parent !== this.options.rootUser) {
      const advice = `if that is the root user of this MinIO, set MINIO_ROOT_USER=${parent}`
      throw new CliError("failed", `not imported, since its owner ${parent} is not a user in these files: ${advice}`)
    }
    const found = await this.#find(KEY, `/v1/keys/${segment(accessKeyId)}`)
    if (found !== undefined) {
      if (found.userName === (isOfUser ? parent : undefined)) return !isActive && this.#disabled(accessKeyId)
      throw new CliError("failed", "not touched, since the store has a key of this name for somebody else")
    }
    const terms = {
      ...(description !== "" && { description }),
      ...(expiresMs !== undefined && { expiresMs }),
      ...(policy !== undefined && { policy }),
    }
    await this.#key({ accessKeyId, secretAccessKey, ...(isOfUser && { userName: parent }), ...terms }, isActive)
    return true
  }

  async #key(
    body: { readonly accessKeyId: string } & Readonly<Record<string, unknown>>,
    isActive: boolean,
  ): Promise<void> {
    await this.client.post("/v1/keys", body)
    if (!isActive) await this.#disable(body.accessKeyId)
  }

  async #disable(accessKeyId: string): Promise<void> {
    await this.client.post(`/v1/keys/${segment(accessKeyId)}/disable`, {})
  }

  /** Returns false if it is disabled already. */
  async #disabled(accessKeyId: string): Promise<boolean> {
    if ((await this.#find(KEY, `/v1/keys/${segment(accessKeyId)}`))?.isActive !== true) return false
    await this.#disable(accessKeyId)
    return true
  }

  async #find<Schema extends z.ZodType>(schema: Schema, path: string): Promise<z.output<Schema> | undefined> {
    try {
      return checked(schema, await this.client.get(path))
    } catch (error) {
      if (error instanceof RemoteFailure && error.status === 404) return undefined
      throw error
    }
  }

  async tell(): Promise<void> {
    const [identities, unchanged] = [this.#made, this.#unchanged]
    const text = `users, groups, policies and keys: ${identities} imported, ${unchanged} unchanged\n`
    await this.run.say({ identities, unchanged }, text)
  }
}
