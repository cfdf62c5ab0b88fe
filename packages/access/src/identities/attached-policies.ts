/**
 * Parses the policies of a user or role from their texts.
 *
 * Limits  `PARSED_MAX` parsed policies are cached, by their text.
 */
import type { AccessPolicy, NamedPolicy, ParsePolicy, PrincipalPolicies } from "../policy/contract.js"
import type { AttachedTexts, PolicyText } from "./attached-texts-core.js"

const PARSED_MAX = 1_000

/** Parses each text once. */
export function cachePolicies(parse: ParsePolicy): ParsePolicy {
  const known = new Map<string, AccessPolicy>()
  return (text, kind) => {
    const name = `${kind} ${text}`
    const found = known.get(name)
    if (found !== undefined) return found
    const policy = parse(text, kind)
    if (known.size >= PARSED_MAX) known.clear()
    known.set(name, policy)
    return policy
  }
}

export const namedPolicy = (parse: ParsePolicy, { name, text }: PolicyText): NamedPolicy => ({
  name,
  policy: parse(text, "identity"),
})

export const attachedPolicies = (parse: ParsePolicy, { identity, boundary }: AttachedTexts): PrincipalPolicies => ({
  identity: identity.map(one => namedPolicy(parse, one)),
  boundary: boundary && namedPolicy(parse, boundary),
  session: undefined,
})
