/**
 * Actions of coordination, as access policies name them. The resource is `arn:aws:coord:REGION:ACCOUNT:` and a path or a
 * prefix, which ends with a slash; `*` for what names neither.
 */
import type { AccountNumber } from "@hayloft/base/ids.js"

const COORD_ACTIONS = [
  "BeginSession",
  "EndSession",
  "ListSessions",
  "ListNamespaces",
  "AcquireLock",
  "GetLock",
  "ListLocks",
  "GetFile",
  "PutFile",
  "DeleteFile",
  "ListFiles",
  "FollowChanges",
] as const

export type CoordAction = (typeof COORD_ACTIONS)[number]

export const SERVICE = "coord"

export const coordActions = (): readonly string[] => COORD_ACTIONS.map(name => `${SERVICE}:${name}`)

export const coordArn = (region: string, account: AccountNumber, path: string): string =>
  `arn:aws:${SERVICE}:${region}:${account}:${path}`
