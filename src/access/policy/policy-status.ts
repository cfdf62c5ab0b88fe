/**
 * Policy status: whether a bucket policy lets the public in, by Amazon's rule.
 *
 * Every statement that allows is taken to be public unless it grants to fixed principals, or under a condition that
 * holds only for fixed values of certain keys. Fixed is a value without wildcards and variables; a range of addresses
 * is one if it is not very broad.
 * Source  "The meaning of 'public'", Amazon S3 User Guide, "Blocking public access".
 */
import type { AccessPolicy, Condition, Statement } from "./contract.js"
import { parseIpRange } from "./ip-range.js"

const PREFIX_BITS_MIN = { 4: 8, 6: 32 } as const

const isFixed = (value: string): boolean => !/[*?]|\$\{/.test(value)

/** Who signs nothing has a fixed account and user id too, which are everybody's. */
const isFixedSigner = (value: string): boolean => isFixed(value) && value.toLowerCase() !== "anonymous"

const isNarrowRange = (value: string): boolean => {
  const range = parseIpRange(value)
  return range !== undefined && range.prefixBits >= PREFIX_BITS_MIN[range.version]
}

/** The name of an access point may be left open, its account may not. */
const isFixedAccessPoint = (value: string): boolean => {
  const [, , , , account = "", ...name] = value.split(":")
  return name.length > 0 && /^\d{12}$/.test(account)
}

const FIXED_EQUAL = new Set(["StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"])

/** Keys that narrow who is let in, with what makes a value narrow enough and the operators that it counts under. */
const NARROWING = new Map<string, readonly [operators: ReadonlySet<string>, isNarrow: (value: string) => boolean]>([
  ...`aws:principalorgid aws:principalorgpaths aws:principalarn aws:principalservicename aws:sourcearn aws:sourceorgid
  aws:sourcevpc aws:sourcevpce aws:sourceowner aws:sourceaccount s3:dataaccesspointaccount
  s3:x-amz-server-side-encryption-aws-kms-key-id`
    .split(/\s+/)
    .map(name => [name, [FIXED_EQUAL, isFixed]] as const),
  ["aws:principalaccount", [FIXED_EQUAL, isFixedSigner]],
  ["aws:userid", [FIXED_EQUAL, isFixedSigner]],
  ["s3:dataaccesspointarn", [FIXED_EQUAL, isFixedAccessPoint]],
  ["aws:sourceip", [new Set(["IpAddress"]), isNarrowRange]],
])

/** A condition that also holds where the key is absent narrows nothing. */
function narrows({ operator, ifExists, over, key, values }: Condition): boolean {
  const [operators, isNarrow] = NARROWING.get(key.name) ?? []
  if (operators === undefined || isNarrow === undefined || ifExists || over === "all") return false
  return operators.has(operator) && values.every(isNarrow)
}

const isForFixedPrincipals = ({ principals }: Statement): boolean =>
  principals?.named.every(({ type, value }) => type !== "Federated" && value !== "*") ?? false

const isPublicStatement = (statement: Statement): boolean =>
  statement.effect === "Allow" && !isForFixedPrincipals(statement) && !statement.conditions.some(narrows)

export const isPublic = ({ statements }: AccessPolicy): boolean => statements.some(isPublicStatement)
