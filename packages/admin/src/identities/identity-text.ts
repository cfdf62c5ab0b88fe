/** Users, groups, roles and managed policies as text for people. Pure. */
import type { z } from "zod"
import { durationText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import type { GROUPS, MANAGED_POLICIES, ROLE, ROLES, USER, USERS } from "./identity-schemas.js"

type Role = z.output<typeof ROLE>
type User = z.output<typeof USER>

/** The part after the account in an ARN's path, as policies of an account are shown. */
export const nameInArn = (arn: string): string => arn.split("/").at(-1) ?? arn

/** All policies of an identity, in a cell of a table. */
const policiesText = ({ attached, inline }: Pick<User, "attached" | "inline">): string =>
  [...attached.map(nameInArn), ...inline].join(",") || "-"

const listText = (names: readonly string[]): string => names.join(", ") || "none"

const tagText = (tags: User["tags"]): string => listText(Object.entries(tags).map(([key, value]) => `${key}=${value}`))

export function usersText({ users }: z.output<typeof USERS>): string {
  const rows = users.map(one => [
    timeText(one.createdMs),
    one.name,
    String(one.keys.length),
    one.groups.join(",") || "-",
    policiesText(one),
  ])
  return tableText(["CREATED", "USER", "KEYS", "GROUPS", "POLICIES"], rows)
}

export function userText({ name, arn, id, createdMs, groups, attached, inline, boundary, keys, tags }: User): string {
  return tableText(
    ["user", name],
    [
      ["arn", arn],
      ["id", id],
      ["created", timeText(createdMs)],
      ["groups", listText(groups)],
      ["attached", listText(attached)],
      ["own policies", listText(inline)],
      ["boundary", boundary ?? "none"],
      ["keys", listText(keys)],
      ["tags", tagText(tags)],
    ],
  )
}

export const membersText = ({ users }: z.output<typeof USERS>): string =>
  tableText(
    ["USER", "ARN"],
    users.map(({ name, arn }) => [name, arn]),
  )

export function groupsText({ groups }: z.output<typeof GROUPS>): string {
  const rows = groups.map(one => [timeText(one.createdMs), one.name, policiesText(one)])
  return tableText(["CREATED", "GROUP", "POLICIES"], rows)
}

export function rolesText({ roles }: z.output<typeof ROLES>): string {
  const rows = roles.map(one => [
    timeText(one.createdMs),
    one.name,
    durationText(one.sessionSecondsMax),
    policiesText(one),
    printable(one.description),
  ])
  return tableText(["CREATED", "ROLE", "SESSIONS", "POLICIES", "DESCRIPTION"], rows)
}

export function roleText(role: Role): string {
  const { name, arn, id, createdMs, description, sessionSecondsMax, attached, inline, boundary, tags, trust } = role
  const rows = [
    ["arn", arn],
    ["id", id],
    ["created", timeText(createdMs)],
    ["description", printable(description) || "none"],
    ["sessions", `${durationText(sessionSecondsMax)} at most`],
    ["attached", listText(attached)],
    ["own policies", listText(inline)],
    ["boundary", boundary ?? "none"],
    ["tags", tagText(tags)],
  ]
  return `${tableText(["role", name], rows)}\n${documentText(trust)}`
}

export const documentText = (document: unknown): string => `${JSON.stringify(document, undefined, 2)}\n`

export function managedText({ policies }: z.output<typeof MANAGED_POLICIES>): string {
  const rows = policies.map(({ name, isBuiltIn, attachments, boundaries, description }) => [
    name,
    isBuiltIn ? "built-in" : "account",
    String(attachments),
    String(boundaries),
    printable(description),
  ])
  return tableText(["POLICY", "OF", "ATTACHED", "BOUNDARY", "DESCRIPTION"], rows)
}
