/**
 * An access control list as a client requests it: by the name of a canned list, by grant headers, or as a
 * document. `access-control.ts` looks up the grantees afterwards.
 *
 * Refuses  `malformedAcl` for an invalid document and for more than `GRANTS_MAX` grants; `invalidArgument`
 *          for names, groups and headers that S3 does not have; `invalidRequest` for two lists in one request.
 * Source   "Access control list (ACL) overview", Amazon S3 User Guide.
 */
import { ACL_GROUPS, ACL_PERMISSIONS, CANNED_ACLS, GRANTS_MAX } from "@hayloft/access/index.js"
import type { AclGroup, AclPermission, AclResource, CannedAcl, Grantee } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseAccountId, textOfObjectKey } from "@hayloft/base/ids.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

export const ACL_DOCUMENT = "AccessControlPolicy"
export const ACL_HEADER = "x-amz-acl"
const GRANT_HEADER = "x-amz-grant-"
/** Headers by the permission that they grant. */
export const GRANT_HEADERS: ReadonlyMap<string, AclPermission> = new Map(
  ACL_PERMISSIONS.map(permission => [GRANT_HEADER + permission.toLowerCase().replace("_", "-"), permission]),
)

/** A grantee that may turn out not to exist. */
export type RequestedGrantee = Grantee | { readonly kind: "email"; readonly email: string }

export interface RequestedGrant {
  readonly grantee: RequestedGrantee
  readonly permission: AclPermission
}

export type RequestedAcl =
  | { readonly kind: "canned"; readonly name: CannedAcl }
  | {
      readonly kind: "grants"
      /** Only a document names the owner; headers leave it unchanged. */
      readonly owner: AccountId | undefined
      readonly grants: readonly RequestedGrant[]
    }

const URIS: Readonly<Record<AclGroup, string>> = {
  AllUsers: "http://acs.amazonaws.com/groups/global/AllUsers",
  AuthenticatedUsers: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
  LogDelivery: "http://acs.amazonaws.com/groups/s3/LogDelivery",
}

const invalid = (message: string | undefined, argumentName: string, value: string): Failure =>
  fail("invalidArgument", { message, argumentName, argumentValue: value.slice(0, 200) })
const malformed = (reason: string): Failure => fail("malformedAcl", { reason })

function accountOf(text: string): AccountId {
  try {
    return parseAccountId(text)
  } catch {
    throw invalid("Invalid id", "CanonicalUser/ID", text)
  }
}

function groupOf(uri: string): AclGroup {
  const group = ACL_GROUPS.find(known => URIS[known] === uri)
  if (group === undefined) throw invalid("Invalid group uri", "Group/URI", uri)
  return group
}

const checkNumber = (grants: readonly RequestedGrant[]): readonly RequestedGrant[] => {
  if (grants.length > GRANTS_MAX) throw malformed(`a list has at most ${GRANTS_MAX} grants`)
  return grants
}

const HARMLESS: ReadonlySet<string> = new Set<CannedAcl>(["private", "bucket-owner-full-control", "bucket-owner-read"])

/**
 * Returns true for a canned list that grants only the owner, and the bucket's owner: where the bucket owner owns all objects
 * it states what holds anyway. Many programs send one with every request.
 */
export const isHarmless = (canned: string): boolean => HARMLESS.has(canned.toLowerCase())

/** Returns true if the headers request such a list and no other. */
export const requestsHarmlessList = (headers: Headers): boolean =>
  isHarmless(headers.get(ACL_HEADER) ?? "") && ![...GRANT_HEADERS.keys()].some(name => headers.has(name))

/** Throws `invalidArgument` for a list in a request that creates nothing that could have one. */
export function checkNoAcl(headers: Headers): void {
  const canned = headers.get(ACL_HEADER)
  const stray = [...GRANT_HEADERS.keys()].find(name => headers.has(name))
  if (stray === undefined && (canned === undefined || isHarmless(canned))) return
  throw invalid(
    "This request takes no access control list.",
    stray ?? ACL_HEADER,
    headers.get(stray ?? ACL_HEADER) ?? "",
  )
}

/** @returns undefined if the headers request no list. */
export function aclOfHeaders(headers: Headers, resource: AclResource): RequestedAcl | undefined {
  const canned = headers.get(ACL_HEADER)
  const granting = [...GRANT_HEADERS].filter(([name]) => headers.has(name))
  if (canned === undefined && granting.length === 0) return undefined
  if (canned === undefined) {
    const grants = granting.flatMap(([name, permission]) => grantsOf(name, headers.get(name) ?? "", permission))
    return { kind: "grants", owner: undefined, grants: checkNumber(grants) }
  }
  if (granting.length > 0) {
    throw fail("invalidRequest", { message: "Specifying both Canned ACLs and Header Grants is not allowed" })
  }
  const name = CANNED_ACLS.find(known => known === canned.toLowerCase())
  if (name === undefined || (name === "log-delivery-write" && resource === "object")) {
    throw invalid(undefined, ACL_HEADER, canned)
  }
  return { kind: "canned", name }
}

/** `id="…"`, `emailAddress=…`, `uri="…"`, and the separator before the next one. */
const GRANTEE = /[ \t]*(id|emailAddress|uri)[ \t]*=[ \t]*(?:"([^"]*)"[ \t]*|([^", \t][^",]*)?)(?:,|$)/iy

function grantsOf(header: string, value: string, permission: AclPermission): RequestedGrant[] {
  const grants: RequestedGrant[] = []
  GRANTEE.lastIndex = 0
  while (GRANTEE.lastIndex < value.length) {
    const [whole, kind, quoted, bare = ""] = GRANTEE.exec(value) ?? []
    if (whole === undefined || kind === undefined) throw invalid(undefined, header, value)
    grants.push({
      grantee: namedGrantee(kind.toLowerCase(), textOfObjectKey(quoted ?? withoutTrailing(bare, " \t"))),
      permission,
    })
  }
  if (grants.length === 0) throw invalid(undefined, header, value)
  return grants
}

function namedGrantee(kind: string, name: string): RequestedGrantee {
  if (kind === "id") return { kind: "account", id: accountOf(name) }
  return kind === "uri" ? { kind: "group", group: groupOf(name) } : { kind: "email", email: name }
}

/** Parses a list document. Throws `malformedAcl`, `invalidArgument`. */
export function aclOfDocument(root: XmlElement): {
  readonly owner: AccountId
  readonly grants: readonly RequestedGrant[]
} {
  const [owner, list] = membersOf(root, ["Owner", "AccessControlList"])
  if (owner === undefined || list === undefined) throw malformed("Owner and AccessControlList are needed")
  const [id] = membersOf(owner, ["ID", "DisplayName"])
  if (list.children.some(({ name }) => name !== "Grant")) throw malformed("a list has grants, and nothing else")
  return { owner: accountOf(textOf(id, "ID")), grants: checkNumber(list.children.map(grantOf)) }
}

/** Children by name; undefined for a missing one. */
function membersOf(parent: XmlElement, names: readonly string[]): readonly (XmlElement | undefined)[] {
  const found = names.map(name => parent.children.filter(child => child.name === name))
  if (found.flat().length < parent.children.length || found.some(({ length }) => length > 1)) {
    throw malformed(`${parent.name.slice(0, 80)} has ${names.join(", ")}, each once`)
  }
  return found.map(([child]) => child)
}

function textOf(element: XmlElement | undefined, name: string): string {
  if (element === undefined || element.children.length > 0) throw malformed(`${name} is needed, and holds text`)
  return element.text.trim()
}

function grantOf(grant: XmlElement): RequestedGrant {
  const [grantee, word] = membersOf(grant, ["Grantee", "Permission"])
  if (grantee === undefined) throw malformed("Grantee is needed")
  const permission = ACL_PERMISSIONS.find(known => known === textOf(word, "Permission"))
  if (permission === undefined) throw malformed(`Permission is one of ${ACL_PERMISSIONS.join(", ")}`)
  return { grantee: granteeOf(grantee), permission }
}

function granteeOf(element: XmlElement): RequestedGrantee {
  switch (element.attributes.get("type")) {
    case "CanonicalUser":
      return namedGrantee("id", textOf(membersOf(element, ["ID", "DisplayName"])[0], "ID"))
    case "AmazonCustomerByEmail":
      return namedGrantee("email", textOf(membersOf(element, ["EmailAddress"])[0], "EmailAddress"))
    case "Group":
      return namedGrantee("uri", textOf(membersOf(element, ["URI"])[0], "URI"))
    default:
      throw malformed("a Grantee has an xsi:type: CanonicalUser, AmazonCustomerByEmail or Group")
  }
}

const typed = (type: string) => `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}"`

/** Writes the contents of a list document. `nameOf`: an account's display name; undefined omits it. */
export function writeAcl(
  xml: XmlWriter,
  { owner, grants }: { readonly owner: AccountId; readonly grants: readonly RequestedGrant[] },
  nameOf: (id: AccountId) => string | undefined,
): void {
  xml.group("Owner", one => one.text("ID", owner).text("DisplayName", nameOf(owner)))
  xml.group("AccessControlList", list => {
    for (const { grantee, permission } of grants)
      list.group("Grant", grant => {
        writeGrantee(grant, grantee, nameOf)
        grant.text("Permission", permission)
      })
  })
}

function writeGrantee(xml: XmlWriter, grantee: RequestedGrantee, nameOf: (id: AccountId) => string | undefined): void {
  if (grantee.kind === "account") {
    const { id } = grantee
    xml.group("Grantee", one => one.text("ID", id).text("DisplayName", nameOf(id)), typed("CanonicalUser"))
  } else if (grantee.kind === "group") {
    xml.group("Grantee", one => one.text("URI", URIS[grantee.group]), typed("Group"))
  } else xml.group("Grantee", one => one.text("EmailAddress", grantee.email), typed("AmazonCustomerByEmail"))
}
