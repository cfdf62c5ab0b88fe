/**
 * Policy status: whether a bucket policy admits the public, by Amazon's rule.
 *
 * An Allow statement is public unless it grants to fixed principals, or under a condition that holds only for fixed
 * values of certain keys. A fixed value has no wildcards and no variables; an address range is fixed if it is not very
 * broad.
 * Source  "The meaning of 'public'", Amazon S3 User Guide, "Blocking public access".
 */
import type { AccessPolicy, Condition, PolicyStatement } from "./contract.js"
import { parseIpRange } from "./ip-range.js"

const PREFIX_BITS_MIN = { 4: 8, 6: 32 } as const

const isFixed = (value: string): boolean => !/[*?]|\$\{/.test(value)

/** Anonymous callers also have a fixed account and user id, shared by all of them. */
const isFixedSigner = (value: string): boolean => isFixed(value) && value.toLowerCase() !== "anonymous"

const isNarrowRange = (value: string): boolean => {
  const range = parseIpRange(value)
  return range !== undefined && range.prefixBits >= PREFIX_BITS_MIN[range.version]
}

/** An access point's name may contain wildcards, its account may not. */
const isFixedAccessPoint = (value: string): boolean => {
  const [, , , , account = "", ...name] = value.split(":")
  return name.length > 0 && /^\d{12}$/.test(account)
}

const FIXED_EQUAL = new Set(["StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"])

/** Keys that limit the callers, with the operators that are accepted and the test for a narrow value. */
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

/** A condition that also holds if the key is absent limits nothing. */
function narrows({ operator, ifExists, over, key, values }: Condition): boolean {
  const [operators, isNarrow] = NARROWING.get(key.name) ?? []
  if (operators === undefined || isNarrow === undefined || ifExists || over === "all") return false
  return operators.has(operator) && values.every(isNarrow)
}

const isForFixedPrincipals = ({ principals }: PolicyStatement): boolean =>
  principals?.named.every(({ type, value }) => type !== "Federated" && value !== "*") ?? false

const isPublicStatement = (statement: PolicyStatement): boolean =>
  statement.effect === "Allow" && !isForFixedPrincipals(statement) && !statement.conditions.some(narrows)

export const isPublic = ({ statements }: AccessPolicy): boolean => statements.some(isPublicStatement)
