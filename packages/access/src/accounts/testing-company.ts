/** Metadata with one account, and commands on its users, groups, roles, policies and keys: for tests of these. */
import assert from "node:assert/strict"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, type AccessKeyId } from "@hayloft/base/ids.js"
import type { AccessKeyRecord, IdentityKind, IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { addAccessKey, createAccount } from "./account-commands-core.js"
import { createIdentity, findIdentity } from "../identities/identity-commands-core.js"
import { membershipRange } from "../identities/identity-links-core.js"
import { readLinked } from "../identities/identity-queries-core.js"
import { createPolicy } from "../identities/managed-policy-commands-core.js"

export const accountId = parseAccountId("company")
export const ALLOW_ALL = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: "s3:*", Resource: "*" }],
})

export async function newCompany() {
  const metadata = new MemoryMetadata()
  const { number } = await metadata.run(createAccount({ id: accountId, displayName: "Company", email: "" }))
  const ref = (kind: IdentityKind, name: string) => ({ accountId, kind, name })
  const create = (kind: IdentityKind, name: string, change: Partial<IdentityRecord> = {}) =>
    metadata.run(
      createIdentity(accountId, {
        kind,
        name,
        path: "/",
        id: `id of ${name}`,
        tags: [],
        inline: [],
        attached: [],
        boundary: undefined,
        groups: [],
        keys: [],
        role: undefined,
        ...change,
      }),
    )
  const policy = async (name: string, path = "/") => {
    await metadata.run(createPolicy(accountId, { name, path, id: "id", description: "", tags: [] }, ALLOW_ALL))
    return `arn:aws:iam::${number}:policy${path}${name}`
  }
  const find = (kind: IdentityKind, name: string) => findIdentity(metadata.committed, ref(kind, name))
  const linked = async (membership: string) => {
    const page = await metadata.ask(readLinked(accountId, membership, membershipRange(accountId, membership).start))
    return page.items.map(({ name }) => name)
  }
  return { metadata, number, ref, create, policy, find, linked, user: ref("user", "Ann") }
}
export type Company = Awaited<ReturnType<typeof newCompany>>

export const refuses = (run: Promise<unknown>, kind: FailureKind, message?: RegExp): Promise<void> =>
  assert.rejects(run, error => {
    if (!isFailure(error, kind)) throw error
    if (message) assert.match(String(error.details["message"]), message)
    return true
  })
export const keyId = (number: number): AccessKeyId => parseAccessKeyId(`AKIA${String(number).padStart(16, "0")}`)
export const addKey = (
  { metadata }: Company,
  number: number,
  userName?: string,
  service?: AccessKeyRecord["service"],
): Promise<AccessKeyRecord> =>
  metadata.run(addAccessKey(keyId(number), { accountId, userName, sealedSecret: new Uint8Array(40), service }))
