/** Writes users, groups, roles, policies and credentials into responses. */
import {
  BUILT_IN_POLICIES,
  identityArn,
  policyArn,
  type IssuedSession,
  type ManagedPolicyUse,
} from "@hayloft/access/index.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import type { AccountNumber } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import type { IdentityRecord, ManagedPolicyRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import { writeList } from "./paging.js"
import type { Tags } from "@hayloft/base/tags.js"

/** Responses contain policies percent-encoded. */
export const codedPolicy = (text: string): string => percentEncode(Buffer.from(text).toString("latin1"))

const ID_NAMES = { user: "User", group: "Group", role: "Role" } as const

/** The form used in lists: without tags and boundary. */
export function writeListed(xml: XmlWriter, identity: IdentityRecord, number: AccountNumber): void {
  const word = ID_NAMES[identity.kind]
  xml.text("Path", identity.path)
  xml.text(`${word}Name`, identity.name)
  xml.text(`${word}Id`, identity.id)
  xml.text("Arn", identityArn(number, identity))
  xml.text("CreateDate", isoDate(identity.createdMs))
  const { role } = identity
  if (role === undefined) return
  xml.text("AssumeRolePolicyDocument", codedPolicy(role.trust))
  if (role.description !== "") xml.text("Description", role.description)
  xml.text("MaxSessionDuration", role.sessionSecondsMax)
}

export function writeIdentity(xml: XmlWriter, identity: IdentityRecord, number: AccountNumber): void {
  writeListed(xml, identity, number)
  const { boundary, tags } = identity
  if (boundary !== undefined) {
    xml.group("PermissionsBoundary", limit =>
      limit.text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", boundary),
    )
  }
  if (tags.length > 0) writeTags(xml, tags)
}

export const writeTags = (xml: XmlWriter, tags: Tags): void =>
  writeList(xml, "Tags", tags, (member, [key, value]) => void member.text("Key", key).text("Value", value))

const builtInArn = ({ path, name }: ManagedPolicyRecord): string => `arn:aws:iam::aws:policy${path}${name}`

/** Returns true if the policy is a built-in one, which every account has. */
export const isBuiltIn = (record: ManagedPolicyRecord): boolean =>
  BUILT_IN_POLICIES.get(builtInArn(record))?.id === record.id

export const arnOfPolicy = (record: ManagedPolicyRecord, number: AccountNumber): string =>
  isBuiltIn(record) ? builtInArn(record) : policyArn(number, record)

export function writePolicy(
  xml: XmlWriter,
  record: ManagedPolicyRecord,
  arn: string,
  { attachments, boundaries }: ManagedPolicyUse,
): void {
  xml.text("PolicyName", record.name)
  xml.text("PolicyId", record.id)
  xml.text("Arn", arn)
  xml.text("Path", record.path)
  xml.text("DefaultVersionId", `v${record.defaultVersion}`)
  xml.text("AttachmentCount", attachments)
  xml.text("PermissionsBoundaryUsageCount", boundaries)
  xml.text("IsAttachable", true)
  if (record.description !== "") xml.text("Description", record.description)
  xml.text("CreateDate", isoDate(record.createdMs))
  xml.text("UpdateDate", isoDate(record.updatedMs))
  if (record.tags.length > 0) writeTags(xml, record.tags)
}

export function writeCredentials(xml: XmlWriter, { accessKeyId, secret, token, expiresMs }: IssuedSession): void {
  xml.group("Credentials", credentials => {
    credentials.text("AccessKeyId", accessKeyId).text("SecretAccessKey", secret).text("SessionToken", token)
    credentials.text("Expiration", isoDate(expiresMs))
  })
}
