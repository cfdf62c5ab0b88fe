/**
 * Names of keys: what requests call them, and their ARNs. An id, an alias (`alias/NAME`), or the ARN of either.
 *
 * Source  "Key identifiers (KeyId)", AWS KMS Developer Guide.
 */
import { fail, unlessRefused, type Failure } from "@hayloft/base/failures.js"
import { parseAccountNumber, parseKmsKeyId, type AccountNumber, type KmsKeyId } from "@hayloft/base/ids.js"

const ALIAS = /^alias\/[a-zA-Z0-9/_-]{1,250}$/
const ARN = /^arn:aws:kms:([a-z0-9-]{1,64}):(\d{12}):(key\/(.{1,64})|alias\/.{1,250})$/s
const SHOWN_CHARACTERS_MAX = 300

export const S3_ALIAS = "alias/aws/s3"

export type KeyReference =
  | { readonly kind: "id"; readonly id: KmsKeyId }
  | { readonly kind: "alias"; readonly name: string }

/** A reference, and the region and the account that its ARN names. */
interface NamedReference {
  readonly reference: KeyReference
  readonly within: { readonly region: string; readonly account: AccountNumber } | undefined
}

export const keyArnOf = (region: string, account: AccountNumber, id: KmsKeyId): string =>
  `arn:aws:kms:${region}:${account}:key/${id}`

export const aliasArnOf = (region: string, account: AccountNumber, name: string): string =>
  `arn:aws:kms:${region}:${account}:${name}`

/** Throws `noSuchKmsKey`. */
export function parseKeyReference(text: string): NamedReference {
  const [, region, account, resource = "", id] = ARN.exec(text) ?? []
  if (region === undefined || account === undefined) return { reference: bareReference(text), within: undefined }
  const reference = id === undefined ? bareReference(resource) : referenceOfId(id)
  return { reference, within: { region, account: parseAccountNumber(account) } }
}

function bareReference(text: string): KeyReference {
  if (ALIAS.test(text)) return { kind: "alias", name: text }
  if (text.startsWith("alias/")) throw noSuchKey(text)
  return referenceOfId(text)
}

function referenceOfId(text: string): KeyReference {
  const id = unlessRefused(() => parseKmsKeyId(text))
  if (id === undefined) throw noSuchKey(text)
  return { kind: "id", id }
}

/** Returns why this name cannot be an alias; undefined if it can. */
export function aliasFault(
  name: string,
): { readonly kind: "malformed" | "reserved"; readonly message: string } | undefined {
  if (!ALIAS.test(name))
    return { kind: "malformed", message: "An alias is alias/ and 1 to 250 letters, digits and /_-." }
  if (!/^alias\/aws\//i.test(name)) return undefined
  return { kind: "reserved", message: "Aliases under alias/aws/ are reserved." }
}

export const noSuchKey = (text: string): Failure =>
  fail("noSuchKmsKey", { message: `Key '${text.slice(0, SHOWN_CHARACTERS_MAX)}' does not exist` })
