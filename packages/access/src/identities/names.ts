/**
 * Names, paths and ARNs of identities. Names are compared without case and displayed as they were written.
 */
import { fail } from "@hayloft/base/failures.js"
import type { AccountNumber } from "@hayloft/base/ids.js"
import type {
  IdentityKind,
  IdentityRecord,
  ManagedPolicyRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"

const NAME = /^[\w+=,.@-]+$/
const NAME_CHARACTERS_MAX = { user: 64, group: 128, role: 64, policy: 128 } as const
const PATH = /^\/(?:[\x21-\x7e]*\/)?$/
const PATH_CHARACTERS_MAX = 512

/** Throws `invalidArgument`. */
export function checkName(kind: IdentityKind | "policy", name: string): string {
  if (NAME.test(name) && name.length <= NAME_CHARACTERS_MAX[kind]) return name
  throw fail("invalidArgument", {
    message: `The specified value for ${kind}Name is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and have at most ${NAME_CHARACTERS_MAX[kind]} of them`,
  })
}

/** Throws `invalidArgument`. */
export function checkPath(path: string): string {
  if (PATH.test(path) && path.length <= PATH_CHARACTERS_MAX) return path
  throw fail("invalidArgument", {
    message: "The specified value for path is invalid. It must begin and end with / and contain only ASCII characters",
  })
}

type Named = Pick<IdentityRecord, "path" | "name">

export const rootArn = (number: AccountNumber): string => `arn:aws:iam::${number}:root`
export const identityArn = (
  number: AccountNumber,
  { kind, path, name }: { readonly kind: IdentityKind | "entry" } & Named,
): string => `arn:aws:iam::${number}:${kind}${path}${name}`
export const policyArn = (number: AccountNumber, { path, name }: Pick<ManagedPolicyRecord, "path" | "name">): string =>
  `arn:aws:iam::${number}:policy${path}${name}`
export const providerArn = (number: AccountNumber, url: string): string =>
  `arn:aws:iam::${number}:oidc-provider/${hostAndPath(url)}`
export const sessionArn = (number: AccountNumber, roleName: string, sessionName: string): string =>
  `arn:aws:sts::${number}:assumed-role/${roleName}/${sessionName}`

/** An issuer without its scheme, as ARNs and condition keys name it. */
export const hostAndPath = (url: string): string => url.replace(/^https?:\/\//, "")

interface ParsedArn {
  /** 12 digits, or `aws`. */
  readonly account: string
  readonly resource: "user" | "group" | "role" | "policy"
  readonly path: string
  readonly name: string
}

const ARN = /^arn:aws:iam::(\d{12}|aws):(user|group|role|policy)(\/(?:[\x21-\x7e]*\/)?)([\w+=,.@-]+)$/
const ARN_CHARACTERS_MAX = 2_048

/** Returns undefined if the text is not an ARN of that kind. */
export function parseIdentityArn(resource: ParsedArn["resource"], text: string): ParsedArn | undefined {
  const [, account, kind, path, name] = text.length > ARN_CHARACTERS_MAX ? [] : (ARN.exec(text) ?? [])
  if (account === undefined || kind !== resource || path === undefined || name === undefined) return undefined
  return { account, resource, path, name }
}
